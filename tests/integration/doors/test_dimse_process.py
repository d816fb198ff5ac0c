"""The DICOM door as a process of its own: what it has accepted survives its death."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest
from sqlalchemy import select

from builders import count
from dimse_peer import RawPeer, an_object, send_object, store
from medqueue.ledger.engine import open_ledger
from medqueue.ledger.tables import instances

pytestmark = pytest.mark.integration

A_ASSOCIATE_AC = 0x02

_DOOR = """
import sys, threading
from pathlib import Path
from medqueue.doors.admission import Admission
from medqueue.doors.dimse.listener import DimseDoor
from medqueue.ledger.engine import open_ledger
from medqueue.logs import configure_logs
from medqueue.settings import Settings
from medqueue.storage.instances import InstanceStore

configure_logs("door", "error")
folder = Path(sys.argv[1])
store = InstanceStore(folder / "instances", min_free_mib=0)
ledger = open_ledger(sys.argv[2])
door = DimseDoor(Settings(), Admission(ledger, store, max_attempts=3), port=0)
door.start()
print(door.port, flush=True)
threading.Event().wait()
"""


@pytest.fixture
def process(tmp_path: Path, sqlite_url: str) -> Iterator[subprocess.Popen[str]]:
    root = Path(__file__).parents[3]
    started = subprocess.Popen(
        [sys.executable, "-c", _DOOR, str(tmp_path), sqlite_url],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(root)},  # noqa: TID251 - handed on as it is
    )
    with started:
        yield started
        started.kill()


def test_what_was_answered_with_success_survives_kill_9(
    process: subprocess.Popen[str], tmp_path: Path, sqlite_url: str
) -> None:
    assert process.stdout is not None
    port = int(process.stdout.readline())
    objects = [an_object() for _ in range(5)]
    with RawPeer(port) as peer:
        peer.associate()
        for data_set in objects:
            assert store(peer, data_set) == 0x0000
        process.send_signal(signal.SIGKILL)
    process.wait(10)
    ledger = open_ledger(sqlite_url)
    with ledger.read() as connection:
        rows = connection.execute(select(instances)).all()
    ledger.close()
    assert {row.sop_instance_uid for row in rows} == {each.SOPInstanceUID for each in objects}
    for row in rows:
        assert (tmp_path / "instances" / row.path).stat().st_size > row.size


def test_sixty_four_associations_at_once_are_all_served_within_200_mib(
    process: subprocess.Popen[str], sqlite_url: str
) -> None:
    assert process.stdout is not None
    port = int(process.stdout.readline())
    with ExitStack() as stack:
        peers = [stack.enter_context(RawPeer(port)) for _ in range(64)]
        for peer in peers:
            assert peer.associate()[0] == A_ASSOCIATE_AC
        for _ in range(3):  # all of them have an object under way before any hears of its own
            for peer in peers:
                send_object(peer, an_object(PixelData=bytes(150_000), BitsAllocated=8))
            assert {peer.status() for peer in peers} == {0x0000}
        assert psutil.Process(process.pid).memory_info().rss < 200 * 1024**2
    ledger = open_ledger(sqlite_url)
    assert count(ledger, instances) == 3 * 64
    ledger.close()
