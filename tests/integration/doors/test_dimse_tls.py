"""The DICOM door with TLS, and with private SOP Classes: dcmtk as the sender."""

import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from dimse_peer import OpenADoor, OpenDoor, a_file, an_object, quick
from waiting import wait_until

pytestmark = pytest.mark.integration

Find = Callable[[str], str]


def run(*command: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, timeout=60, check=False
    )


@pytest.fixture
def tls_door(open_door: OpenADoor, pki: Path) -> OpenDoor:
    return open_door(
        quick(),
        tls_certificate=pki / "door.pem",
        tls_key=pki / "door.key",
        tls_client_ca=pki / "authority.pem",
    )


def push(
    door: OpenDoor, storescu: str, pki: Path, path: Path, name: str = "sender"
) -> subprocess.CompletedProcess[str]:
    return run(
        storescu, "-aec", "MEDQUEUE", "+tls", pki / f"{name}.key", pki / f"{name}.pem",
        "+cf", pki / "authority.pem", "127.0.0.1", door.port, path,
    )  # fmt: skip


def test_a_sender_with_a_certificate_stores_through_tls(
    tls_door: OpenDoor, dcmtk: Find, pki: Path, tmp_path: Path
) -> None:
    path = a_file(tmp_path, an_object(PixelData=bytes(1_000_000), BitsAllocated=8))
    answer = push(tls_door, dcmtk("storescu"), pki, path)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    (row,) = tls_door.instances()
    assert row.size > 1_000_000


def test_a_sender_without_a_certificate_of_ours_is_not_heard(
    tls_door: OpenDoor, dcmtk: Find, pki: Path, tmp_path: Path
) -> None:
    path = a_file(tmp_path, an_object())
    assert push(tls_door, dcmtk("storescu"), pki, path, "stranger").returncode != 0
    plain = run(dcmtk("storescu"), "-aec", "MEDQUEUE", "127.0.0.1", tls_door.port, path)
    assert plain.returncode != 0
    assert tls_door.instances() == []
    assert tls_door.door.counters.read().associations_accepted == 0


def test_a_handshake_that_does_not_end_keeps_nobody_out(
    tls_door: OpenDoor, dcmtk: Find, pki: Path, tmp_path: Path
) -> None:
    path = a_file(tmp_path, an_object())
    with socket.create_connection(("127.0.0.1", tls_door.port)) as slow:
        slow.sendall(b"\x16\x03\x01")  # the begin of a ClientHello
        assert push(tls_door, dcmtk("storescu"), pki, path).returncode == 0
        slow.settimeout(10)
        began = time.monotonic()
        assert slow.recv(100) == b"", "the door closes when the deadline is over"
        assert time.monotonic() - began < 5
    wait_until(lambda: tls_door.door._listener.running() == {})


def test_a_private_class_is_stored_where_the_site_takes_it(
    open_door: OpenADoor, dcmtk: Find, tmp_path: Path
) -> None:
    private = "1.2.276.0.7230010.3.1.0.1"
    path = a_file(tmp_path, an_object(SOPClassUID=private))
    for classes, taken in ((None, 0), (private, 1), ("any", 1)):
        door = open_door(private_sop_classes=classes)
        run(dcmtk("dcmsend"), "-aec", "MEDQUEUE", "127.0.0.1", door.port, path)
        tally = door.door.counters.read()
        assert tally.objects_accepted == taken
    assert [row.sop_class_uid for row in door.instances()] == [private]
