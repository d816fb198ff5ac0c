"""The HL7 door: report texts a second by MLLP, each acknowledged only when it is durable.

The door is bound to one core, and the senders to the others, where the system can do that. Beside
messages a second stands the door's own processor time: it says what the core was used for,
whatever else the machine does. On PostgreSQL the server's own time is not in it.
"""

import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psutil

from medqueue.errors import UnavailableError
from medqueue.ledger import schema
from medqueue.ledger.engine import open_ledger
from medqueue.operate import ports, registration
from medqueue.operate.bench import Row
from medqueue.operate.bench.databases import scratch_databases
from medqueue.operate.mllp_sender import MllpSender, report_message
from medqueue.operate.roles import console_script
from medqueue.operate.system import child_environment
from medqueue.settings import Settings

_START_SECONDS = 30.0
_ANSWER_SECONDS = 30.0
_SENTENCE = "The cardiomediastinal silhouette is normal. No pneumothorax or pleural effusion."


@dataclass(frozen=True, slots=True)
class _Case:
    name: str
    messages: int
    connections: int
    lines: int


_CASES = (
    _Case("report of 5 lines, 1 connection", 1000, 1, 5),
    _Case("report of 5 lines, 16 connections", 4000, 16, 5),
    _Case("report of 60 lines, 16 connections", 2000, 16, 60),
    _Case("report of 5 lines, 200 connections", 4000, 200, 5),
)


def run() -> list[Row]:
    """Send every case to a door on each database, with the bundled models released."""
    rows: list[Row] = []
    with scratch_databases() as databases:
        for kind in databases.kinds:
            with tempfile.TemporaryDirectory(prefix="medqueue-bench-") as folder:
                dimse, mllp = ports.find_free(2)
                settings = Settings(
                    data_dir=Path(folder),
                    database_url=databases.create(kind, "hl7"),
                    dimse_port=dimse,
                    mllp_port=mllp,
                )
                with _door(settings) as process:
                    for case in _CASES:
                        rows += _measure(f"{kind}: {case.name}", case, settings, process)
    return rows


def _measure(name: str, case: _Case, settings: Settings, door: psutil.Process) -> Iterator[Row]:
    now = datetime.now(UTC)
    text = "\n".join([_SENTENCE] * case.lines)
    messages = [
        report_message(
            text,
            report_id=f"{case.connections}-{case.lines}-{number}",
            accession_number=f"A-{number}",
            patient_id=f"P-{number}",
            charset="UNICODE UTF-8",
            now=now,
        ).encode()
        for number in range(case.messages)
    ]

    def send(part: int) -> None:
        with MllpSender(settings.bind, settings.mllp_port, seconds=_ANSWER_SECONDS) as sender:
            for message in messages[part :: case.connections]:
                sender.send(message)

    worked, began = _processor_seconds(door), time.monotonic()
    with ThreadPoolExecutor(case.connections) as pool:
        list(pool.map(send, range(case.connections)))
    seconds, worked = time.monotonic() - began, _processor_seconds(door) - worked
    yield Row(name, round(case.messages / seconds), "messages/s")
    yield Row(name, round(worked / case.messages * 1000, 2), "s of the core per 1,000 messages")


def _processor_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


@contextmanager
def _door(settings: Settings) -> Iterator[psutil.Process]:
    ledger = open_ledger(settings.ledger_url)
    schema.upgrade(ledger)
    registration.register(ledger, registration.installed_packages(), now=datetime.now(UTC))
    ledger.close()
    with _on_cores(slice(1)):  # a child stays where it was started
        process = subprocess.Popen(
            [str(console_script()), "serve", "door"],
            env=child_environment(settings),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
    try:
        deadline = time.monotonic() + _START_SECONDS
        while not ports.accepts_connections(settings, settings.mllp_port):
            if process.poll() is not None or time.monotonic() > deadline:
                raise UnavailableError("the HL7 door does not start here")
            time.sleep(0.05)
        with _on_cores(slice(1, None)):
            yield psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait()


@contextmanager
def _on_cores(wanted: slice) -> Iterator[None]:
    """Bind this thread, and what it starts, to some of the cores that it may use."""
    before = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()
    cores = sorted(before)[wanted]
    if len(before) < 2 or not cores:  # noqa: PLR2004 - one for the door and one for the senders
        yield
        return
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
