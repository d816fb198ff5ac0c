"""The DICOM door with peers that break the protocol, lie or dawdle; a good one always gets in."""

import random
import time

import pytest

from dimse_peer import (
    OpenADoor,
    OpenDoor,
    RawPeer,
    a_store_request,
    an_associate_request,
    an_object,
    assert_a_good_sender_gets_in,
    encoded,
    p_data,
    pdv,
    quick,
    send_object,
    store,
)
from medqueue.ledger import intake
from waiting import wait_until

pytestmark = pytest.mark.integration

A_ABORT = 0x07
RELEASE_RQ = bytes.fromhex("0500 00000004 00000000")


@pytest.fixture
def a_door(open_door: OpenADoor) -> OpenDoor:
    """One with deadlines that a test can wait for."""
    return open_door(quick())


def test_half_a_pdu_times_out_while_another_sender_is_served(a_door: OpenDoor) -> None:
    data_set = an_object()
    with RawPeer(a_door.port) as slow:
        slow.associate()
        slow.send(p_data(pdv(1, a_store_request(data_set), command=True, last=True)))
        slow.send(p_data(pdv(1, encoded(data_set), command=False, last=True))[:20])
        assert_a_good_sender_gets_in(a_door)
        assert slow.receive()[0] == A_ABORT
    assert len(a_door.instances()) == 1
    wait_until(lambda: len(a_door.files()) == 1)


def test_a_connection_that_never_asks_is_ended(open_door: OpenADoor) -> None:
    door = open_door(quick(request_seconds=0.3))
    with RawPeer(door.port) as silent, RawPeer(door.port) as brief:
        brief.send(an_associate_request()[:3])
        for peer in (silent, brief):
            assert peer.receive()[0] == A_ABORT


def test_an_idle_association_is_ended(open_door: OpenADoor) -> None:
    door = open_door(quick(idle_seconds=0.3))
    with RawPeer(door.port) as peer:
        peer.associate()
        assert peer.receive()[0] == A_ABORT


def test_an_object_that_drips_is_ended_though_every_pdu_is_in_time(open_door: OpenADoor) -> None:
    door = open_door(quick(object_seconds=0.3))
    data_set = an_object()
    with RawPeer(door.port) as peer:
        peer.associate()
        peer.send(p_data(pdv(1, a_store_request(data_set), command=True, last=True)))
        for _ in range(8):
            peer.send(p_data(pdv(1, b"\x00", command=False, last=False)))
            time.sleep(0.05)  # the attack itself
        assert peer.receive()[0] == A_ABORT


def test_strangers_that_only_open_connections_keep_nobody_out(open_door: OpenADoor) -> None:
    door = open_door(quick(connections=4))
    strangers = [RawPeer(door.port) for _ in range(12)]
    assert_a_good_sender_gets_in(door)
    for stranger in strangers:
        stranger.__exit__()


def test_an_association_too_many_is_rejected_as_transient(open_door: OpenADoor) -> None:
    door = open_door(quick(associations=1))
    with RawPeer(door.port) as first:
        first.associate()
        with RawPeer(door.port) as second:
            # Result 2 rejected-transient, source 3 presentation, reason 2 local-limit-exceeded.
            assert second.associate() == bytes.fromhex("0300 00000004 00 02 03 02")
    wait_until(lambda: door.door.counters.read().associations_open == 0)
    assert_a_good_sender_gets_in(door)


