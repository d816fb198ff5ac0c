"""A real `medqueue worker`: urgent work first, and nothing in hand is lost when it is stopped."""

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from builders import submit, work_rows
from medqueue.ledger.engine import Ledger
from medqueue.operate import registration
from medqueue.operate.roles import console_script
from medqueue.operate.system import child_environment
from medqueue.settings import Settings
from relays import Stepped
from schemas.work import Priority, WorkState
from valkey_server import Broker
from waiting import wait_until

pytestmark = pytest.mark.integration


@contextmanager
def worker(settings: Settings, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A cpu worker of one process, and so of one thing at a time."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(console_script()), "worker", "--role", "cpu"],
            env=child_environment(settings),
            stdout=output,
            stderr=output,
        )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(20)


def test_urgent_work_overtakes_all_routine_work_that_waits(
    sqlite_ledger: Ledger, sqlite_url: str, own_broker: Broker, tmp_path: Path
) -> None:
    folders = registration.installed_packages()
    registration.register(sqlite_ledger, folders, now=datetime.now(UTC))
    settings = own_broker.settings.model_copy(
        update={"database_url": sqlite_url, "cpu_processes": 1}
    )
    for number in range(14):
        submit(sqlite_ledger, f"No pneumothorax {number}.", language="en")
    for number in range(4):
        submit(sqlite_ledger, f"Pneumothorax {number}.", language="en", urgent=True, at=1)
    Stepped(sqlite_ledger, own_broker).step(at=2)
    assert len(own_broker.ids()) == 18

    with worker(settings, tmp_path / "worker.log") as process:
        wait_until(lambda: len(work_rows(sqlite_ledger, state=WorkState.DONE)) == 18, 40)
        assert process.poll() is None

    in_order = sorted(work_rows(sqlite_ledger), key=lambda row: row.finished_at)
    assert [row.priority for row in in_order] == [Priority.URGENT] * 4 + [Priority.ROUTINE] * 14
    assert process.returncode == 0 or -process.returncode == signal.SIGTERM
    # Every message was acknowledged: none would be given out again.
    with own_broker.connect() as client:
        assert client.hlen("unacked") == 0
