"""Storage commitment, asked for by pynetdicom: what is held is said from disk and ledger."""

import queue
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid
from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.pdu import P_DATA_TF
from pynetdicom.transport import ThreadedAssociationServer
from sqlalchemy import select, update

from dimse_peer import (
    CT,
    IMPLICIT,
    OpenADoor,
    OpenDoor,
    RawPeer,
    a_store_request,
    an_object,
    encoded,
    p_data,
    pdv,
    store,
)
from medqueue.doors.dimse.reporter import Reporter
from medqueue.errors import ConfigurationError
from medqueue.ledger.engine import Ledger
from medqueue.ledger.tables import commitment_reports
from medqueue.operate import ports
from medqueue.settings import Settings
from waiting import wait_until

pytestmark = pytest.mark.integration

COMMITMENT, INSTANCE = "1.2.840.10008.1.20.1", "1.2.840.10008.1.20.1.1"
MR = "1.2.840.10008.5.1.4.1.1.4"


@dataclass(frozen=True)
class Told:
    """One N-EVENT-REPORT as the sender got it."""

    event_type: int
    information: Dataset

    def uids(self, keyword: str) -> list[str]:
        return [str(item.ReferencedSOPInstanceUID) for item in self.information.get(keyword, [])]


class Sender:
    """Asks for commitment and hears reports, on its own association or on one to it."""

    def __init__(self) -> None:
        self.told: queue.Queue[Told] = queue.Queue()
        self.handlers = [
            (evt.EVT_N_EVENT_REPORT, self._hear),
            (evt.EVT_PDU_SENT, self._answered),
        ]
        self._heard: Told | None = None

    def _hear(self, event: evt.Event) -> tuple[int, None]:
        self._heard = Told(event.request.EventTypeID, event.event_information)
        return 0x0000, None

    def _answered(self, event: evt.Event) -> None:
        """Tell only now: pynetdicom cannot release and answer at the same time."""
        if isinstance(event.pdu, P_DATA_TF) and self._heard is not None:
            heard, self._heard = self._heard, None
            self.told.put(heard)

    def associate(self, door: OpenDoor) -> Association:
        entity = AE(ae_title="MODALITY")
        entity.add_requested_context(COMMITMENT, IMPLICIT)
        association = entity.associate(
            "127.0.0.1", door.port, ae_title="MEDQUEUE", evt_handlers=self.handlers
        )
        assert association.is_established
        return association


@pytest.fixture
def sender() -> Sender:
    return Sender()


def a_request(*references: tuple[str, str]) -> Dataset:
    request = Dataset()
    request.TransactionUID = generate_uid()
    request.ReferencedSOPSequence = []
    for sop_class, instance in references:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, instance
        request.ReferencedSOPSequence.append(item)
    return request


def stored(door: OpenDoor) -> str:
    data_set = an_object()
    with RawPeer(door.port) as peer:
        peer.associate()
        assert store(peer, data_set) == 0x0000
    return str(data_set.SOPInstanceUID)


def ask(association: Association, request: Dataset, action: int = 1, on: str = INSTANCE) -> int:
    status, _ = association.send_n_action(request, action, COMMITMENT, on)
    return int(status.Status)


def test_what_is_held_is_committed_on_the_same_association(
    a_door: OpenDoor, sender: Sender
) -> None:
    uids = [stored(a_door), stored(a_door)]
    association = sender.associate(a_door)
    request = a_request(*((CT, uid) for uid in uids))
    assert ask(association, request) == 0x0000
    told = sender.told.get(timeout=10)
    assert told.event_type == 1
    assert told.information.TransactionUID == request.TransactionUID
    assert told.uids("ReferencedSOPSequence") == uids
    assert "FailedSOPSequence" not in told.information
    association.release()
    assert association.is_released


def test_what_is_not_held_is_named_with_the_reason(a_door: OpenDoor, sender: Sender) -> None:
    kept, lost = stored(a_door), stored(a_door)
    (row,) = [row for row in a_door.instances() if row.sop_instance_uid == lost]
    a_door.store.path_of(row.path).unlink()
    association = sender.associate(a_door)
    assert ask(association, a_request((CT, kept), (CT, lost), (CT, "1.2.99"), (MR, kept))) == 0
    told = sender.told.get(timeout=10)
    association.release()
    assert told.event_type == 2
    assert told.uids("ReferencedSOPSequence") == [kept]
    failed = [
        (str(item.ReferencedSOPInstanceUID), item.FailureReason)
        for item in told.information.FailedSOPSequence
    ]
    assert failed == [(lost, 0x0110), ("1.2.99", 0x0112), (kept, 0x0119)]


