"""On which side a report states its findings: by the words beside them, section by section."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable

from schemas.document import Document, Section, SectionKind
from schemas.finding import Evidence, Finding, Presence
from workers.models.agreement import Side, SideWords

Read = Callable[[Document], tuple[Finding, ...]]
"""What reads a document, such as `RuleLabeler.label`."""

# Chinese punctuation is meant, not mistaken for ASCII.
_CLAUSE = re.compile(r"[,;，；、]")  # noqa: RUF001 - Chinese punctuation


class SideReader:
    """Tells the sides of the findings that a report states."""

    def __init__(self, words: SideWords, language: str) -> None:
        # A Chinese word has no edges; an English one does: 'left' is not in 'cleft'.
        edge = "" if language == "zh" else r"\b"
        self._words = {
            side: re.compile(f"{edge}(?:{'|'.join(map(re.escape, named))}){edge}", re.IGNORECASE)
            for side, named in (
                (Side.LEFT, words.left),
                (Side.RIGHT, words.right),
                (Side.BOTH, words.both),
            )
        }

    def stated(
        self, document: Document, read: Read
    ) -> dict[SectionKind, dict[str, frozenset[Side]]]:
        """Return, for each kind of section, the sides on which it states a finding.

        Each sentence is read by itself, so that 'no right effusion' tells no side of an effusion.
        A finding that is stated without a side is left out.
        """
        found: dict[SectionKind, dict[str, set[Side]]] = defaultdict(lambda: defaultdict(set))
        for section in document.sections:
            if not section.kind.describes_this_study:
                continue
            for sentence in section.sentences:
                alone = Section(section.kind, sentence.start, sentence.end, (sentence,))
                part = Document(document.text, document.language, (alone,))
                for finding in read(part):
                    if finding.presence is Presence.PRESENT:
                        clauses = (_clause(document.text, alone, e) for e in finding.evidence)
                        found[section.kind][finding.label] |= self._sides(clauses)
        return {
            kind: {label: frozenset(sides) for label, sides in by_label.items() if sides}
            for kind, by_label in found.items()
        }

    def _sides(self, clauses: Iterable[str]) -> set[Side]:
        return {
            side for text in clauses for side, words in self._words.items() if words.search(text)
        }


def flipped(stated: dict[SectionKind, dict[str, frozenset[Side]]]) -> list[str]:
    """Return the labels that findings and impression state on opposite sides."""
    described = stated.get(SectionKind.FINDINGS, {})
    concluded = stated.get(SectionKind.IMPRESSION, {})
    return [
        label
        for label in described
        if {*described[label], *concluded.get(label, ())} == {Side.LEFT, Side.RIGHT}
        and len(described[label]) == len(concluded.get(label, ())) == 1
    ]


def _clause(text: str, sentence: Section, evidence: Evidence) -> str:
    """Return the part of a sentence between the commas around some evidence."""
    before = [match.end() for match in _CLAUSE.finditer(text, sentence.start, evidence.start)]
    after = _CLAUSE.search(text, evidence.end, sentence.end)
    return text[before[-1] if before else sentence.start : after.start() if after else sentence.end]
