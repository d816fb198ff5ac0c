"""A DICOM door that is open, made-up objects, and a peer that can misbehave."""

import socket
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Self

from pydicom import dcmread
from pydicom.data import DATA_ROOT
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.errors import InvalidDicomError
from pydicom.uid import UID, generate_uid
from pynetdicom import build_context
from pynetdicom.dsutils import decode, encode
from pynetdicom.pdu import A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import (
    A_ASSOCIATE,
    ImplementationClassUIDNotification,
    MaximumLengthNotification,
)
from sqlalchemy import Row, select

from medqueue.doors.admission import Admission
from medqueue.doors.dimse.limits import Limits
from medqueue.doors.dimse.listener import DimseDoor
from medqueue.ledger.engine import Ledger
from medqueue.ledger.tables import audit_events, instances
from medqueue.storage.instances import InstanceStore

IMPLICIT = "1.2.840.10008.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
CT = "1.2.840.10008.5.1.4.1.1.2"
VERIFICATION = "1.2.840.10008.1.1"

QUICK = Limits(
    request_seconds=2.0, idle_seconds=5.0, pdu_seconds=0.5, object_seconds=5.0, send_seconds=2.0
)
"""Deadlines that a test can wait for."""


@dataclass(frozen=True)
class OpenDoor:
    """A door that listens, and what lies behind it."""

    door: DimseDoor
    admission: Admission
    ledger: Ledger
    store: InstanceStore

    @property
    def port(self) -> int:
        return self.door.port

    def instances(self) -> list[Row]:
        with self.ledger.read() as connection:
            return list(connection.execute(select(instances)).all())

    def refusals(self) -> list[str]:
        with self.ledger.read() as connection:
            return list(connection.execute(select(audit_events.c.code)).scalars())

    def files(self) -> list[Path]:
        """Objects and parts of them; no berths, which are empty, and no lists of berths."""
        found = [path for path in self.store.root.rglob("*") if path.suffix in {".dcm", ".part"}]
        return [path for path in found if path.exists() and path.stat().st_size]


OpenADoor = Callable[..., OpenDoor]
"""Opens one with limits and settings of the test's own."""


def storable_files() -> list[Path]:
    """Return pydicom's own files that have a place in a study, as PS3.3 asks."""
    found = []
    for path in sorted((Path(DATA_ROOT) / "test_files").rglob("*")):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # some of them are made to be warned of
                data_set = dcmread(path, stop_before_pixels=True, specific_tags=[*_PLACE])
        except (InvalidDicomError, IsADirectoryError):
            continue
        meta = data_set.file_meta
        if all(data_set.get(keyword) for keyword in _PLACE) and (
            meta.get("MediaStorageSOPInstanceUID") == data_set.SOPInstanceUID
            and meta.get("MediaStorageSOPClassUID") == data_set.SOPClassUID
            and meta.get("TransferSyntaxUID")
        ):
            found.append(path)
    return found


_PLACE = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")


def an_object(**changes: object) -> Dataset:
    """A small CT object of its own."""
    data_set = Dataset()
    data_set.SOPClassUID = CT
    data_set.SOPInstanceUID = generate_uid()
    data_set.StudyInstanceUID = "1.2.3"
    data_set.SeriesInstanceUID = "1.2.3.1"
    data_set.Modality = "CT"
    data_set.PatientID = "P-1"
    for keyword, value in changes.items():
        setattr(data_set, keyword, value)
    return data_set


def a_file(folder: Path, data_set: Dataset, name: str = "object.dcm") -> Path:
    """Write a data set as a DICOM file."""
    path = folder / name
    data_set.file_meta = FileMetaDataset()
    data_set.file_meta.TransferSyntaxUID = UID(IMPLICIT)
    data_set.save_as(path, enforce_file_format=True)
    return path


def encoded(data_set: Dataset) -> bytes:
    """A data set in Implicit VR Little Endian."""
    return encode(data_set, is_implicit_vr=True, is_little_endian=True) or b""


