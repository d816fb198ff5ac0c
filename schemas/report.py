"""A report text as it comes through a door."""

import hashlib
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator

from schemas.identifiers import Uid

MAX_TEXT_CHARACTERS = 200_000
"""Far above any radiology report; below what could hurt a worker."""

_HAN = re.compile("[\u3400-\u9fff]")

ShortText = Annotated[
    str,
    StringConstraints(
        # PostgreSQL keeps no NUL, and no identifier holds a control character.
        strip_whitespace=True,
        min_length=1,
        max_length=128,
        pattern=r"^[^\x00-\x1f\x7f]*$",
    ),
]


class ReportStatus(StrEnum):
    """What its author says of a version of a report; corrections come as versions of their own."""

    PRELIMINARY = "preliminary"
    FINAL = "final"
    CORRECTED = "corrected"


class ReportSubmission(BaseModel):
    """The body of `POST /reports`."""

    model_config = ConfigDict(extra="forbid")

    text: str = Field(min_length=1, max_length=MAX_TEXT_CHARACTERS)
    language: Annotated[str, StringConstraints(pattern=r"^[a-z]{2}(-[A-Za-z]{2,4})?$")] | None = (
        None
    )
    accession_number: ShortText | None = None
    study_instance_uid: Uid | None = None
    patient_id: ShortText | None = None
    patient_id_issuer: ShortText | None = Field(
        default=None, description="Who gave the patient id, as in DICOM's Issuer of Patient ID."
    )
    report_id: ShortText | None = None
    status: ReportStatus | None = Field(default=None, description="As its author says.")
    urgent: bool = False

    @field_validator("text")
    @classmethod
    def _text_says_something(cls, text: str) -> str:
        if not text.strip():
            raise ValueError("the text is blank")
        if "\x00" in text:
            raise ValueError("the text holds a NUL character")
        return text


@dataclass(frozen=True, slots=True)
class Enclosure:
    """A document beside the text of a report, such as a PDF: kept as it came, and never opened.

    Not the `schemas.document.Document`, which is the text cut into sections.
    """

    content: bytes

    @property
    def media_type(self) -> str:
        """What it begins as, whatever the sender calls it."""
        return (
            "application/pdf" if self.content.startswith(b"%PDF-") else "application/octet-stream"
        )

    @property
    def sha256(self) -> str:
        """Digest of its content."""
        return hashlib.sha256(self.content).hexdigest()


def guess_language(text: str) -> str:
    """Tell Chinese from English by script: `zh` where a fifth of the letters are Han characters.

    A Chinese report holds Latin abbreviations and numbers; an English one holds no Han.
    """
    han = 0 if text.isascii() else len(_HAN.findall(text))
    return "zh" if han and han * 5 >= sum(map(str.isalpha, text)) else "en"
