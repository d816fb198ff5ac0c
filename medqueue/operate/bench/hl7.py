"""The HL7 door: report texts a second by MLLP, each acknowledged only when it is durable.

As messages a second of the clock, and of the door's own processor time: the second says what one
core can do, whatever else the machine does.
"""

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
    _Case("report of 5 lines, 1 connection", 500, 1, 5),
    _Case("report of 5 lines, 16 connections", 2000, 16, 5),
    _Case("report of 60 lines, 16 connections", 1000, 16, 60),
)


def run() -> list[Row]:
    """Send every case to a door of its own on SQLite, with the bundled models released."""
    with tempfile.TemporaryDirectory(prefix="medqueue-bench-") as folder:
        dimse, mllp = ports.find_free(2)
        settings = Settings(data_dir=Path(folder), dimse_port=dimse, mllp_port=mllp)
        with _door(settings) as process:
            return [row for case in _CASES for row in _measure(case, settings, process)]


def _measure(case: _Case, settings: Settings, door: psutil.Process) -> Iterator[Row]:
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
    yield Row(case.name, round(case.messages / seconds, 1), "messages/s")
    yield Row(case.name, round(case.messages / worked, 1), "messages/s of one core")


def _processor_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


@contextmanager
def _door(settings: Settings) -> Iterator[psutil.Process]:
    ledger = open_ledger(settings.ledger_url)
    schema.upgrade(ledger)
    registration.register(ledger, registration.installed_packages(), now=datetime.now(UTC))
    ledger.close()
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
        yield psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait()