@pytest.mark.parametrize(
    ("attack", "reason"),
    [
        (b"\x04\x00" + (64 * 1024 * 1024).to_bytes(4, "big"), 6),
        (b"\x04\x00" + (0xFFFFFFFF).to_bytes(4, "big"), 6),
        (b"\x2a\x00" + bytes(4), 1),
        (an_associate_request(), 2),
        (p_data(b"\x00\x00\x00\x09\x01\x03ab"), 6),
        (p_data(pdv(1, b"junk", command=True, last=True)), 6),
        (p_data(pdv(1, b"data", command=False, last=True)), 5),
        (p_data(pdv(1, bytes(20_000), command=True, last=False)), 5),
        (p_data(pdv(5, a_store_request(an_object()), command=True, last=True)), 6),
        (b"\x05\x00\x00\x00\x00\x05" + bytes(5), 6),
    ],
    ids=[
        "64 MiB PDU", "4 GiB PDU", "unknown PDU", "second request", "value beyond PDU",
        "junk command", "data without command", "endless command", "unknown context",
        "long release",
    ],
)  # fmt: skip
def test_a_breach_of_protocol_is_aborted_with_its_reason(
    a_door: OpenDoor, attack: bytes, reason: int
) -> None:
    with RawPeer(a_door.port) as peer:
        peer.associate()
        peer.send(attack)
        # Source 2, service-provider.
        assert peer.receive() == bytes.fromhex("0700 00000004 0000 02") + bytes((reason,))
    assert_a_good_sender_gets_in(a_door)


@pytest.mark.parametrize(
    "first", [RELEASE_RQ, b"GET / HTTP/1.1\r\n\r\n", b"\x01\x00\xff\xff\xff\xff"]
)
def test_what_does_not_begin_with_a_request_is_aborted(a_door: OpenDoor, first: bytes) -> None:
    with RawPeer(a_door.port) as peer:
        peer.send(first)
        # Source 0, service-user, as action AA-1 has it.
        assert peer.receive() == bytes.fromhex("0700 00000004 0000 00 00")


def test_an_object_beyond_the_limit_is_aborted_and_leaves_nothing(
    open_door: OpenADoor,
) -> None:
    door = open_door(quick(object_length=100_000))
    data_set = an_object()
    with RawPeer(door.port) as peer:
        peer.associate()
        peer.send(p_data(pdv(1, a_store_request(data_set), command=True, last=True)))
        for _ in range(3):
            peer.send(p_data(pdv(1, bytes(50_000), command=False, last=False)))
        assert peer.receive()[0] == A_ABORT
    wait_until(lambda: door.files() == [])
    assert door.refusals() == ["protocol"]


def test_a_path_as_uid_is_refused_and_the_association_goes_on(a_door: OpenDoor) -> None:
    data_set = an_object()
    with RawPeer(a_door.port) as peer:
        peer.associate()
        evil = a_store_request(data_set).replace(
            str(data_set.SOPInstanceUID).encode()[:10], b"../../../e"
        )
        peer.send(p_data(
            pdv(1, evil, command=True, last=True),
            pdv(1, encoded(data_set), command=False, last=True),
        ))  # fmt: skip
        answer = peer.response()
        assert answer.Status == 0xA900
        assert "is not a UID" in answer.ErrorComment
        assert store(peer, an_object()) == 0x0000
    assert a_door.refusals() == ["identity"]
    assert len(a_door.files()) == 1


def test_a_fault_of_ours_costs_one_association_only(
    a_door: OpenDoor, monkeypatch: pytest.MonkeyPatch
) -> None:
    with RawPeer(a_door.port) as peer:
        peer.associate()
        with monkeypatch.context() as patch:
            patch.setattr(intake, "record_instance", lambda *_, **__: 1 / 0)
            send_object(peer, an_object())
            assert peer.receive()[0] == A_ABORT
    assert_a_good_sender_gets_in(a_door)


def test_mutated_traffic_neither_stops_nor_grows_the_door(a_door: OpenDoor) -> None:
    chance = random.Random(20260301)  # noqa: S311 - repeatable
    data_set = an_object()
    good = p_data(
        pdv(1, a_store_request(data_set), command=True, last=True),
        pdv(1, encoded(data_set), command=False, last=True),
    )
    for _ in range(150):
        traffic = bytearray(an_associate_request() + good)
        for _ in range(chance.randint(1, 8)):
            traffic[chance.randrange(len(traffic))] = chance.randrange(256)
        with RawPeer(a_door.port) as peer:
            peer.send(bytes(traffic[: chance.randint(1, len(traffic))]))
    assert_a_good_sender_gets_in(a_door)
    wait_until(lambda: a_door.door.counters.read().associations_open == 0)
    assert len(a_door.files()) == len(a_door.instances())
