"""The HL7 door with TLS: Python and openssl as senders."""

import shutil
import socket
import ssl
import subprocess
import time
from pathlib import Path

import pytest

from hl7_sender import CR, FS, OpenADoor, OpenDoor, Sender, a_message, framed
from waiting import wait_until

pytestmark = pytest.mark.integration


@pytest.fixture
def tls_door(open_door: OpenADoor, pki: Path) -> OpenDoor:
    return open_door(
        settings={
            "hl7_tls_certificate": pki / "door.pem",
            "hl7_tls_key": pki / "door.key",
            "hl7_tls_client_ca": pki / "authority.pem",
        },
        handshake_seconds=1.0,
    )


def trusting(pki: Path, name: str | None) -> ssl.SSLContext:
    """A sender that trusts our authority and shows the certificate of this name."""
    context = ssl.create_default_context(cafile=pki / "authority.pem")
    if name is not None:
        context.load_cert_chain(pki / f"{name}.pem", pki / f"{name}.key")
    return context


def test_a_sender_with_a_certificate_is_answered(tls_door: OpenDoor, pki: Path) -> None:
    with Sender(tls_door.port, tls=trusting(pki, "sender")) as sender:
        assert sender.ask(a_message()).code == "AA"
        # Larger than a TLS record, and in pieces with pauses for the reader to see a tick.
        text = "OBX|1|TX|||" + "No effusion. " * 10_000 + "||||||F"
        block = framed(a_message(text, control_id="M-2", order="OBR|1||FI-2"))
        sender.send(block[:40_000])
        time.sleep(0.4)
        sender.send(block[40_000:])
        assert sender.answer().code == "AA"
    assert len(tls_door.reports()) == 2


def test_openssl_is_answered(tls_door: OpenDoor, pki: Path) -> None:
    openssl = shutil.which("openssl")
    assert openssl is not None
    command = (
        openssl, "s_client", "-quiet", "-verify_return_error", "-CAfile", pki / "authority.pem",
        "-cert", pki / "sender.pem", "-key", pki / "sender.key",
        "-connect", f"127.0.0.1:{tls_door.port}",
    )  # fmt: skip
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as client:
        assert client.stdin is not None
        assert client.stdout is not None
        client.stdin.write(framed(a_message()))
        client.stdin.flush()
        answer = b""
        while not answer.endswith(FS + CR):
            piece = client.stdout.read1()
            assert piece, "openssl ended"
            answer += piece
        client.terminate()
    assert b"MSA|AA|M-1" in answer


@pytest.mark.parametrize("name", [None, "stranger"])
def test_a_sender_without_a_certificate_of_ours_is_not_heard(
    tls_door: OpenDoor, pki: Path, name: str | None
) -> None:
    # TLS 1.3 lets a client end its handshake before the door has looked at its certificate.
    with (
        pytest.raises((OSError, AssertionError)),
        Sender(tls_door.port, tls=trusting(pki, name)) as sender,
    ):
        sender.ask(a_message())
    assert tls_door.reports() == []


def test_a_sender_without_tls_is_not_heard(tls_door: OpenDoor) -> None:
    with Sender(tls_door.port) as sender:
        sender.send(framed(a_message()))
        assert sender.is_closed_by_the_door()
    assert tls_door.reports() == []


def test_a_handshake_that_does_not_end_keeps_nobody_out(tls_door: OpenDoor, pki: Path) -> None:
    with socket.create_connection(("127.0.0.1", tls_door.port), 10) as slow:
        slow.sendall(b"\x16\x03\x01")  # the begin of a ClientHello
        with Sender(tls_door.port, tls=trusting(pki, "sender")) as sender:
            assert sender.ask(a_message()).code == "AA"
        assert slow.recv(100) == b"", "the door closes when the deadline is over"
    wait_until(lambda: tls_door.door.connections == [])


def test_an_idle_tls_sender_makes_room(open_door: OpenADoor, pki: Path) -> None:
    files = {"hl7_tls_certificate": pki / "door.pem", "hl7_tls_key": pki / "door.key"}
    door = open_door(settings=files, connections=1)
    with Sender(door.port, tls=trusting(pki, None)) as first:
        assert first.ask(a_message()).code == "AA"
        with Sender(door.port, tls=trusting(pki, None)) as second:
            assert second.ask(a_message()).code == "AA"
            assert first.is_closed_by_the_door()
