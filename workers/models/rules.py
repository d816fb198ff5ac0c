"""Label a report with the findings it mentions, by a lexicon and by the scope of cue words.

Not for deciding what a finding means for the patient, and not for texts of another language
than the lexicon's.
"""

from collections.abc import Iterable, Iterator

from schemas.document import Document
from schemas.document import Sentence as Span
from schemas.finding import Evidence, Finding, Presence
from workers.models.lexicon import CueKind, Lexicon
from workers.models.phrases import Match, Phrases, Tokens, tokenise
from workers.models.scope import PAST, Cue, Mention, Sentence

_IGNORED = -1
_LONGEST = 2_000
"""Characters read as one sentence: scopes cost the square of the findings in it, and a text that
goes on without any stop for longer is a table or damage."""
_RANK = {Presence.PRESENT: 0, Presence.UNCERTAIN: 1, Presence.ABSENT: 2}
"""A finding that is stated once is there, whatever other sentences say of other places."""

_Name = tuple[int, bool]
"""Number of the finding in the lexicon, and whether the phrase says that it is not there."""


class RuleLabeler:
    """Reads documents by one lexicon. Nothing changes after construction: threads may share it."""

    def __init__(self, lexicon: Lexicon) -> None:
        self.language = lexicon.language
        self.labels = tuple(entry.label for entry in lexicon.findings)
        self._lexicon = lexicon
        structure = lexicon.structure
        self._names: Phrases[_Name] = Phrases(_names(lexicon), structure.gap, structure.wide_gap)
        self._cues: Phrases[CueKind] = Phrases(
            ((phrase, kind) for kind, phrases in lexicon.cues.items() for phrase in phrases),
            structure.gap,
            structure.wide_gap,
        )

    def label(self, document: Document) -> tuple[Finding, ...]:
        """Return the findings that the report states, in the order of the lexicon.

        Each is `present` if any sentence says so, else `uncertain`, else `absent`. Its evidence
        is every mention, those that decided first.
        """
        stated: dict[int, list[tuple[int, Evidence]]] = {}
        text = document.text
        for section in document.sections:
            if not section.kind.describes_this_study:
                continue
            for start, end in _pieces(section.sentences):
                tokens = tokenise(text, start, end)
                for mention in self._read(tokens):
                    evidence = _evidence(text, tokens, mention)
                    stated.setdefault(mention.label, []).append((_rank(mention), evidence))
        return tuple(self._finding(number, stated[number]) for number in sorted(stated))

    def _finding(self, number: int, stated: list[tuple[int, Evidence]]) -> Finding:
        stated.sort(key=lambda pair: pair[0])
        entry = self._lexicon.findings[number]
        return Finding(
            code=entry.code,
            label=entry.label,
            presence=tuple(_RANK)[stated[0][0]],
            evidence=tuple(evidence for _, evidence in stated),
        )

    def _read(self, tokens: Tokens) -> Iterable[Mention]:
        """Return the mentions of one sentence that speak of this study."""
        matches = _widest(list(self._names.find(tokens.words)))
        mentions = [
            Mention(match.first, match.last, match.payload[0], match.payload[1])
            for match in matches
            if match.payload[0] != _IGNORED
        ]
        if not mentions:
            return ()
        taken = frozenset().union(*(match.literal for match in matches))
        cues = _leftmost_longest(self._cues.find(tokens.words), taken)
        if any(cue.kind is CueKind.PAST_SENTENCE for cue in cues):
            return ()
        Sentence(tokens.words, mentions, cues, self._lexicon.structure).read()
        return [mention for mention in mentions if mention.verdict is not PAST]


def _pieces(sentences: Iterable[Span]) -> Iterator[tuple[int, int]]:
    for span in sentences:
        for start in range(span.start, span.end, _LONGEST):
            yield start, min(start + _LONGEST, span.end)


def _evidence(text: str, tokens: Tokens, mention: Mention) -> Evidence:
    start, end = tokens.starts[mention.first], tokens.ends[mention.last]
    return Evidence(start=start, end=end, text=text[start:end])


def _names(lexicon: Lexicon) -> Iterable[tuple[str, _Name]]:
    for number, entry in enumerate(lexicon.findings):
        yield from ((phrase, (number, False)) for phrase in entry.phrases)
        yield from ((phrase, (number, True)) for phrase in entry.normal)
    yield from ((phrase, (_IGNORED, False)) for phrase in lexicon.ignore)


def _rank(mention: Mention) -> int:
    if isinstance(mention.verdict, Presence):
        return _RANK[mention.verdict]
    return _RANK[Presence.ABSENT if mention.normal else Presence.PRESENT]


def _widest(matches: list[Match[_Name]]) -> list[Match[_Name]]:
    """Drop what a longer phrase holds: in 'pericardial effusion' there is no pleural one."""
    kept: list[Match[_Name]] = []
    for match in sorted(matches, key=lambda match: -len(match.literal)):
        if not any(_hides(other, match) for other in kept):
            kept.append(match)
    return kept


def _hides(longer: Match[_Name], match: Match[_Name]) -> bool:
    if longer.payload[0] in (match.payload[0], _IGNORED):
        return not longer.literal.isdisjoint(match.literal)
    return match.literal < longer.literal


def _leftmost_longest(found: Iterable[Match[CueKind]], taken: frozenset[int]) -> list[Cue]:
    """Choose cues that do not overlap: none inside the name of a finding, none with one inside.

    'no change' is a cue of its own, but in 'no effusion, change of position' it is not.
    """
    cues: list[Cue] = []
    free_from = 0
    for match in sorted(found, key=lambda match: (match.first, -match.last)):
        if match.first >= free_from and taken.isdisjoint(range(match.first, match.last + 1)):
            cues.append(Cue(match.first, match.last, match.payload))
            free_from = match.last + 1
    return cues
