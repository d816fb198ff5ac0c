"""The DICOM door with peers that keep to the protocol: answers, and the stop."""

import threading

import psutil
import pytest
from sqlalchemy.exc import OperationalError

from dimse_peer import (
    OpenADoor,
    OpenDoor,
    RawPeer,
    a_store_request,
    an_object,
    assert_a_good_sender_gets_in,
    encoded,
    p_data,
    pdv,
    store,
)
from medqueue.doors.dimse.listener import DimseDoor
from medqueue.errors import ConfigurationError
from medqueue.ledger import intake
from medqueue.settings import Settings
from waiting import wait_until

pytestmark = pytest.mark.integration

A_ASSOCIATE_AC, A_ASSOCIATE_RJ, A_RELEASE_RP, A_ABORT = 0x02, 0x03, 0x06, 0x07
RELEASE_RQ = bytes.fromhex("0500 00000004 00000000")


def test_fragments_of_any_size_and_several_in_a_pdu_make_one_object(a_door: OpenDoor) -> None:
    data_set = an_object()
    command, content = a_store_request(data_set), encoded(data_set)
    with RawPeer(a_door.port) as peer:
        peer.associate()
        # The command in pieces, the last of them in one PDU with the begin of the data set.
        peer.send(p_data(pdv(1, command[:7], command=True, last=False)))
        peer.send(p_data(
            pdv(1, command[7:9], command=True, last=False),
            pdv(1, command[9:], command=True, last=True),
            pdv(1, content[:1], command=False, last=False),
            pdv(1, b"", command=False, last=False),
        ))  # fmt: skip
        for byte in content[1:]:
            peer.send(p_data(pdv(1, bytes((byte,)), command=False, last=False)))
        peer.send(p_data(pdv(1, b"", command=False, last=True)))
        assert peer.status() == 0x0000
        peer.send(RELEASE_RQ)
        assert peer.receive()[0] == A_RELEASE_RP
    (row,) = a_door.instances()
    assert a_door.store.path_of(row.path).read_bytes().endswith(content)


def test_a_request_sent_before_the_last_answer_is_answered_in_turn(a_door: OpenDoor) -> None:
    objects = [an_object(), an_object()]
    with RawPeer(a_door.port) as peer:
        peer.associate()
        peer.send(b"".join(
            p_data(
                pdv(1, a_store_request(each, MessageID=number), command=True, last=True),
                pdv(1, encoded(each), command=False, last=True),
            )
            for number, each in enumerate(objects, start=1)
        ))  # fmt: skip
        answers = [peer.response(), peer.response()]
    assert [answer.MessageIDBeingRespondedTo for answer in answers] == [1, 2]
    assert {answer.Status for answer in answers} == {0}


@pytest.mark.parametrize(
    ("request_changes", "content", "status"),
    [
        ({"AffectedSOPInstanceUID": "1.2.99"}, None, 0xA900),
        ({"AffectedSOPClassUID": "1.2.840.10008.5.1.4.1.1.4"}, None, 0x0122),
        ({}, b"\xde\xad\xbe\xef" * 100, 0xC000),
        ({}, encoded(an_object())[:60], 0xC000),
        ({}, b"", 0xC000),
        ({"CommandField": 0x0020}, None, 0x0211),
    ],
    ids=["other UID", "other class", "noise", "cut off", "nothing", "C-FIND"],
)
def test_what_can_never_be_accepted_is_answered_with_why(
    a_door: OpenDoor, request_changes: dict[str, object], content: bytes | None, status: int
) -> None:
    data_set = an_object()
    with RawPeer(a_door.port) as peer:
        peer.associate()
        peer.send(p_data(
            pdv(1, a_store_request(data_set, **request_changes), command=True, last=True),
            pdv(1, encoded(data_set) if content is None else content, command=False, last=True),
        ))  # fmt: skip
        answer = peer.response()
        assert answer.Status == status
        assert 0 < len(answer.ErrorComment) <= 64
        assert "P-1" not in answer.ErrorComment
        assert store(peer, an_object()) == 0x0000
    assert len(a_door.files()) == 1


