"""The DICOM door with real peers: what dcmtk and pynetdicom send is stored as it came."""

import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pydicom import dcmread
from pynetdicom.dsutils import split_dataset

from dimse_peer import OpenDoor, a_file, an_object, storable_files
from medqueue.errors import UnavailableError
from medqueue.ledger.tables import instances, studies
from medqueue.operate.sender import SendSummary, send_files
from schemas.study import Disposition
from schemas.work import Priority

pytestmark = pytest.mark.integration

Find = Callable[[str], str]


def run(*command: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, timeout=60, check=False
    )


def push(door: OpenDoor, *paths: Path, urgent: bool = False) -> SendSummary:
    return send_files(paths, host="127.0.0.1", port=door.port, called="MEDQUEUE", urgent=urgent)


def data_set_of(path: Path) -> bytes:
    _, offset = split_dataset(path)
    return path.read_bytes()[offset:]


def test_dcmtk_gets_an_answer_to_its_echo(a_door: OpenDoor, dcmtk: Find) -> None:
    assert run(dcmtk("echoscu"), "-aec", "MEDQUEUE", "127.0.0.1", a_door.port).returncode == 0


def test_a_wrong_called_title_is_rejected(a_door: OpenDoor, dcmtk: Find) -> None:
    answer = run(dcmtk("echoscu"), "-aec", "OTHER", "127.0.0.1", a_door.port)
    assert answer.returncode != 0
    assert "Called AE Title Not Recognized" in answer.stderr + answer.stdout
    assert a_door.door.counters.read().associations_rejected == 1


def test_every_storable_file_of_pydicom_is_stored_byte_by_byte(a_door: OpenDoor) -> None:
    files = storable_files()
    assert len(files) > 100
    summary = push(a_door, *files)
    # Cut off in their pixel data: our own sender tells before it sends.
    assert {file.path.name for file in summary.failed} <= {"MR_truncated.dcm"}
    sent = {data_set_of(path) for path in files if path.name != "MR_truncated.dcm"}
    stored = {data_set_of(a_door.store.path_of(row.path)) for row in a_door.instances()}
    assert stored == sent
    for row in a_door.instances():
        meta = split_dataset(a_door.store.path_of(row.path))[0]
        assert meta.TransferSyntaxUID == row.transfer_syntax_uid
        assert meta.MediaStorageSOPInstanceUID == row.sop_instance_uid
        assert meta.SourceApplicationEntityTitle == "MEDQUEUE_SEND"


def test_dcmsend_stores_all_that_it_can_read(a_door: OpenDoor, dcmtk: Find) -> None:
    # dcmtk itself cannot parse some of the files: those it reports as not sent. Of rtdose_rle it
    # takes the SOP Class from an element of VR UN, and so sends another than it has proposed.
    paths = [path for path in storable_files() if not path.name.startswith("rtdose_rle")]
    answer = run(
        dcmtk("dcmsend"), "-v", "-aec", "MEDQUEUE", "--no-halt", "--decompress-never",
        "127.0.0.1", a_door.port, *paths,
    )  # fmt: skip
    tally = a_door.door.counters.read()
    assert tally.objects_accepted > 100, answer.stdout + answer.stderr
    assert tally.objects_refused == 0
    assert tally.associations_aborted == 0


def test_storescu_stores_with_fragments_of_its_own_size(
    a_door: OpenDoor, dcmtk: Find, tmp_path: Path
) -> None:
    path = a_file(tmp_path, an_object(PixelData=bytes(300_000), BitsAllocated=8))
    for size in (4096, 131072):
        answer = run(
            dcmtk("storescu"), "-aec", "MEDQUEUE", "--max-send-pdu", size,
            "127.0.0.1", a_door.port, path,
        )  # fmt: skip
        assert answer.returncode == 0, answer.stderr
    assert len(a_door.instances()) == 1
    assert a_door.door.counters.read().objects_duplicate == 1


def test_the_same_instance_again_is_a_success_and_one_record(
    a_door: OpenDoor, tmp_path: Path
) -> None:
    path = a_file(tmp_path, an_object())
    assert push(a_door, path).accepted == 1
    assert push(a_door, path).accepted == 1
    assert len(a_door.instances()) == len(a_door.files()) == 1
    with a_door.ledger.read() as connection:
        assert connection.execute(studies.select()).one().duplicates == 1


def test_other_content_under_the_same_uid_is_kept_and_flagged(
    a_door: OpenDoor, tmp_path: Path
) -> None:
    first = an_object(PatientID="P-1")
    second = an_object(PatientID="P-2", SOPInstanceUID=first.SOPInstanceUID)
    summary = push(a_door, a_file(tmp_path, first, "1.dcm"), a_file(tmp_path, second, "2.dcm"))
    assert summary.accepted == 2
    assert [row.disposition for row in a_door.instances()] == [
        Disposition.KEPT,
        Disposition.CONFLICT,
    ]
    assert {dcmread(path).PatientID for path in a_door.files()} == {"P-1", "P-2"}


def test_the_priority_of_the_request_makes_the_study_urgent(
    a_door: OpenDoor, tmp_path: Path
) -> None:
    push(a_door, a_file(tmp_path, an_object()), urgent=True)
    with a_door.ledger.read() as connection:
        assert connection.execute(studies.select()).one().priority == Priority.URGENT


def test_a_sender_reports_each_file_that_cannot_be_sent(a_door: OpenDoor, tmp_path: Path) -> None:
    good = a_file(tmp_path, an_object(PixelData=bytes(1000), BitsAllocated=8), "good.dcm")
    (tmp_path / "cut.dcm").write_bytes(good.read_bytes()[:-1])
    (tmp_path / "note.txt").write_text("not DICOM at all")
    a_file(tmp_path, an_object(StudyInstanceUID=""), "homeless.dcm")
    done: list[tuple[int, int]] = []
    summary = send_files(
        [tmp_path / name for name in ("good.dcm", "cut.dcm", "note.txt", "homeless.dcm")],
        host="127.0.0.1",
        port=a_door.port,
        called="MEDQUEUE",
        on_progress=lambda *progress: done.append(progress),
    )
    reasons = {file.path.name: file.reason for file in summary.failed}
    assert summary.accepted == 1
    assert "cut off" in reasons["cut.dcm"]
    assert "not a DICOM file" in reasons["note.txt"]
    assert "0xA900" in reasons["homeless.dcm"]
    assert done[-1] == (4, 4)
    assert a_door.refusals() == ["identity"]


def test_a_sender_without_a_receiver_says_so(tmp_path: Path) -> None:
    path = a_file(tmp_path, an_object())
    with pytest.raises(UnavailableError, match="no DICOM receiver answers"):
        send_files([path], host="127.0.0.1", port=1, called="MEDQUEUE")


def test_sixteen_senders_at_once_are_all_served(a_door: OpenDoor, tmp_path: Path) -> None:
    paths = [
        [a_file(tmp_path, an_object(StudyInstanceUID=f"1.2.{n}"), f"{n}-{i}.dcm") for i in range(5)]
        for n in range(16)
    ]
    with ThreadPoolExecutor(16) as pool:
        summaries = list(pool.map(lambda batch: push(a_door, *batch), paths))
    assert [summary.accepted for summary in summaries] == [5] * 16
    with a_door.ledger.read() as connection:
        assert len(connection.execute(instances.select()).all()) == 80
        assert len(connection.execute(studies.select()).all()) == 16
