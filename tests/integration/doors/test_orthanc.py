"""Orthanc as a sender: by itself when a study is stable, and through its DICOMweb plugin."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from dicomweb_client.api import DICOMwebClient
from pydicom import dcmread
from pydicom.data import get_testdata_file

from dimse_peer import OpenDoor, a_file, an_object
from http_client import compose
from medqueue.ledger import evidence
from medqueue.operate import ports
from medqueue.settings import Settings
from medqueue.web.serving import serve_http
from orthanc_server import running_orthanc, with_dicomweb
from schemas.completeness import EvidenceKind
from waiting import wait_until

pytestmark = pytest.mark.integration

SECONDS = 60.0
ON_STABLE_STUDY = """
function OnStableStudy(id, tags, metadata)
  local job = DumpJson({Resources = {id}, Asynchronous = true}, true)
  RestApiPost('/modalities/medqueue/store', job)
end
"""
"""As docs/howto/connect-a-pacs.md has it."""


@pytest.fixture
def stow_url(a_door: OpenDoor, tmp_path: Path) -> Iterator[str]:
    """The address of our STOW-RS, over the ledger of the door."""
    (port,), stop = ports.find_free(1), threading.Event()
    app = compose(a_door.ledger, tmp_path)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(serve_http, app, Settings(http_port=port), stop)
        try:
            yield f"http://127.0.0.1:{port}/dicom-web"
        finally:
            stop.set()
            running.result(timeout=30)


def here(door: OpenDoor) -> set[str]:
    return {row.sop_instance_uid for row in door.instances()}


def objects(folder: Path, count: int = 4) -> list[Path]:
    return [a_file(folder, an_object(), f"{number}.dcm") for number in range(count)]


def uids(files: list[Path]) -> set[str]:
    return {str(dcmread(file).SOPInstanceUID) for file in files}


def test_orthanc_pushes_a_study_by_itself_once_it_is_stable(
    a_door: OpenDoor, tmp_path: Path
) -> None:
    script = tmp_path / "medqueue.lua"
    script.write_text(ON_STABLE_STUDY)
    files = objects(tmp_path)
    with running_orthanc(
        tmp_path / "orthanc",
        StableAge=1,
        LuaScripts=[str(script)],
        DicomModalities={"medqueue": ["MEDQUEUE", "127.0.0.1", a_door.port]},
    ) as orthanc:
        orthanc.fill(*files)
        wait_until(lambda: here(a_door) == uids(files), SECONDS)

        def ended() -> set[EvidenceKind]:
            with a_door.ledger.read() as connection:
                return {one.kind for one in evidence.of_study(connection, "1.2.3")}

        # Orthanc keeps the association for the next job, and releases it when none comes.
        wait_until(lambda: ended() == {EvidenceKind.ASSOCIATION_RELEASED}, SECONDS)


def test_the_dicomweb_plugin_of_orthanc_stores_to_our_stow_rs(
    a_door: OpenDoor, stow_url: str, tmp_path: Path
) -> None:
    configuration = dict(with_dicomweb())
    configuration["DicomWeb"] = {"Enable": True, "Servers": {"medqueue": [f"{stow_url}/"]}}
    files = objects(tmp_path)
    with running_orthanc(tmp_path / "orthanc", **configuration) as orthanc:
        orthanc.fill(*files)
        orthanc.post("/dicom-web/servers/medqueue/stow", {"Resources": orthanc.studies()})
        assert here(a_door) == uids(files)


@pytest.mark.parametrize("name", ["CT_small", "MR_small_RLE", "JPEG2000", "JPEG-lossy"])
def test_dicomweb_client_stores_to_our_stow_rs(a_door: OpenDoor, stow_url: str, name: str) -> None:
    client = DICOMwebClient(stow_url)
    data_set = dcmread(str(get_testdata_file(f"{name}.dcm", download=False)))
    answer = client.store_instances([data_set])
    assert "FailedSOPSequence" not in answer
    (stored,) = a_door.instances()
    assert stored.sop_instance_uid == data_set.SOPInstanceUID
    assert stored.transfer_syntax_uid == data_set.file_meta.TransferSyntaxUID
