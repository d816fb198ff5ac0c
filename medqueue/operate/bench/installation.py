"""An installation to be measured: broker, workers and relay of its own on one database."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from pynetdicom.dsutils import split_dataset
from sqlalchemy import func, select

from medqueue.doors.admission import Admission, InstanceRequest
from medqueue.errors import UnavailableError
from medqueue.ledger import schema
from medqueue.ledger.engine import Ledger, open_ledger
from medqueue.ledger.tables import results
from medqueue.operate import registration, valkey
from medqueue.operate.roles import console_script
from medqueue.operate.system import child_environment
from medqueue.settings import Settings
from medqueue.storage.instances import InstanceStore
from schemas.report import ReportSubmission

_ENOUGH_SECONDS = 180.0
_LOOK_SECONDS = 0.05


class Installation:
    """Takes inputs as a door does, and knows its results."""

    def __init__(self, ledger: Ledger, settings: Settings, relay: int) -> None:
        self.ledger = ledger
        self._relay = relay
        store = InstanceStore(settings.instances_dir, min_free_mib=0)
        self._admission = Admission(ledger, store, max_attempts=settings.max_attempts)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Let inputs wait until the block ends."""
        os.kill(self._relay, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self._relay, signal.SIGCONT)

    def admit_file(self, file: Path, *, urgent: bool = False) -> None:
        """Take in one DICOM file."""
        meta, offset = split_dataset(file)
        request = InstanceRequest(
            meta.MediaStorageSOPClassUID,
            meta.MediaStorageSOPInstanceUID,
            meta.TransferSyntaxUID,
            "BENCH",
            urgent=urgent,
        )
        with self._admission.receive_instance(request) as incoming:
            incoming.write(file.read_bytes()[offset:])
            self._admission.admit_instance(request, incoming)

    def admit_text(self, text: str, *, urgent: bool = False) -> str:
        """Take in one report text, and return its id."""
        submission = ReportSubmission(text=text, language="en", urgent=urgent)
        return self._admission.admit_report(submission, source="bench")

    def count_results(self) -> int:
        """Return how many results there are."""
        with self.ledger.read() as connection:
            return connection.execute(select(func.count()).select_from(results)).scalar_one()


@contextmanager
def running_installation(folder: Path, url: str) -> Iterator[Installation]:
    """Start one on an empty database, with the installed models; end it with the block."""
    settings = Settings(data_dir=folder, database_url=url, study_quiet_seconds=0)
    ledger = open_ledger(settings.ledger_url)
    schema.upgrade(ledger)
    registration.register(ledger, registration.installed_packages(), now=datetime.now(UTC))
    program = str(console_script())
    with running_broker(settings), ExitStack() as stack:
        stack.callback(ledger.close)
        for role in ("cpu", "gpu"):
            words = [program, "worker", "--role", role]
            stack.enter_context(running_process(words, settings))
        relay = stack.enter_context(running_process([program, "serve", "relay"], settings))
        yield Installation(ledger, settings, relay)


@contextmanager
def running_broker(settings: Settings) -> Iterator[None]:
    """Run the embedded broker."""
    valkey.prepare(settings)
    with running_process(valkey.command(settings), settings):
        await_that(lambda: valkey.answers(settings))
        yield


@contextmanager
def running_process(words: Sequence[str], settings: Settings) -> Iterator[int]:
    """Run a program with these settings, and kill it and its children when the block ends."""
    with (settings.data_dir / "processes.log").open("ab") as log:
        process = subprocess.Popen(
            words,
            env=child_environment(settings),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        yield process.pid
    finally:
        # The group: a worker has children of its own.
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def await_that(condition: Callable[[], bool], *, every: float = _LOOK_SECONDS) -> None:
    """Look until the condition holds.

    Raises:
        UnavailableError: it does not within minutes.
    """
    deadline = time.monotonic() + _ENOUGH_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise UnavailableError("the benchmark did not end in time; is the machine overloaded?")
        time.sleep(every)