def test_a_request_made_to_fill_the_memory_is_refused(a_door: OpenDoor, sender: Sender) -> None:
    """Of an empty item, 8 bytes, a parser would make 700; or there are too many to begin with."""
    empty, long = a_request((CT, "1.2.99")), a_request((CT, "1.2.99"))
    empty.ReferencedSOPSequence = [Dataset() for _ in range(25_000)]
    long.EncapsulatedDocument = bytes(1024 * 1024)
    association = sender.associate(a_door)
    assert [ask(association, request) for request in (empty, long)] == [0x0213, 0x0213]
    assert ask(association, a_request((CT, "1.2.99"))) == 0x0000
    association.release()


@pytest.mark.parametrize(
    ("request_", "what", "status"),
    [
        (a_request((CT, "1.2.3")), (2, INSTANCE), 0x0123),
        (a_request((CT, "1.2.3")), (1, "1.2.3"), 0x0112),
        (a_request(), (1, INSTANCE), 0x0115),
    ],
    ids=["action", "instance", "no references"],
)
def test_what_cannot_be_asked_is_refused_and_the_association_lives(
    a_door: OpenDoor, sender: Sender, request_: Dataset, what: tuple[int, str], status: int
) -> None:
    association = sender.associate(a_door)
    assert ask(association, request_, *what) == status
    assert ask(association, a_request((CT, "1.2.99"))) == 0x0000
    assert sender.told.get(timeout=10).event_type == 2
    association.release()


@contextmanager
def a_listener(sender: Sender, port: int) -> Iterator[int]:
    """The sender waits for reports at a port."""
    entity = AE(ae_title="MODALITY")
    entity.add_supported_context(COMMITMENT, IMPLICIT, scu_role=False, scp_role=True)
    server = entity.start_server(("127.0.0.1", port), block=False, evt_handlers=sender.handlers)
    assert isinstance(server, ThreadedAssociationServer)
    yield server.server_address[1]
    server.shutdown()


@pytest.fixture
def listening(sender: Sender) -> Iterator[int]:
    """A port at which the sender waits for reports."""
    with a_listener(sender, 0) as port:
        yield port


def owed(door: OpenDoor) -> list[int]:
    """How often each report that is still owed has been tried."""
    with door.ledger.read() as connection:
        return list(connection.execute(select(commitment_reports.c.attempts)).scalars())


def test_a_sender_that_does_not_wait_is_called_back(
    open_door: OpenADoor, sender: Sender, listening: int
) -> None:
    door = open_door(commitment_peers=f"MODALITY@127.0.0.1:{listening}")
    uid = stored(door)
    association = sender.associate(door)
    assert ask(association, a_request((CT, uid))) == 0x0000
    association.release()
    told = sender.told.get(timeout=20)
    assert (told.event_type, told.uids("ReferencedSOPSequence")) == (1, [uid])
    assert sender.told.empty()


def test_a_report_outlives_a_peer_that_is_away_and_a_restart_of_the_door(
    open_door: OpenADoor, sender: Sender
) -> None:
    (port,) = ports.find_free(1)
    peers = f"MODALITY@127.0.0.1:{port}"
    door = open_door(commitment_peers=peers)
    uid = stored(door)
    association = sender.associate(door)
    assert ask(association, a_request((CT, uid))) == 0x0000
    association.release()
    wait_until(lambda: owed(door) == [1])
    door.door.stop(2.0)
    with door.ledger.write() as connection:
        connection.execute(update(commitment_reports).values(next_try_at=datetime.now(UTC)))
    with a_listener(sender, port):
        open_door(commitment_peers=peers)
        told = sender.told.get(timeout=20)
        assert (told.event_type, told.uids("ReferencedSOPSequence")) == (1, [uid])
        wait_until(lambda: owed(door) == [])


def test_without_a_ledger_the_peer_is_told_to_ask_again(
    open_door: OpenADoor, sender: Sender
) -> None:
    door = open_door(commitment_peers="MODALITY@127.0.0.1:1")
    association = sender.associate(door)
    with door.ledger.write() as connection:
        connection.exec_driver_sql("DROP TABLE commitment_reports")
    assert ask(association, a_request((CT, "1.2.99"))) == 0x0213
    association.release()


def test_an_object_cannot_be_stored_as_a_service(a_door: OpenDoor) -> None:
    verification = an_object(SOPClassUID="1.2.840.10008.1.1")
    with RawPeer(a_door.port) as peer:
        peer.associate()
        peer.send(p_data(
            pdv(3, a_store_request(verification), command=True, last=True),
            pdv(3, encoded(verification), command=False, last=True),
        ))  # fmt: skip
        assert peer.status() == 0x0122
    assert a_door.files() == []


@pytest.mark.parametrize("text", ["CT1", "CT1@10.0.0.1", "@10.0.0.1:104", "CT1@10.0.0.1:x"])
def test_addresses_that_are_not_in_their_form_stop_the_start(
    sqlite_ledger: Ledger, text: str
) -> None:
    with pytest.raises(ConfigurationError, match="AE@host:port"):
        Reporter(Settings(commitment_peers=text), sqlite_ledger)
