"""A rig for one fault at a time: a ledger, a real Valkey, a relay and real cpu workers."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Row

from builders import result_rows, work_rows
from medqueue.broker.app import create_app
from medqueue.broker.relay import Relay
from medqueue.ledger import report_intake
from medqueue.ledger.engine import Ledger
from medqueue.ledger.report_intake import ReceivedReport
from medqueue.operate import registration
from medqueue.operate.system import child_environment
from medqueue.settings import Settings
from schemas.report import ReportSubmission
from valkey_server import Broker
from waiting import wait_until

START_SECONDS = 40.0
_PROGRAM = Path(__file__).with_name("faulty_worker.py")


class Rig:
    """Real time, real processes; `slow` and `poison` in a text do what they say."""

    def __init__(self, ledger: Ledger, settings: Settings, broker: Broker, folder: Path) -> None:
        self.ledger = ledger
        self.settings = settings
        self.broker = broker
        self._folder = folder
        self._workers: list[subprocess.Popen[bytes]] = []

    def submit(self, *texts: str, urgent: bool = False) -> list[str]:
        """Record texts in one transaction; return the ids of the reports."""
        with self.ledger.write() as connection:
            return report_intake.record_reports(
                connection,
                [
                    ReceivedReport(
                        ReportSubmission(text=text, language="en", urgent=urgent), "http"
                    )
                    for text in texts
                ],
                max_attempts=self.settings.max_attempts,
                now=datetime.now(UTC),
            )

    def work_on(self, report: str) -> Row[tuple[object, ...]]:
        return work_rows(self.ledger, subject_id=report)[0]

    def results_of(self, report: str) -> list[Row[tuple[object, ...]]]:
        return result_rows(self.ledger, subject_id=report)

    def wait_for(self, *reports: str, seconds: float = 30.0) -> None:
        wait_until(
            lambda: all(self.results_of(report) for report in reports), seconds, what="results"
        )

    def start_worker(self) -> subprocess.Popen[bytes]:
        """Start a worker as the supervisor does: as the leader of a group of its own."""
        log = self._folder / f"worker-{len(self._workers)}.log"
        with log.open("wb") as output:
            worker = subprocess.Popen(
                [sys.executable, str(_PROGRAM), str(self.gate)],
                env=child_environment(self.settings),
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self._workers.append(worker)
        return worker

    @property
    def gate(self) -> Path:
        """Slow texts end when this file is there."""
        return self._folder / "gate"

    def stop(self) -> None:
        for worker in self._workers:
            with suppress(ProcessLookupError):
                os.killpg(worker.pid, signal.SIGKILL)
            worker.wait()


@contextmanager
def running_rig(ledger: Ledger, broker: Broker, folder: Path, **values: object) -> Iterator[Rig]:
    """Run a relay and one worker until the block ends; the worker has done a first text."""
    registration.register(ledger, registration.installed_packages(), now=datetime.now(UTC))
    url = ledger.engine.url.render_as_string(hide_password=False)
    settings = broker.settings.model_copy(update={"database_url": url, **values})
    rig = Rig(ledger, settings, broker, folder)
    stop = threading.Event()
    thread = threading.Thread(target=Relay(ledger, create_app(settings), settings).run, args=[stop])
    with ExitStack() as stack:
        stack.callback(thread.join, 20)
        stack.callback(stop.set)
        stack.callback(rig.stop)
        thread.start()
        rig.start_worker()
        rig.wait_for(*rig.submit("No pneumothorax."), seconds=START_SECONDS)
        yield rig


def seconds_until(condition: object, seconds: float, *, what: str) -> float:
    """Wait for a state and return how long it took."""
    begin = time.monotonic()
    wait_until(condition, seconds, what=what)  # type: ignore[arg-type]
    return time.monotonic() - begin
