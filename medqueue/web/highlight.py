"""Highlighting: cuts a report text at the evidence of its findings, for the page to mark."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

from schemas.finding import Finding, Presence

# Where findings overlap, the mark is that of the first of these.
_LOUDEST_FIRST = (Presence.PRESENT, Presence.UNCERTAIN, Presence.ABSENT)


@dataclass(frozen=True, slots=True)
class Segment:
    """A run of the text; `presence` is None where no finding points at it."""

    text: str
    presence: Presence | None = None
    labels: tuple[str, ...] = ()
    """What the findings say that point here, such as `effusion: uncertain`."""


def cut(text: str, findings: Iterable[Finding]) -> list[Segment]:
    """Return the text in segments; joined, they are the text again."""
    spans = [
        (min(max(0, span.start), len(text)), min(max(0, span.end), len(text)), finding)
        for finding in findings
        for span in finding.evidence
    ]
    bounds = {0, len(text)}
    for start, end, _ in spans:
        bounds |= {start, end}
    segments = []
    for start, end in pairwise(sorted(bounds)):
        here = [finding for first, last, finding in spans if first <= start and end <= last]
        found = {finding.presence for finding in here}
        presence = next((level for level in _LOUDEST_FIRST if level in found), None)
        labels = dict.fromkeys(f"{finding.label}: {finding.presence}" for finding in here)
        segments.append(Segment(text[start:end], presence, tuple(labels)))
    return segments
