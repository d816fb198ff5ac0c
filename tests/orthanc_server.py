"""An Orthanc of a test's own: started with its plugins, filled and asked over its REST API."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from medqueue.operate import ports
from waiting import wait_until

_PLUGINS = Path("/usr/share/orthanc/plugins")
_DICOMWEB = _PLUGINS / "libOrthancDicomWeb.so"
_SECONDS = 60.0


@dataclass(frozen=True)
class Orthanc:
    """A running Orthanc."""

    http_port: int
    dicom_port: int
    client: httpx.Client

    @property
    def dicomweb(self) -> str:
        """Where its DICOMweb services begin."""
        return f"http://127.0.0.1:{self.http_port}/dicom-web"

    def fill(self, *files: Path) -> None:
        """Give it some objects."""
        for file in files:
            self.client.post("/instances", content=file.read_bytes()).raise_for_status()

    def post(self, path: str, content: object) -> Any:
        """Ask it to do something."""
        answer = self.client.post(path, json=content)
        answer.raise_for_status()
        return answer.json()

    def studies(self) -> list[str]:
        """Return its own ids of its studies."""
        return list(self.client.get("/studies").json())


@contextmanager
def running_orthanc(folder: Path, **configuration: object) -> Iterator[Orthanc]:
    """Start an Orthanc; a test without one skips, and fails where it must be there."""
    program = shutil.which("Orthanc", path="/usr/sbin:/usr/bin:/usr/local/bin:/opt/homebrew/bin")
    if program is None:
        _give_up("Orthanc is not installed (apt install orthanc)")
    dicom_port, http_port = ports.find_free(2)
    folder.mkdir()
    path = folder / "orthanc.json"
    path.write_text(json.dumps(_base(folder, dicom_port, http_port) | configuration))
    with (folder / "orthanc.log").open("wb") as log:
        process = subprocess.Popen([str(program), str(path)], stdout=log, stderr=log)
        try:
            url = f"http://127.0.0.1:{http_port}"
            with httpx.Client(base_url=url, timeout=_SECONDS) as client:
                wait_until(lambda: _answers(client), _SECONDS, what="Orthanc")
                yield Orthanc(http_port, dicom_port, client)
        finally:
            process.terminate()
            process.wait()


def with_dicomweb() -> Mapping[str, object]:
    """Return the configuration that loads the DICOMweb plugin; a test without it skips."""
    if not _DICOMWEB.exists():
        _give_up("Orthanc's DICOMweb plugin is not installed (apt install orthanc-dicomweb)")
    return {"Plugins": [str(_DICOMWEB)], "DicomWeb": {"Enable": True, "Root": "/dicom-web/"}}


def _base(folder: Path, dicom_port: int, http_port: int) -> dict[str, object]:
    return {
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "storage"),
        "DicomPort": dicom_port,
        "DicomAet": "ORTHANC",
        "DicomAlwaysAllowFind": True,
        "DicomAlwaysAllowMove": True,
        "HttpPort": http_port,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "Plugins": [],
        "JobsHistorySize": 100,
    }


def _answers(client: httpx.Client) -> bool:
    try:
        return client.get("/system").is_success
    except httpx.TransportError:
        return False


def _give_up(reason: str) -> None:
    if os.environ.get("CI") == "true":  # noqa: TID251 - not a setting of medqueue
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)
