"""A worker that stands still past its lease and is let go: a real process, a real SIGSTOP."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from builders import a_due_report, a_final, result_rows, work_rows
from medqueue.ledger import dispatch, work
from medqueue.ledger.engine import Ledger
from medqueue.operate.system import child_environment
from medqueue.settings import Settings
from schemas.result import ResultStatus
from schemas.work import Claim
from waiting import wait_until

pytestmark = pytest.mark.chaos

LEASE = 1.0
_PROGRAM = Path(__file__).with_name("frozen_worker.py")


@contextmanager
def frozen_in_work(ledger: Ledger, work_id: str, folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that holds the claim on the work and stands still."""
    url = ledger.engine.url.render_as_string(hide_password=False)
    settings = Settings(data_dir=folder / "data", database_url=url, lease_seconds=LEASE)
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, str(_PROGRAM), work_id],
            env=child_environment(settings),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "working\n", (folder / "log").read_text()
        process.send_signal(signal.SIGSTOP)
        yield process
        process.kill()


def let_go(process: subprocess.Popen[str], folder: Path) -> str:
    """Let the process end its work, and return its log."""
    process.send_signal(signal.SIGCONT)
    output, _ = process.communicate("go\n", timeout=20)
    assert output == "ended\n"
    return (folder / "log").read_text()


def take_over(ledger: Ledger, work_id: str) -> Claim:
    """Wait for the end of the lease as the relay does, and claim the work."""
    wait_until(lambda: dispatch.end_expired_leases(ledger, now=datetime.now(UTC)))
    claim = work.claim(
        ledger, work_id, worker="second", lease_seconds=60, now=datetime.now(UTC)
    )  # fmt: skip
    assert claim is not None
    return claim


def test_it_cannot_write_while_another_has_the_work(ledger: Ledger, tmp_path: Path) -> None:
    work_id = a_due_report(ledger)
    with frozen_in_work(ledger, work_id, tmp_path) as process:
        claim = take_over(ledger, work_id)
        log = let_go(process, tmp_path)

    assert "late-result-discarded" in log
    assert result_rows(ledger) == []
    assert work_rows(ledger)[0].worker == "second"
    work.finish(ledger, claim, outcome=a_final(claim), now=datetime.now(UTC))
    assert [row.status for row in result_rows(ledger)] == [ResultStatus.FINAL]


def test_it_cannot_write_after_another_has_ended_the_work(ledger: Ledger, tmp_path: Path) -> None:
    work_id = a_due_report(ledger)
    with frozen_in_work(ledger, work_id, tmp_path) as process:
        claim = take_over(ledger, work_id)
        work.finish(ledger, claim, outcome=a_final(claim), now=datetime.now(UTC))
        log = let_go(process, tmp_path)

    assert "late-result-discarded" in log
    assert [row.status for row in result_rows(ledger)] == [ResultStatus.FINAL]
