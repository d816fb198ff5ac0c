"""The project's own benchmarks: each a module with a function `run` that returns its rows."""

import importlib
import os
import platform
from collections.abc import Callable
from dataclasses import dataclass

import psutil

from medqueue.errors import NotFoundError

_GIB = 1024**3

BENCHMARKS: dict[str, str] = {
    "door": "objects a second into the DICOM door, against other receivers",
    "queue": "studies through the ledger, against a plain Celery chain without one",
    "feed": "a poll of the results feed out of few results and out of many",
    "hl7": "report texts a second into the HL7 v2 door, each durable before it is acknowledged",
    "latency": "from the end of the last C-STORE to the visible result, less the quiet time",
}
"""What each measures; the name is that of its module here."""


@dataclass(frozen=True, slots=True)
class Row:
    """One figure. `ratio` compares it with the same case of `against`."""

    case: str
    value: float
    unit: str
    ratio: float | None = None
    against: str | None = None


def run_benchmark(name: str) -> list[Row]:
    """Run one benchmark; it starts and stops what it needs.

    Raises:
        NotFoundError: there is none of this name.
    """
    if name not in BENCHMARKS:
        raise NotFoundError(f"no benchmark {name}; there are: {', '.join(BENCHMARKS)}")
    module = importlib.import_module(f"{__name__}.{name}")
    run: Callable[[], list[Row]] = module.run
    return run()


def describe_machine() -> str:
    """Say on what the figures were measured."""
    memory = psutil.virtual_memory().total / _GIB
    return (
        f"{os.cpu_count()} CPUs, {memory:.0f} GiB, {platform.system()} {platform.machine()}, "
        f"Python {platform.python_version()}"
    )
