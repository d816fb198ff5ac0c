"""`kill -9` of any one process while studies are in work: each result still arrives, once."""

import signal
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import httpx
import psutil
import pytest

from medqueue.operate import demo_inputs
from medqueue.operate.ports import accepts_connections
from medqueue.operate.sandbox import Sandbox, running_system
from medqueue.operate.sender import send_files
from schemas.result import ResultStatus

pytestmark = pytest.mark.chaos

WORDS = {
    "valkey": "valkey-server",
    "worker-cpu": "worker --role cpu",
    "worker-gpu": "worker --role gpu",
    "guard_process": "guard_process.py",
}
"""What is in the command line of a role; of the others it is `serve` and their name."""
ROLES = ("valkey", "relay", "door", "api", "flower", "worker-cpu", "worker-gpu", "guard_process")
BURST = 6
WITHIN_SECONDS = 30.0


@pytest.fixture(scope="module")
def system() -> Iterator[Sandbox]:
    with running_system(quiet_seconds=0.2, start_seconds=100) as running:
        yield running


def process_of(system: Sandbox, role: str) -> psutil.Process | None:
    words = WORDS.get(role, f"serve {role}")
    for child in psutil.Process(system.pid).children():
        try:
            line = child.cmdline()
        except (psutil.NoSuchProcess, psutil.ZombieProcess):
            continue
        last = " ".join(line)
        if last.endswith(words) or (words in last and role in {"valkey", "guard_process"}):
            return child
    return None


def wait_for_process(system: Sandbox, role: str, *, other_than: int | None = None) -> int:
    def pid() -> int | None:
        found = process_of(system, role)
        return found.pid if found is not None and found.pid != other_than else None

    until(pid, f"{role} is not running")
    return pid() or 0


def results_of(system: Sandbox, study: str) -> list[dict[str, object]]:
    try:
        answer = httpx.get(f"{system.url}/studies/{study}", timeout=5)
    except httpx.TransportError:
        return []  # the killed process may be the one that answers
    return list(answer.json().get("results", []))


@pytest.mark.parametrize("role", ROLES)
def test_every_result_arrives_once(system: Sandbox, role: str) -> None:
    wait_for_process(system, "door")
    victim = wait_for_process(system, role)
    studies = send_burst(system, first=ROLES.index(role) * BURST)
    until(lambda: any(results_of(system, study) for study in studies), "no first result")
    psutil.Process(victim).send_signal(signal.SIGKILL)
    until(lambda: all(results_of(system, study) for study in studies), "a result is missing")
    wait_for_process(system, role, other_than=victim)
    for study in studies:
        until(lambda study=study: results_of(system, study), "the API is gone")
        statuses = [result["status"] for result in results_of(system, study)]
        assert statuses == [ResultStatus.FINAL]


def send_burst(system: Sandbox, *, first: int) -> list[str]:
    settings = system.settings
    until(lambda: accepts_connections(settings, settings.dimse_port), "the door is closed")
    now = datetime.now(UTC)
    burst = [
        demo_inputs.single_chest(system.folder, number, now=now)
        for number in range(first, first + BURST)
    ]
    files = [file for study in burst for file in study.files]
    summary = send_files(
        files, host=settings.bind, port=settings.dimse_port, called=settings.ae_title
    )
    assert not summary.failed
    return [study.study_instance_uid for study in burst]


def until(condition: Callable[[], object], complaint: str) -> None:
    deadline = time.monotonic() + WITHIN_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"{complaint} after {WITHIN_SECONDS:.0f} s"
        time.sleep(0.02)
