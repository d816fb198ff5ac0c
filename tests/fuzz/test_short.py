"""A short run of the fuzzing campaign; `make fuzz` is the long one."""

from pathlib import Path

import pytest

from fuzz.campaign import files, pdus
from fuzz.campaign.live import run_live
from medqueue.doors.admission import Admission
from medqueue.ledger.engine import Ledger
from medqueue.storage.instances import InstanceStore

pytestmark = pytest.mark.integration

SEED = 77


def test_a_thousand_mutated_pdus_raise_nothing_and_leave_nothing(
    sqlite_ledger: Ledger, tmp_path: Path
) -> None:
    store = InstanceStore(tmp_path / "instances", min_free_mib=0)
    admission = Admission(sqlite_ledger, store, max_attempts=3)

    report = pdus.run_in_process(tmp_path, admission, count=1000, seed=SEED)

    assert report.faults == []
    assert report.left_over == []
    assert report.sent == 1000
    # Mutations that no parser got to see would prove nothing.
    assert report.answers["A_ABORT"] > 400
    assert report.answers["A_RELEASE_RP"] > 100


def test_a_door_process_outlives_mutated_pdus_and_serves_a_good_sender(tmp_path: Path) -> None:
    report = run_live(tmp_path, count=200, seed=SEED)

    assert report.faults == []
    assert report.left_over == []


def test_mutated_files_are_read_or_refused(tmp_path: Path) -> None:
    report = files.run(tmp_path, count=200, seed=SEED)

    assert report.faults == []
    assert report.outcomes["worker: read"] > 20
    assert report.outcomes["worker: undecodable"] > 50
    assert set(report.outcomes) <= {
        "door: identity", "door: not-dicom", "door: read",
        "worker: read", "worker: undecodable", "worker: unfit-input", "worker: unsupported-input",
    }  # fmt: skip


def test_the_same_seed_gives_the_same_traffic() -> None:
    first, second = pdus.Traffic(SEED), pdus.Traffic(SEED)

    assert [first.next() for _ in range(50)] == [second.next() for _ in range(50)]


def test_recordings_are_whole_pdus() -> None:
    for path in pdus.RECORDINGS:
        recording = path.read_bytes()
        assert b"".join(pdus.split(recording)) == recording
        assert recording[0] == 0x01
