"""What a model found: one coded finding with its probability, presence and evidence."""

from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field


class Presence(StrEnum):
    """Whether a finding is there, as the model or the text has it."""

    PRESENT = "present"
    ABSENT = "absent"
    UNCERTAIN = "uncertain"


class Code(BaseModel):
    """A concept of a code system, such as SNOMED CT or RadLex."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    system: str
    code: str
    display: str


class Evidence(BaseModel):
    """A span of the submitted text, in characters, with `text == submitted[start:end]`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    start: int = Field(ge=0)
    end: int = Field(ge=0)
    text: str


class Finding(BaseModel):
    """One finding of one result. `probability` is null where a rule decided."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    code: Code | None = None
    label: str
    probability: float | None = Field(default=None, ge=0, le=1)
    threshold: float | None = None
    presence: Presence
    evidence: tuple[Evidence, ...] = ()
    explanation: str | None = None
