"""Find the phrases of a lexicon in a sentence: tokens, a trie of phrases, and gaps of few words.

Every step is bounded by the trie and the gap width, so no text makes it slow. A trie is built
once and only read afterwards: threads may share it.

Phrases are written as `pleural {fluid|effusion}`: braces hold alternatives (one may be empty),
`*` stands for a few words within a clause, `**` for the same across commas. How many is up to
the language: wider gaps join what belongs to two statements.
"""

# Chinese punctuation is meant, not mistaken for ASCII:
# ruff: noqa: RUF001

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

COMMA = ","
STOP = ";"
QUESTION = "?"
MINUS = "(-)"

_TOKEN = re.compile(
    r"(?P<minus>[(（]\s*[-－—–]\s*[)）])"
    r"|(?P<blank>[xX]{3,}\b)"
    "|[\u3400-\u9fff]"
    "|[0-9]+(?:[.][0-9]+)?"
    "|[^\\W\\d_\u3400-\u9fff]+"
    r"|[,.;:?!()，。；：？！、（）/]"
)
_MARKS = {
    **dict.fromkeys(",，()（）", COMMA),
    **dict.fromkeys(".;:!。；：！", STOP),
    **dict.fromkeys("?？", QUESTION),
}
_ENUMERATION = "、"
"""The Chinese list comma joins what the clause comma parts, so it is no token at all."""

_SHORTEST_PLURAL = 3

_BRACES = re.compile(r"\{([^{}]*)\}")
_MAX_VARIANTS = 256
"""One phrase beyond this is a mistake in the lexicon, not a phrase."""

P = TypeVar("P")


@dataclass(frozen=True, slots=True)
class Tokens:
    """Words of a sentence in lower case, with their place in the submitted text."""

    words: list[str]
    starts: list[int]
    ends: list[int]


@dataclass(frozen=True, slots=True)
class Match(Generic[P]):
    """A phrase over tokens `first` to `last`; `literal` are those that are not in a gap."""

    first: int
    last: int
    literal: frozenset[int]
    payload: P


@dataclass(slots=True)
class _Node(Generic[P]):
    next: dict[str, "_Node[P]"] = field(default_factory=dict)
    gap: "_Node[P] | None" = None
    wide_gap: "_Node[P] | None" = None
    payloads: list[P] = field(default_factory=list)


def tokenise(text: str, start: int = 0, end: int | None = None) -> Tokens:
    """Return the tokens of `text[start:end]`; placeholders such as XXXX and ___ are none."""
    words: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    for match in _TOKEN.finditer(text, start, len(text) if end is None else end):
        group = match.lastgroup
        word = match.group()
        if group == "blank" or word == _ENUMERATION:
            continue
        words.append(MINUS if group == "minus" else _MARKS.get(word) or _singular(word.lower()))
        starts.append(match.start())
        ends.append(match.end())
    return Tokens(words, starts, ends)


def _singular(word: str) -> str:
    """Fold the English plural, in texts and phrases alike; both may fold to no real word."""
    if len(word) <= _SHORTEST_PLURAL or not word.endswith("s") or word.endswith(("ss", "us", "is")):
        return word
    return word[:-3] + "y" if word.endswith("ies") else word[:-1]


def expand(phrase: str) -> Iterator[str]:
    """Yield every variant of a phrase with braces."""
    variants = [phrase]
    while match := _BRACES.search(variants[0]):
        token = match.group()
        variants = [
            variant.replace(token, choice, 1)
            for variant in variants
            for choice in match.group(1).split("|")
        ]
        if len(variants) > _MAX_VARIANTS:
            raise ValueError(f"the phrase {phrase!r} has more than {_MAX_VARIANTS} variants")
    yield from variants


class Phrases(Generic[P]):
    """A trie of phrases, each with what it stands for."""

    def __init__(self, phrases: Iterable[tuple[str, P]], gap: int = 4, wide_gap: int = 7) -> None:
        self._root: _Node[P] = _Node()
        self._gap = gap
        self._wide_gap = wide_gap
        for phrase, payload in phrases:
            for variant in expand(phrase):
                self._add(variant, payload)

    def _add(self, phrase: str, payload: P) -> None:
        node = self._root
        for part in phrase.split():
            if part == "*":
                node.gap = node = node.gap or _Node()
            elif part == "**":
                node.wide_gap = node = node.wide_gap or _Node()
            else:
                for word in tokenise(part).words:
                    node = node.next.setdefault(word, _Node())
        if payload not in node.payloads:
            node.payloads.append(payload)

    def find(self, words: Sequence[str]) -> Iterator[Match[P]]:
        """Yield every match from every start, shorter ones too."""
        following = self._root.next
        for at, word in enumerate(words):
            node = following.get(word)
            if node is not None:
                yield from self._walk(words, node, at, (at,))

    def _walk(
        self, words: Sequence[str], node: _Node[P], at: int, literal: tuple[int, ...]
    ) -> Iterator[Match[P]]:
        for payload in node.payloads:
            yield Match(literal[0], at, frozenset(literal), payload)
        onward = at + 1
        if onward < len(words):
            longer = node.next.get(words[onward])
            if longer is not None:
                yield from self._walk(words, longer, onward, (*literal, onward))
        if node.gap is not None:
            yield from self._leap(words, node.gap, at, literal, wide=False)
        if node.wide_gap is not None:
            yield from self._leap(words, node.wide_gap, at, literal, wide=True)

    def _leap(
        self,
        words: Sequence[str],
        node: _Node[P],
        at: int,
        literal: tuple[int, ...],
        *,
        wide: bool,
    ) -> Iterator[Match[P]]:
        """Go on after a gap of any allowed width, the smallest first."""
        barred = (STOP, QUESTION) if wide else (STOP, QUESTION, COMMA)
        reach = at + 2 + (self._wide_gap if wide else self._gap)
        for onward in range(at + 1, min(reach, len(words))):
            following = node.next.get(words[onward])
            if following is not None:
                yield from self._walk(words, following, onward, (*literal, onward))
            if words[onward] in barred:
                return
