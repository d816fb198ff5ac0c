"""The parts of FHIR R4 resources that a report is made of; what else a resource holds is not read.

R4 (4.0.1): DiagnosticReport, and of contained or referenced resources what identifies them.
"""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class _Element(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class Coding(_Element):
    """A code out of a system."""

    code: str | None = None


class CodeableConcept(_Element):
    """A concept by one or more codes."""

    coding: tuple[Coding, ...] = ()


class Assigner(_Element):
    """The organisation that gave an identifier."""

    display: str | None = None


class Identifier(_Element):
    """A business identifier: `type` says of what kind, from HL7 table 0203."""

    use: str | None = None
    system: str | None = None
    value: str | None = None
    type: CodeableConcept | None = None
    assigner: Assigner | None = None

    def is_of_type(self, code: str) -> bool:
        """Tell whether the identifier says that it is of this type."""
        return self.type is not None and any(one.code == code for one in self.type.coding)


class Reference(_Element):
    """A reference, by address or by identifier."""

    reference: str | None = None
    type: str | None = None
    identifier: Identifier | None = None


class Narrative(_Element):
    """Text as XHTML."""

    status: str | None = None
    div: str | None = None


class Attachment(_Element):
    """A document, in base64."""

    contentType: str | None = None  # noqa: N815 - FHIR's own name
    data: str | None = None


class Contained(_Element):
    """A resource within the report: patient, order or imaging study."""

    resourceType: str | None = None  # noqa: N815 - FHIR's own name
    id: str | None = None
    identifier: tuple[Identifier, ...] = ()
    priority: str | None = None


class DiagnosticReport(_Element):
    """R4 section 10.3."""

    resourceType: str  # noqa: N815 - FHIR's own name
    id: str | None = None
    language: str | None = None
    status: str
    identifier: tuple[Identifier, ...] = ()
    text: Narrative | None = None
    contained: tuple[Contained, ...] = ()
    basedOn: tuple[Reference, ...] = ()  # noqa: N815 - FHIR's own name
    subject: Reference | None = None
    imagingStudy: tuple[Reference, ...] = ()  # noqa: N815 - FHIR's own name, in R4
    study: tuple[Reference, ...] = Field(default=(), description="What R5 calls imagingStudy.")
    conclusion: str | None = None
    presentedForm: tuple[Attachment, ...] = ()  # noqa: N815 - FHIR's own name

    def identifiers_of(self, reference: Reference | None) -> tuple[Identifier, ...]:
        """Return what a reference is identified by: its identifier, and those of the contained."""
        if reference is None:
            return ()
        own = (reference.identifier,) if reference.identifier is not None else ()
        resource = self.contained_by(reference)
        return own + (resource.identifier if resource is not None else ())

    def contained_by(self, reference: Reference) -> Contained | None:
        """Return the contained resource that a reference such as `#patient` means."""
        wanted = (reference.reference or "").removeprefix("#")
        found = (one for one in self.contained if wanted and one.id == wanted)
        return next(found, None)


def explain(errors: list[Any]) -> str:
    """Say what is wrong with a resource, in names of the standard; never with what was sent."""
    return "; ".join(
        f"{'.'.join(map(str, error['loc'])) or 'body'}: {error['msg']}" for error in errors[:20]
    )
