"""Mutated PDUs against the DICOM door: recorded associations with one PDU changed in each.

The others stay as they are, so that the door reads as far as the changed one: one association is
one mutated PDU.
"""

import random
import signal
import socket
import struct
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

import psutil
import structlog

from fuzz.campaign.mutation import mutated
from medqueue.doors.admission import Admission
from medqueue.doors.dimse.association import Association
from medqueue.doors.dimse.limits import Limits
from medqueue.doors.dimse.listener import DimseDoor
from medqueue.doors.dimse.pdu import HEADER_LENGTH, PduType
from medqueue.settings import Settings

RECORDINGS = sorted((Path(__file__).parents[1] / "recordings").glob("*.bin"))
HANG_SECONDS = 10
"""An association whose bytes are all there, and whose sender has closed, ends at once."""
_HEADER = struct.Struct(">BxL")
_ANSWERS = {kind.value: kind.name for kind in PduType}


def split(recording: bytes) -> list[bytes]:
    """Cut what a requestor wrote into its PDUs."""
    pdus, at = [], 0
    while at < len(recording):
        _, length = _HEADER.unpack_from(recording, at)
        pdus.append(recording[at : at + HEADER_LENGTH + length])
        at += HEADER_LENGTH + length
    return pdus


class Traffic:
    """Streams of a requestor with one mutated PDU each, without end."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)  # noqa: S311 - repeatable
        self._recordings = [split(path.read_bytes()) for path in RECORDINGS]

    def __iter__(self) -> Iterator[bytes]:
        while True:
            yield self.next()

    def next(self) -> bytes:
        chance = self._chance
        pdus = list(chance.choice(self._recordings))
        place = chance.randrange(len(pdus))
        kind = chance.random()
        if kind < 0.04:
            pdus[place] = chance.choice(chance.choice(self._recordings))  # of another association
        elif kind < 0.08:
            pdus.insert(place, pdus[place])
        elif kind < 0.5:
            pdus[place] = self._with_true_length(mutated(pdus[place], chance))
        else:
            pdus[place] = mutated(pdus[place], chance)
        return b"".join(pdus)

    @staticmethod
    def _with_true_length(pdu: bytes) -> bytes:
        """Mend the PDU's own length, so that the change inside is what is read."""
        if len(pdu) < HEADER_LENGTH:
            return pdu
        return _HEADER.pack(pdu[0], len(pdu) - HEADER_LENGTH) + pdu[HEADER_LENGTH:]


@dataclass
class Report:
    """What came of a run."""

    sent: int = 0
    answers: Counter[str] = field(default_factory=Counter)
    """By the type of the last PDU that the door answered with."""
    seconds: float = 0.0
    slowest: float = 0.0
    grown_mib: float = 0.0
    """Resident memory after the last quarter, less that after the first."""
    left_over: list[str] = field(default_factory=list)
    """Threads and descriptors that should be gone."""
    faults: list[str] = field(default_factory=list)
    """Errors that nobody meant: each cost a sender its association, and is a finding."""

    def note(self, seconds: float, answer: str) -> None:
        """Count one association."""
        self.sent += 1
        self.answers[answer] += 1
        self.seconds += seconds
        self.slowest = max(self.slowest, seconds)


def run_in_process(folder: Path, admission: Admission, *, count: int, seed: int) -> Report:
    """Let associations read mutated traffic in this thread, over loopback connections."""
    door = DimseDoor(Settings(data_dir=folder), admission, port=0, limits=Limits())
    admission.open_berths()
    report, traffic, me = Report(), Traffic(seed), psutil.Process()
    before, early = _possessions(me), 0
    with socket.create_server(("127.0.0.1", 0)) as listener, _faults_noted(report.faults):
        for number in range(count):
            if number == count // 4:
                before, early = _possessions(me), me.memory_info().rss
            _play(listener, door, traffic.next(), report)
    report.grown_mib = (me.memory_info().rss - early) / 1024**2
    report.left_over = _more(before, _possessions(me))
    admission.close_berths()
    return report


def _play(listener: socket.socket, door: DimseDoor, stream: bytes, report: Report) -> None:
    with socket.create_connection(listener.getsockname()) as peer:
        connection, (address, _) = listener.accept()
        _send(peer, stream)  # as a whole: it is smaller than what the kernel buffers
        begun = time.monotonic()
        with no_hang():
            Association(connection, address, door._host).run()
        connection.close()
        report.note(time.monotonic() - begun, _last_answer(peer))


@contextmanager
def no_hang(seconds: float = HANG_SECONDS) -> Iterator[None]:
    """Fail with a traceback of the place if what is inside does not come to an end."""

    def fail(*_: object) -> None:
        raise AssertionError(f"no end after {seconds:g} s")

    before = signal.signal(signal.SIGALRM, fail)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def run_against(port: int, *, count: int, seed: int) -> Report:
    """Send mutated traffic to a door that listens, one connection after another."""
    report, traffic = Report(), Traffic(seed)
    for _ in range(count):
        begun = time.monotonic()
        with socket.create_connection(("127.0.0.1", port), timeout=HANG_SECONDS) as peer:
            _send(peer, traffic.next())
            answer = _last_answer(peer)
        report.note(time.monotonic() - begun, answer)
    return report


def _send(peer: socket.socket, stream: bytes) -> None:
    try:
        peer.sendall(stream)
        peer.shutdown(socket.SHUT_WR)
    except OSError:
        return  # the door has seen enough


def _last_answer(peer: socket.socket) -> str:
    """Read what the door says until it closes, and name the last PDU."""
    said = bytearray()
    try:
        while piece := peer.recv(65536):
            said += piece
    except ConnectionResetError:
        pass
    pdus = split(bytes(said)) if said else []
    return _ANSWERS[pdus[-1][0]] if pdus else "nothing"


@contextmanager
def _faults_noted(faults: list[str]) -> Iterator[None]:
    """Keep of the log what no sender should be able to bring about; drop the rest unwritten."""

    def note(_logger: object, method: str, event: structlog.typing.EventDict) -> NoReturn:
        if method in {"error", "exception", "critical"}:
            faults.append(f"{event['event']}: {traceback.format_exc(limit=-4)}")
        raise structlog.DropEvent

    before = structlog.get_config()
    structlog.configure(processors=[note])
    try:
        yield
    finally:
        structlog.configure(**before)


def _possessions(me: psutil.Process) -> dict[str, int]:
    return {"threads": me.num_threads(), "descriptors": me.num_fds()}


def _more(before: dict[str, int], after: dict[str, int]) -> list[str]:
    return [f"{after[name] - held} {name}" for name, held in before.items() if after[name] > held]