def pdv(context_id: int, content: bytes, *, command: bool, last: bool) -> bytes:
    """A presentation data value (PS3.8 section 9.3.5.1)."""
    control = command | last << 1
    return (len(content) + 2).to_bytes(4, "big") + bytes((context_id, control)) + content


def p_data(*values: bytes) -> bytes:
    """A P-DATA-TF PDU."""
    content = b"".join(values)
    return b"\x04\x00" + len(content).to_bytes(4, "big") + content


def a_store_request(data_set: Dataset, **changes: object) -> bytes:
    """The command set of a C-STORE-RQ."""
    command = Dataset()
    command.AffectedSOPClassUID = data_set.SOPClassUID
    command.CommandField = 0x0001
    command.MessageID = 1
    command.Priority = 0
    command.CommandDataSetType = 1
    command.AffectedSOPInstanceUID = data_set.SOPInstanceUID
    for keyword, value in changes.items():
        setattr(command, keyword, value)
    return encoded(command)


class RawPeer:
    """A requestor that sends the bytes it is told to, on a connection of its own."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=10)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def associate(self, *, called: str = "MEDQUEUE", calling: str = "RAW") -> bytes:
        """Propose CT (1) and Verification (3), and return the answer's PDU."""
        self.send(an_associate_request(called=called, calling=calling))
        return self.receive()

    def receive(self) -> bytes:
        """Return the next PDU, or nothing if the door has closed the connection."""
        head = self._exactly(6)
        return head + self._exactly(int.from_bytes(head[2:6], "big"))

    def status(self) -> int:
        """Return the Status of the next response."""
        return int(self.response().Status)

    def response(self) -> Dataset:
        """Return the command set of the next response."""
        pdu = self.receive()
        assert pdu[0] == 0x04, f"PDU type {pdu[0]} came instead of P-DATA-TF"
        return decode(BytesIO(pdu[12:]), is_implicit_vr=True, is_little_endian=True)

    def is_closed(self) -> bool:
        """Wait until the door has closed the connection."""
        try:
            return self._socket.recv(1) == b""
        except ConnectionResetError:
            return True

    def _exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            piece = self._socket.recv(count - len(data))
            if not piece:
                return data
            data += piece
        return data


def an_associate_request(*, called: str = "MEDQUEUE", calling: str = "RAW") -> bytes:
    """An A-ASSOCIATE-RQ PDU made by another implementation."""
    primitive = A_ASSOCIATE()
    primitive.application_context_name = "1.2.840.10008.3.1.1.1"
    primitive.calling_ae_title = calling
    primitive.called_ae_title = called
    maximum_length = MaximumLengthNotification()
    maximum_length.maximum_length_received = 16382
    implementation = ImplementationClassUIDNotification()
    implementation.implementation_class_uid = "1.2.3.4"
    primitive.user_information = [maximum_length, implementation]
    contexts = [build_context(CT, IMPLICIT), build_context(VERIFICATION, IMPLICIT)]
    for number, context in enumerate(contexts):
        context.context_id = 2 * number + 1
    primitive.presentation_context_definition_list = contexts
    pdu = A_ASSOCIATE_RQ(primitive)
    request: bytes = pdu.encode()
    return request


def send_object(peer: RawPeer, data_set: Dataset) -> None:
    """Send a C-STORE-RQ with its data set, in one PDU."""
    peer.send(
        p_data(
            pdv(1, a_store_request(data_set), command=True, last=True),
            pdv(1, encoded(data_set), command=False, last=True),
        )
    )


def store(peer: RawPeer, data_set: Dataset) -> int:
    """Send an object and return the Status of the answer."""
    send_object(peer, data_set)
    return peer.status()


def assert_a_good_sender_gets_in(door: OpenDoor) -> None:
    """Store an object on an association of its own."""
    with RawPeer(door.port) as peer:
        assert peer.associate()[0] == 0x02, "no A-ASSOCIATE-AC"
        assert store(peer, an_object()) == 0x0000


def quick(**changes: float) -> Limits:
    """Limits for a test, some of them its own."""
    return replace(QUICK, **changes)