def test_a_full_disk_asks_the_sender_to_try_again(
    a_door: OpenDoor, monkeypatch: pytest.MonkeyPatch
) -> None:
    with RawPeer(a_door.port) as peer:
        peer.associate()
        monkeypatch.setattr(a_door.store, "_min_free", 2**60)
        assert store(peer, an_object()) == 0xA700
        monkeypatch.setattr(a_door.store, "_min_free", 0)
        assert store(peer, an_object()) == 0x0000


def test_when_the_ledger_fails_the_bytes_stay_and_the_sender_tries_again(
    a_door: OpenDoor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OperationalError("commit", {}, Exception("disk I/O error"))

    with RawPeer(a_door.port) as peer:
        peer.associate()
        with monkeypatch.context() as patch:
            patch.setattr(intake, "record_instance", fail)
            assert store(peer, an_object()) == 0xA700
        assert len(a_door.files()) == 1
        assert store(peer, an_object()) == 0x0000


def test_only_listed_callers_get_in(open_door: OpenADoor) -> None:
    door = open_door(calling_aes="PACS@127.0.0.1,CT@10.0.0.0/8")
    for calling, answer in (
        ("PACS", A_ASSOCIATE_AC),
        ("CT", A_ASSOCIATE_RJ),
        ("X", A_ASSOCIATE_RJ),
    ):
        with RawPeer(door.port) as peer:
            assert peer.associate(calling=calling)[0] == answer


def test_two_doors_on_one_port_are_refused_with_the_cure(a_door: OpenDoor) -> None:
    second = DimseDoor(Settings(dimse_port=a_door.port), a_door.admission)
    with pytest.raises(ConfigurationError, match="MEDQUEUE_DIMSE_PORT"):
        second.start()


def test_a_stopping_door_finishes_the_object_in_transfer(a_door: OpenDoor) -> None:
    data_set = an_object()
    with RawPeer(a_door.port) as idle, RawPeer(a_door.port) as busy:
        idle.associate()
        busy.associate()
        busy.send(p_data(pdv(1, a_store_request(data_set), command=True, last=True)))
        content = encoded(data_set)
        busy.send(p_data(pdv(1, content[:10], command=False, last=False)))
        wait_until(lambda: len(a_door.files()) == 1)
        stopper = threading.Thread(target=a_door.door.stop, args=(5.0,))
        stopper.start()
        assert idle.receive()[0] == A_ABORT
        busy.send(p_data(pdv(1, content[10:], command=False, last=True)))
        assert busy.status() == 0x0000
        assert busy.receive()[0] == A_ABORT
    stopper.join(10)
    assert len(a_door.instances()) == 1
    with pytest.raises(ConnectionRefusedError):
        RawPeer(a_door.port)


def test_memory_does_not_follow_the_size_of_an_object(a_door: OpenDoor) -> None:
    process = psutil.Process()
    data_set = an_object()
    content = encoded(data_set)
    assert_a_good_sender_gets_in(a_door)
    before = process.memory_info().rss
    with RawPeer(a_door.port) as peer:
        peer.associate()
        peer.send(p_data(pdv(1, a_store_request(data_set), command=True, last=True)))
        size = 200_000
        element = b"\xe0\x7f\x10\x00" + (size * 500).to_bytes(4, "little")
        peer.send(p_data(pdv(1, content + element, command=False, last=False)))
        piece = p_data(pdv(1, bytes(size), command=False, last=False))
        for _ in range(499):
            peer.send(piece)
        peer.send(p_data(pdv(1, bytes(size), command=False, last=True)))
        assert peer.status() == 0x0000
    assert process.memory_info().rss - before < 20 * 1024 * 1024
    assert max(row.size for row in a_door.instances()) > 100_000_000
