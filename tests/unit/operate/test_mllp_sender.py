"""What our own sender writes is what our own door reads; what it is refused, it says."""

import socket
import threading
from datetime import UTC, datetime

import pytest

from medqueue.doors.hl7.limits import Limits
from medqueue.doors.hl7.message import Message
from medqueue.doors.hl7.submissions import read_submissions
from medqueue.errors import UnavailableError
from medqueue.operate.mllp_sender import MllpSender, report_message


def test_every_character_of_a_text_comes_through() -> None:
    text = "A|B^C&D~E\\F\\.br\\\nnext line: 未见气胸"
    message = report_message(
        text,
        report_id="R-1",
        accession_number="A-1",
        patient_id="P-1",
        charset="GB 18030-2000",
        now=datetime(2026, 3, 1, tzinfo=UTC),
    )
    parsed = Message(message.encode("gb18030"), default_codec="utf-8", limits=Limits())
    (found,) = read_submissions(parsed)
    read = found.submission
    assert (read.text, read.report_id, read.accession_number, read.patient_id) == (
        text,
        "R-1",
        "A-1",
        "P-1",
    )


@pytest.mark.parametrize(
    ("answer", "words"),
    [(b"\x0bMSH|^~\\&\rMSA|AR|1|no text\r\x1c\r", "AR: no text"), (b"", "closed")],
)
def test_a_refusal_is_told(answer: bytes, words: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            peer, _ = server.accept()
            with peer:
                peer.recv(1000)
                peer.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        with (
            MllpSender("127.0.0.1", server.getsockname()[1], seconds=5) as sender,
            pytest.raises(UnavailableError, match=words),
        ):
            sender.send(b"MSH")
        thread.join()


def test_a_door_that_is_not_there_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(UnavailableError, match="does not answer"):
        MllpSender("127.0.0.1", port, seconds=5)
