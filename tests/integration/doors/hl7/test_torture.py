"""Everything at once: many senders, good and bad; and the death of the door under load."""

import os
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
from sqlalchemy import select

from hl7_sender import VT, OpenADoor, Sender, a_message, an_obx, framed
from medqueue.ledger.engine import Ledger, open_ledger
from medqueue.ledger.tables import reports

pytestmark = pytest.mark.integration

SENDERS = 500
MIB = 1024 * 1024


@pytest.fixture
def many_files() -> Iterator[None]:
    """Both ends of 500 connections are in this process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 3 * SENDERS
    if hard != resource.RLIM_INFINITY and hard < wanted:
        pytest.skip(f"this machine gives a process fewer than {wanted} files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def good(number: int) -> bytes:
    return framed(a_message(control_id=f"M-{number}", order=f"OBR|1||FI-{number}"))


def of_another_kind(number: int) -> bytes:
    return framed(a_message(control_id=f"M-{number}", kind="ADT^A01"))


def not_in_its_character_set(number: int) -> bytes:
    message = a_message(an_obx("未见"), control_id=f"M-{number}", charset="UNICODE UTF-8")
    return framed(message.encode("gb18030"))


def oversized(number: int) -> bytes:
    return framed(a_message(an_obx("x" * 100_000), control_id=f"M-{number}"))


def after_noise(number: int) -> bytes:
    return b"noise \x00\r\n" + good(number)


def begun_twice(number: int) -> bytes:
    return VT + b"MSH|^~\\&|broken off" + good(number)


def without_a_carriage_return(number: int) -> bytes:
    return good(number)[:-1]


def never_ended(number: int) -> bytes:
    return good(number)[:-10]


KINDS: tuple[tuple[Callable[[int], bytes], str | None], ...] = (
    (good, "AA"),
    (good, "AA"),
    (of_another_kind, "unsupported-message"),
    (not_in_its_character_set, "character-set"),
    (oversized, "too-large"),
    (after_noise, "AA"),
    (begun_twice, "AA"),
    (without_a_carriage_return, "AA"),
    (never_ended, None),
)
"""What a sender sends, and what it is told: an acknowledgement, a code of ours, or nothing."""


def test_each_of_five_hundred_senders_at_once_gets_its_due(
    open_door: OpenADoor, ledger: Ledger, many_files: None
) -> None:
    door = open_door(ledger=ledger, message_length=64 * 1024)
    before = psutil.Process().memory_info().rss
    senders = [Sender(door.port) for _ in range(SENDERS)]
    # All have begun before any has ended, so none can be served after another.
    blocks = [KINDS[number % len(KINDS)][0](number) for number in range(SENDERS)]
    for sender, block in zip(senders, blocks, strict=True):
        sender.send(block[: len(block) // 2])
    for sender, block in zip(senders, blocks, strict=True):
        sender.send(block[len(block) // 2 :])
    accepted = set()
    for number, sender in enumerate(senders):
        make, told = KINDS[number % len(KINDS)]
        if told is None:
            sender.socket.shutdown(socket.SHUT_WR)
            assert sender.is_closed_by_the_door()
            continue
        answer = sender.answer()
        assert answer.control_id == f"M-{number}", make.__name__
        if told == "AA":
            assert answer.code == "AA", make.__name__
            accepted.add(f"FI-{number}")
        else:
            assert (answer.code, answer.error_code) == ("AR", told), make.__name__
    peak = psutil.Process().memory_info().rss
    for sender in senders:
        sender.socket.close()
    assert {row.report_id for row in door.reports()} == accepted
    assert peak - before < 150 * MIB
    with Sender(door.port) as sender:
        assert sender.ask(a_message(control_id="alive")).code == "AA"


_DOOR = """
import sys, threading
from pathlib import Path
from medqueue.doors.admission import Admission
from medqueue.doors.hl7.listener import Hl7Door
from medqueue.ledger.engine import open_ledger
from medqueue.logs import configure_logs
from medqueue.settings import Settings
from medqueue.storage.instances import InstanceStore

configure_logs("door", "error")
store = InstanceStore(Path(sys.argv[1]) / "instances", min_free_mib=0)
door = Hl7Door(Settings(), Admission(open_ledger(sys.argv[2]), store, max_attempts=3), port=0)
door.start()
print(door.port, flush=True)
threading.Event().wait()
"""


@pytest.fixture
def process(tmp_path: Path, ledger: Ledger) -> Iterator[subprocess.Popen[str]]:
    url = ledger.engine.url.render_as_string(hide_password=False)
    started = subprocess.Popen(
        [sys.executable, "-c", _DOOR, str(tmp_path), url],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[4])},  # noqa: TID251
    )
    with started:
        yield started
        started.kill()


def test_what_was_acknowledged_survives_kill_9_under_load(
    process: subprocess.Popen[str], ledger: Ledger
) -> None:
    assert process.stdout is not None
    port = int(process.stdout.readline())
    acknowledged: set[str] = set()

    def send(part: int) -> None:
        try:
            with Sender(port) as sender:
                for number in range(10_000):
                    name = f"{part}-{number}"
                    message = a_message(control_id=name, order=f"OBR|1||{name}")
                    assert sender.ask(message).code == "AA"
                    acknowledged.add(name)
                    if len(acknowledged) >= 200:
                        process.send_signal(signal.SIGKILL)
        except (AssertionError, OSError):
            return  # the door is dead

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(send, range(8)))
    process.wait(10)
    assert len(acknowledged) >= 200
    after = open_ledger(ledger.engine.url.render_as_string(hide_password=False))
    with after.read() as connection:
        kept = set(connection.execute(select(reports.c.report_id)).scalars())
    after.close()
    assert acknowledged <= kept
