"""A report text cut into sections and sentences: spans over the text exactly as submitted."""

from dataclasses import dataclass
from enum import StrEnum


class SectionKind(StrEnum):
    """What a part of a report is for. Text without any heading is `BODY`."""

    HISTORY = "history"
    TECHNIQUE = "technique"
    COMPARISON = "comparison"
    FINDINGS = "findings"
    IMPRESSION = "impression"
    BODY = "body"

    @property
    def describes_this_study(self) -> bool:
        """Whether statements here are about the images at hand, not about why they were made."""
        return self in _ABOUT_THE_IMAGES


_ABOUT_THE_IMAGES = frozenset({SectionKind.FINDINGS, SectionKind.IMPRESSION, SectionKind.BODY})


@dataclass(frozen=True, slots=True)
class Sentence:
    """Characters `start` to `end` of the submitted text."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Section:
    """A heading with what follows it, up to the next; a text may begin without a heading."""

    kind: SectionKind
    start: int
    end: int
    sentences: tuple[Sentence, ...]


@dataclass(frozen=True, slots=True)
class Document:
    """A submitted text and its cuts; `text` is never changed, so every offset stays true."""

    text: str
    language: str
    """`en` or `zh`."""
    sections: tuple[Section, ...]

    def slice(self, span: Sentence | Section) -> str:
        """Return the submitted characters of a span."""
        return self.text[span.start : span.end]
