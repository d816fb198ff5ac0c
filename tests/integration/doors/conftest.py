"""Fixtures: a DICOM door on a free port, the programs of dcmtk, and certificates."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dimse_peer import OpenADoor, OpenDoor
from medqueue.doors.admission import Admission
from medqueue.doors.dimse.limits import Limits
from medqueue.doors.dimse.listener import DimseDoor
from medqueue.ledger.engine import Ledger
from medqueue.settings import Settings
from medqueue.storage.instances import InstanceStore


@pytest.fixture
def open_door(sqlite_ledger: Ledger, tmp_path: Path) -> Iterator[OpenADoor]:
    doors = []

    def start(limits: Limits | None = None, **settings: object) -> OpenDoor:
        store = InstanceStore(tmp_path / "instances", min_free_mib=0)
        admission = Admission(sqlite_ledger, store, max_attempts=3)
        chosen = Settings(data_dir=tmp_path, **settings)
        door = DimseDoor(chosen, admission, port=0, limits=limits)
        door.start()
        doors.append(door)
        return OpenDoor(door, admission, sqlite_ledger, store)

    yield start
    for door in doors:
        door.stop(2.0)


@pytest.fixture
def a_door(open_door: OpenADoor) -> OpenDoor:
    return open_door()


@pytest.fixture
def dcmtk() -> Callable[[str], str]:
    """Return the full path of a program of dcmtk: pynetdicom installs scripts of the same names."""

    def find(program: str) -> str:
        path = shutil.which(program, path="/usr/bin:/usr/local/bin:/opt/homebrew/bin")
        if path is None:
            reason = f"{program} of dcmtk is not installed"
            if os.environ.get("CI") == "true":  # noqa: TID251 - not a setting of medqueue
                pytest.fail(reason, pytrace=False)
            pytest.skip(reason)
        return path

    return find


@pytest.fixture(scope="session")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an authority, and certificates of a door and of a sender."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed")
    folder = tmp_path_factory.mktemp("pki")

    def make(name: str, *signed: str | Path) -> None:
        done = subprocess.run(
            [
            openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj",
            f"/CN={name}", "-keyout", folder / f"{name}.key", "-out", folder / f"{name}.pem",
            *signed,
            ], capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr

    make("authority")
    # Without this the extension of an authority would stand in theirs too.
    signed = ("-CA", folder / "authority.pem", "-CAkey", folder / "authority.key")
    leaf = ("-addext", "basicConstraints=critical,CA:FALSE")
    make("door", *signed, *leaf, "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost")
    make("sender", *signed, *leaf)
    make("stranger")
    return folder
