"""Writes labelled reports out of a phrasebook, for a model that may be given away.

No text of any patient is in them, and their language is poorer than that of people: a model
trained on them shows the way, and its figures on them say nothing of real reports.
"""

import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Annotated

import yaml
from pydantic import BaseModel, ConfigDict, Field

from medqueue.errors import ConfigurationError
from schemas.finding import Presence
from workers.training.records import Record

ANY_FINDING = "any finding"
"""Label of a report that states any finding at all."""
LANGUAGES = ("en", "zh")
_STATES = frozenset(Presence)
_SLOT = re.compile(r"\{(\w+)\}")
_FEWEST_SENTENCES, _MOST_SENTENCES = 2, 8
_FILLER_SHARE = 0.35
"""Of sentences that name no finding."""
_OWN_SHARE = 0.2
"""Of sentences that state or deny a finding in words of their own: 'the heart is enlarged'."""
_MODIFIED_SHARE = 0.4
"""Of the slots for a degree or a place that are filled."""
_HEADED_SHARE = 0.6
"""Of reports with headings."""
_NUMBERED_SHARE = 0.5
"""Of impressions that are numbered."""
_DENIAL_SHARE = 0.4
"""Of sentences in words of their own that deny their finding."""
_NORMAL_SHARE = 0.2
"""Of reports that state no finding."""

Texts = Annotated[tuple[str, ...], Field(min_length=1)]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Headings(_Strict):
    history: Texts
    findings: Texts
    impression: Texts


class _FindingPhrases(_Strict):
    names: Texts
    sentences: Texts
    denials: tuple[str, ...] = ()
    """Sentences that say in words of their own that it is not there."""
    placed: bool = True
    """Whether it may stand in a place of the lungs."""


class _Phrasebook(_Strict):
    """One file in `phrasebooks`; the English one explains itself."""

    language: str
    space: str
    heading: str
    numbered: str
    """How an item of a numbered impression is written."""
    headings: _Headings
    degrees: Texts
    places: Texts
    sentences: Texts
    histories: Texts
    fillers: Texts
    findings: dict[str, _FindingPhrases]


@dataclass(frozen=True, slots=True)
class WrittenReport:
    """A report, and what it says of each finding that it names; of the others it is silent."""

    text: str
    language: str
    states: dict[str, Presence]


def write_reports(seed: int, count: int, languages: Sequence[str]) -> Iterator[WrittenReport]:
    """Write so many reports in turn in each language; the same for the same seed.

    Raises:
        ConfigurationError: there is no phrasebook for a language.
    """
    unknown = sorted(set(languages) - set(LANGUAGES))
    if unknown or not languages:
        raise ConfigurationError(f"phrasebooks are there for {', '.join(LANGUAGES)} alone")
    chance = random.Random(seed)  # noqa: S311 - texts to learn from, no secrets
    for number in range(count):
        yield _Report(_phrasebook(languages[number % len(languages)]), chance).write()


def write_records(seed: int, counts: Mapping[str, int], languages: Sequence[str]) -> list[Record]:
    """Write so many labelled texts for each split; see `write_reports`."""
    splits = [split for split, count in counts.items() for _ in range(count)]
    written = write_reports(seed, len(splits), languages)
    return [_record(report, split) for report, split in zip(written, splits, strict=True)]


def _record(report: WrittenReport, split: str) -> Record:
    stated = {label for label, state in report.states.items() if state is Presence.PRESENT}
    known = frozenset({*_phrasebook(report.language).findings, ANY_FINDING})
    stated |= {ANY_FINDING} if stated else set()
    return Record(report.text, frozenset(stated), known, split, report.language)


@cache
def _phrasebook(language: str) -> _Phrasebook:
    content = resources.files("workers.training") / "phrasebooks" / f"{language}.yaml"
    return _Phrasebook.model_validate(yaml.safe_load(content.read_text(encoding="utf-8")))


class _Report:
    """One report while it is written; a finding comes once at most, so that nothing contradicts."""

    def __init__(self, book: _Phrasebook, chance: random.Random) -> None:
        self._book = book
        self._chance = chance
        self._unused = chance.sample(sorted(book.findings), len(book.findings))
        self._states: dict[str, Presence] = {}
        self._is_normal = chance.random() < _NORMAL_SHARE

    def write(self) -> WrittenReport:
        """Write it."""
        count = self._chance.randint(_FEWEST_SENTENCES, _MOST_SENTENCES)
        sentences = [self._sentence() for _ in range(count)]
        return WrittenReport(self._laid_out(sentences), self._book.language, self._states)

    def _sentence(self) -> str:
        drawn = self._chance.random()
        if drawn < _FILLER_SHARE:
            return self._chance.choice(self._book.fillers)
        if drawn < _FILLER_SHARE + _OWN_SHARE and self._unused:
            return self._in_own_words()
        template = self._chance.choice(self._book.sentences)
        slots = [slot for slot in _SLOT.findall(template) if slot not in ("degree", "place")]
        if len(slots) > len(self._unused) or (self._is_normal and Presence.PRESENT in slots):
            return self._chance.choice(self._book.fillers)
        return self._filled(template)

    def _in_own_words(self) -> str:
        label = self._unused.pop()
        phrases = self._book.findings[label]
        if self._is_normal or self._chance.random() < _DENIAL_SHARE:
            if not phrases.denials:
                return self._chance.choice(self._book.fillers)
            self._states[label] = Presence.ABSENT
            return self._chance.choice(phrases.denials)
        self._states[label] = Presence.PRESENT
        return self._chance.choice(phrases.sentences)

    def _filled(self, template: str) -> str:
        placed = True

        def fill(slot: re.Match[str]) -> str:
            nonlocal placed
            name = slot.group(1)
            if name == "degree":
                return self._perhaps(self._book.degrees)
            if name == "place":
                return "{place}"  # once it is known what stands there
            label = self._unused.pop()
            if name in _STATES:
                self._states[label] = Presence(name)
            phrases = self._book.findings[label]
            placed = placed and phrases.placed
            return self._chance.choice(phrases.names)

        named = _SLOT.sub(fill, template)
        place = self._perhaps(self._book.places) if placed else ""
        sentence = " ".join(named.replace("{place}", place).split())
        sentence = sentence.replace(" .", ".").replace(" ,", ",")
        return sentence[0].upper() + sentence[1:]

    def _perhaps(self, words: Sequence[str]) -> str:
        return self._chance.choice(words) if self._chance.random() < _MODIFIED_SHARE else ""

    def _laid_out(self, sentences: Sequence[str]) -> str:
        """Set the sentences under headings or without any; a history is never about this study."""
        book = self._book
        if self._chance.random() >= _HEADED_SHARE:
            return book.space.join(sentences)
        cut = self._chance.randint(0, len(sentences))
        history = self._chance.choice(book.histories)
        label = self._chance.choice(sorted(book.findings))
        history = history.replace("{silent}", self._chance.choice(book.findings[label].names))
        concluded = sentences[cut:]
        if self._chance.random() < _NUMBERED_SHARE:
            concluded = [
                book.numbered.format(number=number, text=sentence)
                for number, sentence in enumerate(concluded, start=1)
            ]
        parts = (
            (book.headings.history, history),
            (book.headings.findings, book.space.join(sentences[:cut])),
            (book.headings.impression, book.space.join(concluded)),
        )
        return "\n".join(
            book.heading.format(name=self._chance.choice(names), text=text)
            for names, text in parts
            if text
        )
