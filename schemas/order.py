"""An order for a study: what a hospital says about it before the images or the report come."""

from pydantic import BaseModel, ConfigDict

from schemas.identifiers import Uid
from schemas.report import ShortText


class OrderSubmission(BaseModel):
    """One order. It belongs to a study or a report by any of its numbers, and its patient."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    placer_number: ShortText | None = None
    filler_number: ShortText | None = None
    accession_number: ShortText | None = None
    study_instance_uid: Uid | None = None
    patient_id: ShortText | None = None
    patient_id_issuer: ShortText | None = None
    urgent: bool = False
    is_cancelled: bool = False
