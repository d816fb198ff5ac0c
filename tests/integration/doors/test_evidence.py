"""What the doors tell of completeness: how associations and requests end, what objects announce."""

import pytest
from pydicom.dataset import Dataset
from pynetdicom import AE
from pynetdicom.sop_class import InstanceAvailabilityNotification

from dimse_peer import CT, OpenDoor, RawPeer, an_object, store
from medqueue.ledger import evidence
from schemas.completeness import Evidence, EvidenceKind
from waiting import wait_until

pytestmark = pytest.mark.integration

RELEASE_RQ = b"\x05\x00\x00\x00\x00\x04" + bytes(4)


def said(door: OpenDoor, study: str = "1.2.3") -> dict[EvidenceKind, Evidence]:
    with door.ledger.read() as connection:
        return {one.kind: one for one in evidence.of_study(connection, study)}


def heard(door: OpenDoor, kind: EvidenceKind) -> Evidence:
    wait_until(lambda: kind in said(door), 10)
    return said(door)[kind]


def test_a_release_is_kept_as_evidence_after_the_last_object(a_door: OpenDoor) -> None:
    with RawPeer(a_door.port) as peer:
        peer.associate()
        for study in ("1.2.3", "1.2.3", "1.2.4"):
            store(peer, an_object(StudyInstanceUID=study, SeriesInstanceUID=f"{study}.1"))
        peer.send(RELEASE_RQ)
        assert peer.receive()[0] == 0x06
    released = heard(a_door, EvidenceKind.ASSOCIATION_RELEASED)
    assert (released.source, released.times) == ("RAW", 1)
    assert all(row.received_at <= released.at for row in a_door.instances())
    assert said(a_door, "1.2.4").keys() == {EvidenceKind.ASSOCIATION_RELEASED}


def test_a_broken_connection_is_kept_as_an_abort(a_door: OpenDoor) -> None:
    with RawPeer(a_door.port) as peer:
        peer.associate()
        store(peer, an_object())
    assert heard(a_door, EvidenceKind.ASSOCIATION_ABORTED).source == "RAW"
    assert EvidenceKind.ASSOCIATION_RELEASED not in said(a_door)


def test_what_objects_announce_is_known_while_the_association_is_open(a_door: OpenDoor) -> None:
    with RawPeer(a_door.port) as peer:
        peer.associate()
        counts = {"NumberOfStudyRelatedInstances": 3, "NumberOfStudyRelatedSeries": 2}
        for _ in range(2):
            store(peer, an_object(**counts, NumberOfSeriesRelatedInstances=2))
        with a_door.ledger.read() as connection:
            whole, series = sorted(
                evidence.of_study(connection, "1.2.3"),
                key=lambda one: one.series_instance_uid or "",
            )
    assert (whole.kind, whole.instances, whole.series) == (EvidenceKind.ANNOUNCED, 3, 2)
    assert (series.series_instance_uid, series.instances) == ("1.2.3.1", 2)
    assert whole.times == series.times == 1


def a_notification(**counts: int) -> Dataset:
    """What an archive has of study 1.2.3: so many objects in each series, one of them gone."""
    listed = Dataset()
    listed.StudyInstanceUID = "1.2.3"
    listed.ReferencedSeriesSequence = []
    for name, count in counts.items():
        series = Dataset()
        series.SeriesInstanceUID = f"1.2.3.{name.removeprefix('series_')}"
        series.ReferencedSOPSequence = []
        for number in range(count + 1):
            item = Dataset()
            item.ReferencedSOPClassUID = CT
            item.ReferencedSOPInstanceUID = f"{series.SeriesInstanceUID}.{number}"
            item.InstanceAvailability = "UNAVAILABLE" if number == count else "ONLINE"
            item.RetrieveAETitle = "PACS"
            series.ReferencedSOPSequence.append(item)
        listed.ReferencedSeriesSequence.append(series)
    return listed


def notify(door: OpenDoor, listed: Dataset, uid: str | None = "1.2.99") -> int:
    entity = AE(ae_title="PACS")
    entity.add_requested_context(InstanceAvailabilityNotification)
    association = entity.associate("127.0.0.1", door.port, ae_title="MEDQUEUE")
    assert association.is_established
    status, _ = association.send_n_create(listed, InstanceAvailabilityNotification, uid)
    association.release()
    return int(status.Status)


@pytest.mark.parametrize("uid", ["1.2.99", None])
def test_an_archive_may_list_what_it_has(a_door: OpenDoor, uid: str | None) -> None:
    assert notify(a_door, a_notification(series_1=3, series_2=1), uid) == 0x0000
    with a_door.ledger.read() as connection:
        listed = {
            one.series_instance_uid: (one.source, one.instances, one.series)
            for one in evidence.of_study(connection, "1.2.3")
        }
    assert listed == {
        None: ("PACS", 4, 2),
        "1.2.3.1": ("PACS", 3, None),
        "1.2.3.2": ("PACS", 1, None),
    }


@pytest.mark.parametrize(
    "listed",
    [Dataset(), a_notification(), a_notification(series_1=0)],
    ids=["empty", "none", "gone"],
)
def test_a_list_without_objects_is_refused(a_door: OpenDoor, listed: Dataset) -> None:
    listed.PatientID = "P-1"
    assert notify(a_door, listed) == 0x0115
    assert said(a_door) == {}
