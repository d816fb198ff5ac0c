"""A result as every reader gets it: over HTTP, SQL and the command line."""

from datetime import datetime
from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from schemas.finding import Finding
from schemas.receipt import Receipt
from schemas.report import ReportStatus


class ResultKind(StrEnum):
    """What was diagnosed: images or a report text."""

    IMAGE = "image"
    TEXT = "text"


class ResultStatus(StrEnum):
    """How the work on one input ended. Every status is terminal."""

    FINAL = "final"
    AMENDED = "amended"
    FAILED = "failed"
    SKIPPED = "skipped"


class ComparedModel(BaseModel):
    """A model whose result a comparison has read."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: ResultKind
    name: str
    version: str


class ModelReference(BaseModel):
    """Which model said it. `sha256` is that of its weights or rules."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    name: str
    version: str
    sha256: str
    intended_use: str = ""
    cleared_for_clinical_use: bool = False
    compared: tuple[ComparedModel, ...] = ()
    """Of a cross-check: the image model and the text model that it has compared."""


class ResultError(BaseModel):
    """Why there is no diagnosis: a stable code, and a sentence without patient data."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    code: str
    detail: str


class Caution(BaseModel):
    """What a reader should know of a result that stands: a stable code, and a sentence."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    code: str
    detail: str


class InputFigures(BaseModel):
    """What an input of an image model was like, without saying whose."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    intensity: float
    """Mean of the prepared grey values, 0 to 1."""
    contrast: float
    """Their standard deviation."""
    score: float
    """The highest probability of a finding."""
    distance: float | None
    """From the training images, where the package has a gate; see `workers.models.gate`."""


class Picture(BaseModel):
    """A picture that explains a finding; the finding names its address."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    content: bytes
    """PNG."""

    @property
    def address(self) -> str:
        """Where the API serves it."""
        return f"/explanations/{self.id}"


class Outcome(BaseModel):
    """What a worker concludes about one input; the ledger makes a result of it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    status: ResultStatus
    model: ModelReference
    sop_instance_uids: tuple[str, ...] = ()
    receipt: Receipt | None = None
    findings: tuple[Finding, ...] = ()
    cautions: tuple[Caution, ...] = ()
    error: ResultError | None = None
    figures: InputFigures | None = None
    pictures: tuple[Picture, ...] = ()


class Result(BaseModel):
    """One row of the results feed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seq: int
    id: str
    kind: ResultKind
    status: ResultStatus
    study_instance_uid: str | None
    series_instance_uid: str | None
    sop_instance_uids: tuple[str, ...]
    accession_number: str | None
    patient_id: str | None
    report_id: str | None
    model: ModelReference
    findings: tuple[Finding, ...]
    error: ResultError | None
    received_at: datetime
    completed_at: datetime
    report_status: ReportStatus | None = None
    """Of a text: what its author says of this version of the report."""
    receipt: Receipt | None = None
    """What it was derived from and by; None where no model came to a conclusion."""
    cautions: tuple[Caution, ...] = ()
