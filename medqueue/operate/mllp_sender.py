"""Sends HL7 v2 messages by MLLP, and makes report texts into one for the demo and benchmarks."""

import socket
from datetime import datetime
from typing import Self

from medqueue.errors import UnavailableError

_VT, _END = b"\x0b", b"\x1c\r"
_ACCEPTED = ("AA", "CA")
_LONGEST_ANSWER = 64 * 1024
ESCAPES = str.maketrans(
    {"\\": "\\E\\", "|": "\\F\\", "^": "\\S\\", "&": "\\T\\", "~": "\\R\\", "\n": "\\.br\\"}
)


def report_message(
    text: str,
    *,
    report_id: str,
    accession_number: str,
    patient_id: str,
    charset: str,
    now: datetime,
) -> str:
    """Return an ORU^R01 of version 2.5.1 with one observation."""
    moment = f"{now:%Y%m%d%H%M%S}"
    header = f"MSH|^~\\&|RIS|DEMO|MEDQUEUE|AI|{moment}||ORU^R01^ORU_R01|{report_id}-{moment}"
    return "\r".join(
        (
            f"{header}|P|2.5.1||||||{charset}",
            f"PID|1||{patient_id}^^^DEMO^MR||DEMO^REPORT",
            f"OBR|1||{report_id}|71020^CHEST X-RAY^C4{'|' * 14}{accession_number}|||||||F",
            f"OBX|1|FT|59776-5^Findings^LN||{text.translate(ESCAPES)}||||||F",
            "",
        )
    )


class MllpSender:
    """One connection to a receiver of HL7, ours or another's."""

    def __init__(self, host: str, port: int, *, seconds: float) -> None:
        """Connect.

        Raises:
            UnavailableError: nobody listens there.
        """
        try:
            self._socket = socket.create_connection((host, port), seconds)
        except OSError as error:
            raise UnavailableError(
                f"the HL7 door does not answer: {error.strerror or 'timed out'}"
            ) from None

    def __enter__(self) -> Self:
        """Return the connection."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connection."""
        self._socket.close()

    def send(self, message: bytes) -> None:
        """Send a message and wait until it is accepted.

        Raises:
            UnavailableError: it is not; the message says why.
        """
        code, reason = self.ask(message)
        if code not in _ACCEPTED:
            raise UnavailableError(f"the HL7 door answered {code}: {reason}")

    def ask(self, message: bytes) -> tuple[str, str]:
        """Send a message, and return the acknowledgement code (table 0008) and its text.

        Raises:
            UnavailableError: none came.
        """
        answer = b""
        try:
            self._socket.sendall(_VT + message + _END)
            while not answer.endswith(_END):
                received = self._socket.recv(65_536)
                if not received:
                    raise UnavailableError("the HL7 door closed the connection")
                answer += received
                if len(answer) > _LONGEST_ANSWER:
                    raise UnavailableError("the HL7 door answers without end")
        except OSError as error:
            raise UnavailableError(
                f"the HL7 door does not answer: {error.strerror or 'timed out'}"
            ) from None
        segments = answer.decode("latin-1").split("\r")
        outcome = next((one.split("|") for one in segments if one.startswith("MSA|")), [])
        _, code, _, reason = (*outcome, "", "", "", "")[:4]
        return code, reason
