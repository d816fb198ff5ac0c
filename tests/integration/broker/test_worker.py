"""A real `medqueue worker`: urgent work first, and nothing in hand is lost when it is stopped."""

import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from builders import submit, work_rows
from medqueue.ledger.engine import Ledger
from medqueue.operate import registration, release
from medqueue.operate.roles import console_script
from medqueue.operate.system import child_environment
from medqueue.settings import Settings
from relays import Stepped
from schemas.work import Priority, WorkState
from valkey_server import Broker
from waiting import wait_until

pytestmark = pytest.mark.integration


@contextmanager
def worker(settings: Settings, log: Path, role: str = "cpu") -> Iterator[subprocess.Popen[bytes]]:
    """A worker; one of cpu has one process, and so does one thing at a time."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(console_script()), "worker", "--role", role],
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


def test_a_promoted_version_is_loaded_before_its_first_study_comes(
    sqlite_ledger: Ledger, sqlite_url: str, own_broker: Broker, tmp_path: Path
) -> None:
    chest = next(f for f in registration.installed_packages() if f.name == "cxr-pneumonia")
    registration.register(sqlite_ledger, [chest], now=datetime.now(UTC))
    settings = own_broker.settings.model_copy(update={"database_url": sqlite_url})
    newer = tmp_path / "newer"
    shutil.copytree(chest, newer)
    text = (newer / "manifest.toml").read_text()
    (newer / "manifest.toml").write_text(re.sub('\nversion = ".*"', '\nversion = "9.9.9"', text))
    log = tmp_path / "worker.log"

    with worker(settings, log, "gpu"):
        wait_until(lambda: "model-loaded" in log.read_text(), 40)
        registration.add(sqlite_ledger, settings, newer, now=datetime.now(UTC))
        assert "9.9.9" not in log.read_text()
        release.promote(
            sqlite_ledger, settings, "cxr-pneumonia", "9.9.9", actor="test", now=datetime.now(UTC)
        )
        wait_until(lambda: "9.9.9" in log.read_text(), 20)
