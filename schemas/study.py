"""What an object's header says about its place: patient, study, series, instance."""

from dataclasses import dataclass
from enum import StrEnum

from schemas.work import Priority


class StudyState(StrEnum):
    """Where a study stands."""

    RECEIVING = "receiving"
    """Instances may still arrive: the quiet time has not passed."""
    COMPLETE = "complete"
    """Quiet; its series are in work or done. A new instance makes it `receiving` again."""


class Disposition(StrEnum):
    """What became of an instance that a door has accepted."""

    KEPT = "kept"
    """The first content seen under its SOP Instance UID; this is what is diagnosed."""
    CONFLICT = "conflict"
    """Other content under a UID that is taken: stored and flagged, never diagnosed."""


@dataclass(frozen=True, slots=True)
class Announced:
    """How many objects there are, where an object says so itself (PS3.4 section C.3.4)."""

    study_instances: int | None
    """Number of Study Related Instances (0020,1208)."""
    study_series: int | None
    """Number of Study Related Series (0020,1206)."""
    series_instances: int | None
    """Number of Series Related Instances (0020,1209)."""


@dataclass(frozen=True, slots=True)
class InstanceHeader:
    """The attributes of one SOP Instance that the ledger indexes."""

    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    patient_id: str | None
    accession_number: str | None
    modality: str | None
    body_part: str | None
    view_position: str | None
    instance_number: int | None
    priority: Priority
    announced: Announced | None = None
    patient_id_issuer: str | None = None


@dataclass(frozen=True, slots=True)
class StoredInstance:
    """Bytes on disk: where they lie (relative to the instance store), and their digest."""

    path: str
    sha256: str
    size: int
