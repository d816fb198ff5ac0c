"""From a report text to token numbers and back to places in it: words, and Chinese characters.

The vocabulary is part of a model package: a JSON file with a list of tokens.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from medqueue.errors import PackageError
from schemas.document import Document
from schemas.finding import Evidence
from workers.models.phrases import Tokens, tokenise

PADDING_TOKEN, UNKNOWN_TOKEN = "<padding>", "<unknown>"
_NUMBER = "0"
"""Stands for every number: sizes and dates are no findings."""


@dataclass(slots=True)
class Piece:
    """A stretch of whole sentences, as much of a text as a network reads at once."""

    numbers: list[int] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)

    def evidence(self, text: str, first: int, last: int) -> Evidence:
        """Return the submitted characters from token `first` to `last`."""
        start, end = self.starts[first], self.ends[last]
        return Evidence(start=start, end=end, text=text[start:end])


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    form: Literal["words-and-han-1"]
    """How a text is cut, so that a file for another way of cutting is refused."""
    tokens: tuple[Annotated[str, StringConstraints(min_length=1, max_length=200)], ...] = Field(
        min_length=2, max_length=200_000
    )


class Tokenizer:
    """Numbers the tokens of documents. Nothing changes after construction: threads may share it.

    Args:
        tokens: All tokens in the order of their numbers, padding and unknown first.

    Raises:
        PackageError: the first two are others, or one comes twice.
    """

    def __init__(self, tokens: Sequence[str]) -> None:
        self.tokens = tuple(tokens)
        self._numbers = {token: number for number, token in enumerate(self.tokens)}
        if self.tokens[:2] != (PADDING_TOKEN, UNKNOWN_TOKEN):
            raise PackageError(f"a vocabulary begins with {PADDING_TOKEN} and {UNKNOWN_TOKEN}")
        if len(self._numbers) != len(self.tokens):
            raise PackageError("the vocabulary has a token twice")
        self._unknown = self._numbers[UNKNOWN_TOKEN]

    def pieces(self, document: Document, max_tokens: int) -> list[Piece]:
        """Return what the document says of this study, in pieces of at most `max_tokens`.

        A sentence is cut only where it alone is longer than that.
        """
        pieces: list[Piece] = []
        for tokens in _sentences(document):
            for at in range(0, len(tokens.words), max_tokens):
                words = tokens.words[at : at + max_tokens]
                if not pieces or len(pieces[-1].numbers) + len(words) > max_tokens:
                    pieces.append(Piece())
                pieces[-1].numbers += [self._number(word) for word in words]
                pieces[-1].starts += tokens.starts[at : at + max_tokens]
                pieces[-1].ends += tokens.ends[at : at + max_tokens]
        return pieces

    def _number(self, word: str) -> int:
        return self._numbers.get(_shape(word), self._unknown)


def learn_vocabulary(documents: Iterable[Document], *, min_count: int) -> Tokenizer:
    """Return a tokenizer of the tokens that come at least so often, the most frequent first."""
    counts = Counter(
        _shape(word)
        for document in documents
        for tokens in _sentences(document)
        for word in tokens.words
    )
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    kept = [token for token, count in ordered if count >= min_count]
    return Tokenizer([PADDING_TOKEN, UNKNOWN_TOKEN, *kept])


def write_tokenizer(tokenizer: Tokenizer) -> bytes:
    """Return the file of a package."""
    content = _File(form="words-and-han-1", tokens=tokenizer.tokens).model_dump(mode="json")
    return json.dumps(content, ensure_ascii=False, indent=0).encode()


def parse_tokenizer(content: bytes) -> Tokenizer:
    """Read the file of a package; bytes come in, so that what was verified is what is used.

    Raises:
        PackageError: it is not of the form that `write_tokenizer` gives.
    """
    try:
        return Tokenizer(_File.model_validate_json(content).tokens)
    except ValidationError as error:
        raise PackageError(f"the tokenizer is not valid: {error}") from error


def _sentences(document: Document) -> Iterator[Tokens]:
    for section in document.sections:
        if section.kind.describes_this_study:
            for sentence in section.sentences:
                yield tokenise(document.text, sentence.start, sentence.end)


def _shape(word: str) -> str:
    return _NUMBER if word[0].isdecimal() else word
