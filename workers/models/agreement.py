"""Whether an image model and a report say the same: the mapping of their labels, and the verdict.

The mapping is data of a package; here is only how it is read and applied. Nobody is called right:
a disagreement says that a person should look.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from medqueue.errors import PackageError
from schemas.finding import Code, Finding, Presence

MAX_BYTES = 1_000_000
"""A mapping is read by hand; a larger file is something else."""

Term = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
"""A label by its code, as `system|code` (FHIR's token), or by its name where it has none."""


class Side(StrEnum):
    """Of the patient."""

    LEFT = "left"
    RIGHT = "right"
    BOTH = "both"


class Verdict(StrEnum):
    """What a comparison comes to."""

    AGREEMENT = "agreement"
    MISSED_IN_IMAGE = "missed-in-image"
    """The text states the finding, the image model does not."""
    NOT_IN_TEXT = "not-in-text"
    """The image model states it, the text does not mention it."""
    DENIED_IN_TEXT = "denied-in-text"
    """The image model states it, the text says that it is not there."""
    FLIPPED_SIDE = "flipped-side"
    """Stated on the left in one place and on the right in another."""
    UNDECIDED = "undecided"
    """The text is in doubt; either answer of the image model would do."""

    @property
    def is_disagreement(self) -> bool:
        """Whether a person should look."""
        return self not in (Verdict.AGREEMENT, Verdict.UNDECIDED)


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ImageTerm(_Strict):
    """A label of an image model; with a side if it means one."""

    term: Term
    side: Side | None = None


class Mapped(_Strict):
    """One finding, and what it is called in images and in texts."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=60)]
    image: tuple[ImageTerm, ...] = Field(min_length=1)
    text: tuple[Term, ...] = Field(min_length=1)
    supported_by: tuple[Term, ...] = ()
    """Of texts: what often looks like the finding without being called so. It makes the image
    model's yes plausible, and does not make its no a miss."""


class SideWords(_Strict):
    """Words that tell the side, in one language."""

    left: tuple[Term, ...]
    right: tuple[Term, ...]
    both: tuple[Term, ...]


class Mapping(_Strict):
    """A whole `mapping.yaml`."""

    sides: dict[str, SideWords]
    findings: tuple[Mapped, ...] = Field(min_length=1)


@dataclass(frozen=True, slots=True)
class Comparison:
    """The verdict on one finding, and the two that it is about; either may be silent."""

    name: str
    verdict: Verdict
    image: Finding | None
    text: Finding | None


def parse_mapping(content: bytes) -> Mapping:
    """Check a mapping; bytes come in, so that what was verified is what is used.

    Raises:
        PackageError: it is too large, is no YAML, or breaks the form above.
    """
    if len(content) > MAX_BYTES:
        raise PackageError(f"the mapping is larger than {MAX_BYTES} bytes")
    try:
        return Mapping.model_validate(yaml.safe_load(content))
    except (UnicodeDecodeError, yaml.YAMLError, ValidationError) as error:
        raise PackageError(f"the mapping is not valid: {error}") from error


def compare(
    mapping: Mapping,
    image: Sequence[Finding],
    text: Sequence[Finding],
    sides: dict[str, frozenset[Side]],
) -> list[Comparison]:
    """Compare what the image model has a label for with what the text says of it.

    Args:
        mapping: Which labels mean the same.
        image: Every label of the image model, present or absent.
        text: What the text mentions.
        sides: For labels of the text, the sides on which it states them.
    """
    return [
        _compare_one(mapped, term, seen, text, sides)
        for mapped in mapping.findings
        for term in mapped.image
        for seen in _called(image, [term.term])
    ]


def _compare_one(
    mapped: Mapped,
    term: ImageTerm,
    seen: Finding,
    text: Sequence[Finding],
    sides: dict[str, frozenset[Side]],
) -> Comparison:
    told = _most_stated(_called(text, mapped.text))
    support = _most_stated(_called(text, mapped.supported_by))
    in_image = seen.presence is Presence.PRESENT
    verdict = _verdict(in_image, told, supported=_is(support, Presence.PRESENT, Presence.UNCERTAIN))
    if verdict is Verdict.AGREEMENT and in_image and told is not None and term.side is not None:
        stated = sides.get(told.label, frozenset())
        if stated and stated.isdisjoint({term.side, Side.BOTH}):
            verdict = Verdict.FLIPPED_SIDE
    return Comparison(mapped.name, verdict, seen, told or support)


def _verdict(in_image: bool, told: Finding | None, *, supported: bool) -> Verdict:
    if _is(told, Presence.PRESENT):
        return Verdict.AGREEMENT if in_image else Verdict.MISSED_IN_IMAGE
    if _is(told, Presence.UNCERTAIN):
        return Verdict.UNDECIDED
    if not in_image:
        return Verdict.UNDECIDED if supported and told is None else Verdict.AGREEMENT
    if told is not None:
        return Verdict.DENIED_IN_TEXT
    return Verdict.AGREEMENT if supported else Verdict.NOT_IN_TEXT


def _is(finding: Finding | None, *presences: Presence) -> bool:
    return finding is not None and finding.presence in presences


_RANK = (Presence.PRESENT, Presence.UNCERTAIN, Presence.ABSENT)


def _most_stated(findings: Iterable[Finding]) -> Finding | None:
    return min(findings, key=lambda finding: _RANK.index(finding.presence), default=None)


def _called(findings: Iterable[Finding], terms: Sequence[Term]) -> list[Finding]:
    return [finding for finding in findings if not set(terms).isdisjoint(_terms(finding))]


def _terms(finding: Finding) -> tuple[str, ...]:
    code: Code | None = finding.code
    named = (finding.label,)
    return named if code is None else (*named, f"{code.system}|{code.code}")
