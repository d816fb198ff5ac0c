"""Sending by MLLP: what each acknowledgement means."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from finished_result import a_result
from medqueue.errors import DeliveryRefusedError, UnavailableError
from workers.delivery.sending import tell


@contextmanager
def a_receiver(answer: bytes) -> Iterator[str]:
    """A system that gives one answer, and its address."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                received = b""
                while not received.endswith(b"\x1c\r"):
                    received += connection.recv(65_536)
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"mllp://127.0.0.1:{server.getsockname()[1]}"
        thread.join()


def an_answer(code: str) -> bytes:
    return f"\x0bMSH|^~\\&|HIS\rMSA|{code}|1|a text\r\x1c\r".encode()


@pytest.mark.parametrize("code", ["AA", "CA"])
def test_an_acceptance_is_an_arrival(code: str) -> None:
    with a_receiver(an_answer(code)) as url:
        tell(a_result(), url, sending_facility="MEDQUEUE")


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (an_answer("AE"), UnavailableError),
        (an_answer("AR"), DeliveryRefusedError),
        (b"\x0bMSH|^~\\&|HIS\r\x1c\r", UnavailableError),
        (b"", UnavailableError),
        (b"x" * 70_000, UnavailableError),
    ],
)
def test_anything_else_is_none(answer: bytes, error: type[Exception]) -> None:
    with a_receiver(answer) as url, pytest.raises(error) as caught:
        tell(a_result(), url, sending_facility="MEDQUEUE")
    assert "a text" not in str(caught.value)
