"""Before a door says 'success': the bytes, their name and the record have reached the disk.

No power is cut here. What is pinned is the order in which the system is asked, since that decides
what a power cut leaves; `test_engine` pins that a commit waits for the disk.
"""

import os
import sys
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pynetdicom.dsutils import split_dataset
from sqlalchemy import event

from chest_images import an_image
from medqueue.doors.admission import Admission, InstanceRequest
from medqueue.ledger.engine import Ledger
from medqueue.storage.instances import InstanceStore

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, sqlite_ledger: Ledger) -> list[str]:
    """What the system was asked, in order; it is really asked too."""
    order: list[str] = []

    def note_sync(name: str) -> None:
        really = getattr(os, name)

        def sync(descriptor: int) -> None:
            file = Path(f"/proc/self/fd/{descriptor}").readlink()
            order.append(f"{name} {file.name}")
            really(descriptor)

        monkeypatch.setattr(os, name, sync)

    rename = Path.rename

    def note_rename(self: Path, target: Any) -> Path:
        order.append("rename")
        return rename(self, target)

    note_sync("fdatasync")
    note_sync("fsync")
    monkeypatch.setattr(Path, "rename", note_rename)
    event.listen(sqlite_ledger.engine, "commit", lambda _connection: order.append("commit"))
    return order


def test_the_bytes_reach_the_disk_then_their_name_and_then_the_record(
    asked: list[str], sqlite_ledger: Ledger, tmp_path: Path
) -> None:
    file = an_image(tmp_path)
    meta = pydicom.dcmread(file, stop_before_pixels=True).file_meta
    request = InstanceRequest(
        meta.MediaStorageSOPClassUID,
        meta.MediaStorageSOPInstanceUID,
        meta.TransferSyntaxUID,
        "PACS",
    )
    store = InstanceStore(tmp_path / "store", min_free_mib=0)
    admission = Admission(sqlite_ledger, store, max_attempts=3)
    asked.clear()
    with admission.receive_instance(request) as incoming:
        incoming.write(file.read_bytes()[split_dataset(file)[1] :])
        admission.admit_instance(request, incoming)

    (kept,) = (tmp_path / "store").rglob("*.dcm")
    assert asked[-1] == "commit"
    # Data: before or after its file got its name, but before the record.
    assert {f"fdatasync {kept.stem}.part", f"fdatasync {kept.name}"} & set(asked)
    # Names: that of the file after it was given, and that of its new folder.
    assert f"fsync {kept.parent.name}" in asked[asked.index("rename") :]
    assert "fsync store" in asked
