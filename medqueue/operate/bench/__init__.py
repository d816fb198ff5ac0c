"""The project's own benchmarks: each a module with a function `run` that returns its rows.

Those of the workers, which this floor may not import, come by entry point.
"""

import importlib
import os
import platform
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import entry_points

import psutil

from medqueue.errors import NotFoundError

_GIB = 1024**3

BENCHMARKS: dict[str, str] = {
    "door": "objects a second into the DICOM door, against other receivers",
    "queue": "studies through the ledger, against a plain Celery chain without one",
    "urgency": "urgent inputs while 2,000 routine ones wait, against an idle system",
    "feed": "a poll of the results feed out of few results and out of many",
    "hl7": "report texts a second into the HL7 v2 door, each durable before it is acknowledged",
    "completeness": "studies of bad senders closed too early or late, against plain timers",
    "latency": "from the end of the last C-STORE to the visible result, less the quiet time",
}
"""What each measures; the name is that of its module here."""

ENTRY_POINT_GROUP = "medqueue.benchmarks"
"""Names a function like `run`; the first line of its docstring says what it measures."""


@dataclass(frozen=True, slots=True)
class Row:
    """One figure. `ratio` compares it with the same case of `against`."""

    case: str
    value: float
    unit: str
    ratio: float | None = None
    against: str | None = None


def benchmark_names() -> tuple[str, ...]:
    """Return the names of all benchmarks."""
    return *BENCHMARKS, *sorted(entry.name for entry in entry_points(group=ENTRY_POINT_GROUP))


def describe_benchmark(name: str) -> str:
    """Say what a benchmark measures."""
    return BENCHMARKS.get(name) or (_benchmark(name).__doc__ or "").partition("\n")[0]


def run_benchmark(name: str) -> list[Row]:
    """Run one benchmark; it starts and stops what it needs.

    Raises:
        NotFoundError: there is none of this name.
    """
    return _benchmark(name)()


def _benchmark(name: str) -> Callable[[], list[Row]]:
    run: Callable[[], list[Row]]
    if name in BENCHMARKS:
        run = importlib.import_module(f"{__name__}.{name}").run
        return run
    for entry in entry_points(group=ENTRY_POINT_GROUP, name=name):
        run = entry.load()
        return run
    raise NotFoundError(f"no benchmark {name}; there are: {', '.join(benchmark_names())}")


def describe_machine() -> str:
    """Say on what the figures were measured."""
    memory = psutil.virtual_memory().total / _GIB
    return (
        f"{os.cpu_count()} CPUs, {memory:.0f} GiB, {platform.system()} {platform.machine()}, "
        f"Python {platform.python_version()}"
    )
