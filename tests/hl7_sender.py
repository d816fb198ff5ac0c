"""A sender of HL7 v2 for tests: made-up messages, and a connection that speaks raw MLLP."""

import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

from sqlalchemy import Row, select

from medqueue.doors.hl7.listener import Hl7Door
from medqueue.ledger.engine import Ledger
from medqueue.ledger.tables import reports

VT, FS, CR = b"\x0b", b"\x1c", b"\r"
SECONDS = 20.0
UID = "1.2.840.99999.1"


def an_obx(text: str, *, number: int | str = 1, kind: str = "TX", status: str = "F") -> str:
    """One observation with a text."""
    return f"OBX|{number}|{kind}|71020^CHEST||{text}||||||{status}"


def a_message(
    *lines: str,
    control_id: str = "M-1",
    kind: str = "ORU^R01",
    version: str = "2.5",
    charset: str = "UNICODE UTF-8",
    patient: str = "PID|1||P-1^^^HOSP^MR||DOE^JANE",
    order: str = "OBR|1|PL-1|FI-1|71020^CHEST||||||||||||||A-1",
) -> str:
    """A report of one chest film; the lines replace its one observation."""
    header = (
        f"MSH|^~\\&|RIS|HOSPITAL|MEDQUEUE|AI|20260301120000||{kind}|{control_id}|P|{version}"
        f"||||||{charset}"
    )
    body = lines or (an_obx("No pneumothorax."),)
    return "\r".join((header, patient, order, *body)) + "\r"


def framed(message: str | bytes, encoding: str = "utf-8") -> bytes:
    """A block of MLLP."""
    content = message.encode(encoding) if isinstance(message, str) else message
    return VT + content + FS + CR


class Acknowledgement:
    """What the door answered."""

    def __init__(self, content: bytes) -> None:
        self.content = content.decode("latin-1")
        self.segments = {
            line[:3]: line.split(line[3] if line[:3] != "MSH" else "|")
            for line in self.content.strip("\r").split("\r")
        }

    @property
    def code(self) -> str:
        return self.segments["MSA"][1]

    @property
    def control_id(self) -> str:
        return self.segments["MSA"][2]

    @property
    def reason(self) -> str:
        return self.segments["MSA"][3]

    @property
    def error_code(self) -> str:
        """Our stable code, in ERR-5."""
        return self.segments["ERR"][5]


class Sender:
    """One connection to the door."""

    def __init__(self, port: int, *, tls: ssl.SSLContext | None = None) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), SECONDS)
        if tls is not None:
            self.socket = tls.wrap_socket(self.socket, server_hostname="127.0.0.1")
        self.socket.settimeout(SECONDS)
        self._received = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def ask(self, message: str | bytes, encoding: str = "utf-8") -> Acknowledgement:
        """Send a message and return its acknowledgement."""
        self.send(framed(message, encoding))
        return self.answer()

    def answer(self) -> Acknowledgement:
        """Return the next acknowledgement."""
        while FS + CR not in self._received:
            more = self.socket.recv(65536)
            assert more, "the door closed the connection without an answer"
            self._received += more
        block, _, self._received = self._received.partition(FS + CR)
        assert block.startswith(VT)
        return Acknowledgement(block[1:])

    def is_closed_by_the_door(self) -> bool:
        """Wait for the door to close the connection; what it still says does not count."""
        try:
            while self.socket.recv(65536):
                pass
        except (ConnectionResetError, ssl.SSLError):
            return True
        return True


@dataclass(frozen=True)
class OpenDoor:
    """A door that listens, and what it has written."""

    door: Hl7Door
    ledger: Ledger

    @property
    def port(self) -> int:
        return self.door.port

    def reports(self) -> list[Row[Any]]:
        """Every version of every report, oldest first."""
        with self.ledger.read() as connection:
            return list(connection.execute(select(reports).order_by(reports.c.id)).all())

    def report(self) -> Row[Any]:
        (row,) = self.reports()
        return row


OpenADoor = Callable[..., OpenDoor]
