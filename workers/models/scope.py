"""Decide in one sentence whether each finding mentioned is present, absent or in doubt.

After the idea of NegEx (Chapman et al. 2001): cue words open a scope that runs to the next
termination. Added here: lists, clauses by comma, cues that act backwards, double negation.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto

from schemas.finding import Presence
from workers.models.lexicon import CueKind, Structure
from workers.models.phrases import COMMA, QUESTION, STOP


class _Past(Enum):
    """The finding belongs to another time or person: no statement about this study."""

    PAST = auto()


PAST = _Past.PAST
Verdict = Presence | _Past | None
"""`None` while no cue has spoken: then the mention itself is the statement."""


@dataclass(slots=True)
class Mention:
    """A finding over tokens `first` to `last`; `normal` phrases say by themselves 'not there'."""

    first: int
    last: int
    label: int
    normal: bool
    verdict: Verdict = None


@dataclass(frozen=True, slots=True)
class Cue:
    """A word over tokens `first` to `last` that changes the meaning of mentions around it."""

    first: int
    last: int
    kind: CueKind


_FORWARD: dict[CueKind, Verdict] = {
    CueKind.NEGATION: Presence.ABSENT,
    CueKind.UNCERTAINTY: Presence.UNCERTAIN,
    CueKind.PAST: PAST,
}
_BACKWARD: dict[CueKind, Verdict] = {
    CueKind.NEGATION_AFTER: Presence.ABSENT,
    CueKind.UNCERTAINTY_AFTER: Presence.UNCERTAIN,
    CueKind.DOUBLE_NEGATION_AFTER: Presence.UNCERTAIN,
    CueKind.PAST_AFTER: PAST,
}
_EITHER: dict[CueKind, CueKind] = {
    CueKind.NEGATION_EITHER: CueKind.NEGATION_AFTER,
    CueKind.UNCERTAINTY_EITHER: CueKind.UNCERTAINTY_AFTER,
}
_STARTS_A_SCOPE = frozenset({*_FORWARD, *_EITHER, CueKind.WEAK_UNCERTAINTY})
_REACHES_OVER_A_COMMA = frozenset(_BACKWARD) - {CueKind.PAST_AFTER}
"""'the nodule, which is not seen today'; but not 'nodule, control after therapy'."""
_NEIGHBOUR = 5
"""Words between 'or' and the findings it may join; further away it joins something else."""


class Sentence:
    """The tokens, mentions and cues of one sentence while it is read once from left to right."""

    def __init__(
        self,
        words: Sequence[str],
        mentions: Sequence[Mention],
        cues: Sequence[Cue],
        structure: Structure,
    ) -> None:
        self._words = words
        self._mentions = sorted(mentions, key=lambda mention: mention.last)
        self._cues = {cue.first: cue for cue in cues}
        self._structure = structure
        self._scope: Verdict = None
        self._met = False
        self._clause = 0
        """First token that a cue acting backwards may reach."""

    def read(self) -> None:
        """Give every mention its verdict."""
        ending_at: dict[int, list[Mention]] = {}
        for mention in self._mentions:
            ending_at.setdefault(mention.last, []).append(mention)
        for at, word in enumerate(self._words):
            cue = self._cues.get(at)
            if cue is not None:
                self._obey(cue)
            elif word in (STOP, QUESTION, COMMA):
                self._punctuate(at, word)
            elif word in self._structure.joins and self._next_word(at) in self._structure.restarts:
                self._open(None)
            for mention in ending_at.get(at, ()):
                mention.verdict = self._scope
                self._met = True

    def _open(self, scope: Verdict) -> None:
        self._scope = scope
        self._met = False

    def _next_word(self, at: int) -> str:
        return self._words[at + 1] if at + 1 < len(self._words) else ""

    def _punctuate(self, at: int, word: str) -> None:
        if word == COMMA:
            if self._scope is not None and not self._is_list(at + 1):
                self._open(None)
            return
        if word == QUESTION:
            self._look_back(at, CueKind.UNCERTAINTY_AFTER, over_comma=False)
        self._open(None)
        # A colon is a stop and yet 'pneumothorax: none' looks back over it, so only the
        # mention counts, not the mark: the clause begins after the last stop before it.
        if not (at + 1 in self._cues and self._cues[at + 1].kind in _BACKWARD):
            self._clause = at + 1

    def _is_list(self, start: int) -> bool:
        """Tell a comma in a list of findings from one that ends the statement."""
        structure = self._structure
        if structure.commas_part_clauses or self._scope is PAST:
            return False
        if self._scope is Presence.ABSENT and not self._met:
            return True  # 'no acute, displaced fractures': the finding is still to come
        joined = False
        for at in range(start, len(self._words)):
            word = self._words[at]
            if word in structure.joins:
                joined = self._next_word(at) not in structure.restarts
                break
            if (at == start and word in structure.restarts) or word in structure.verbs:
                return False
            if word in (STOP, QUESTION) or at in self._cues:
                break
        return joined or self._scope is Presence.ABSENT

    def _obey(self, cue: Cue) -> None:
        kind = cue.kind
        if kind in _EITHER:
            kind = self._side(cue)
        if kind in _FORWARD:
            self._start(_FORWARD[kind])
        elif kind in _BACKWARD:
            self._look_back(cue.first, kind, over_comma=cue.kind in _REACHES_OVER_A_COMMA)
        elif kind is CueKind.WEAK_UNCERTAINTY:
            if self._scope is None:
                self._open(Presence.UNCERTAIN)
        elif kind in (CueKind.BETWEEN, CueKind.ALTERNATIVE):
            self._join(cue)
        elif kind in (CueKind.CLOSING, CueKind.ATTACHED):
            if self._met and (kind is CueKind.ATTACHED or self._scope is not Presence.UNCERTAIN):
                self._open(None)
        else:
            self._open(None)
            if kind is CueKind.END:
                self._clause = cue.last + 1

    def _start(self, scope: Verdict) -> None:
        # 'nothing suspicious for pneumonia': doubt inside a negation that has met nothing yet
        # is what the negation denies.
        if scope is Presence.UNCERTAIN and self._scope is Presence.ABSENT and not self._met:
            return
        self._open(scope)

    def _side(self, cue: Cue) -> CueKind:
        """Choose for a cue that may stand on either side of its finding."""
        forward = CueKind.NEGATION if cue.kind is CueKind.NEGATION_EITHER else CueKind.UNCERTAINTY
        ahead = next((m for m in self._mentions if m.last > cue.last), None)
        if ahead is None:
            return _EITHER[cue.kind]
        between = range(cue.last + 1, ahead.last)
        parted = any(
            self._words[at] in (STOP, QUESTION, COMMA)
            or (at in self._cues and self._cues[at].kind is CueKind.END)
            for at in between
        )
        return _EITHER[cue.kind] if parted else forward

    def _look_back(self, before: int, kind: CueKind, *, over_comma: bool) -> None:
        """Let a cue act on the mentions before it, back to the start of its statement."""
        verdict = _BACKWARD[kind]
        at = before - 1
        behind = [m for m in self._mentions if m.last < before]
        touched = False
        while at >= self._clause:
            word = self._words[at]
            if word == COMMA and (touched or not over_comma):
                return
            while behind and behind[-1].last == at:
                mention = behind.pop()
                touched = True
                if kind is not CueKind.UNCERTAINTY_AFTER or mention.verdict is None:
                    mention.verdict = verdict
            if at in self._cues and self._cues[at].kind in _STARTS_A_SCOPE:
                return
            at -= 1

    def _join(self, cue: Cue) -> None:
        """Doubt both sides of 'versus', and of an 'or' that joins two findings."""
        near = [m for m in self._mentions if m.last < cue.first and m.last >= self._clause]
        ahead = next((m for m in self._mentions if m.last > cue.last), None)
        if cue.kind is CueKind.ALTERNATIVE and (
            self._scope is not None
            or not near
            or ahead is None
            or cue.first - near[-1].last > _NEIGHBOUR
            or ahead.first - cue.last > _NEIGHBOUR
            or near[-1].verdict is not None
        ):
            return
        for mention in near:
            if mention.last == near[-1].last and mention.verdict is None:
                mention.verdict = Presence.UNCERTAIN
        self._open(Presence.UNCERTAIN)
