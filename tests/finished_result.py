"""A finished result for tests of what is made of it."""

from builders import after
from schemas.finding import Code, Finding, Presence
from schemas.result import ModelReference, Result, ResultKind, ResultStatus

PNEUMONIA = Finding(
    code=Code(system="http://snomed.info/sct", code="233604007", display="Pneumonia"),
    label="Pneumonia",
    probability=0.83141,
    threshold=0.5,
    presence=Presence.PRESENT,
)


def a_result(**changes: object) -> Result:
    """A `final` result on a chest image, with a finding that is there and one that may be."""
    values: dict[str, object] = {
        "seq": 1,
        "id": "0123456789abcdef" * 2,
        "kind": ResultKind.IMAGE,
        "status": ResultStatus.FINAL,
        "study_instance_uid": "1.2.3",
        "series_instance_uid": "1.2.3.1",
        "sop_instance_uids": ("1.2.3.1.1",),
        "accession_number": "A^1",
        "patient_id": "P|1",
        "report_id": None,
        "model": ModelReference(
            name="chest", version="1.2.3", sha256="ab" * 32, intended_use="Research."
        ),
        "findings": (PNEUMONIA, Finding(label="Nodule & mass", presence=Presence.UNCERTAIN)),
        "error": None,
        "received_at": after(0),
        "completed_at": after(1),
    }
    return Result.model_validate(values | changes)
