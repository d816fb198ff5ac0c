"""The lexicon file of a rule labeler: its form, its checks, and how it is read.

It says which phrases name a finding and which words around it change its meaning. What is done
with them is in `scope` and `rules`.
"""

from enum import StrEnum
from typing import Annotated, Literal, Self

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from medqueue.errors import PackageError
from schemas.finding import Code
from workers.models.phrases import expand, tokenise

MAX_BYTES = 1_000_000
"""A lexicon is read by hand; a larger file is something else."""


def _begins_with_a_word(phrase: str) -> str:
    for variant in expand(phrase):
        if variant.lstrip().startswith("*") or not tokenise(variant).words:
            raise ValueError(f"the phrase {variant!r} must begin with a word")
    return phrase


Phrase = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=800),
    AfterValidator(_begins_with_a_word),
]
"""As `phrases` explains: alternatives in braces, `*` and `**` for gaps."""


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class CueKind(StrEnum):
    """What a word does to the findings around it; before and after are seen from the finding."""

    NEGATION = "negation"
    """Stands before: 'no evidence of'."""
    NEGATION_AFTER = "negation_after"
    """Stands after: 'is not seen'."""
    NEGATION_EITHER = "negation_either"
    """Acts on what follows in its clause, else on what went before."""
    UNCERTAINTY = "uncertainty"
    UNCERTAINTY_AFTER = "uncertainty_after"
    UNCERTAINTY_EITHER = "uncertainty_either"
    WEAK_UNCERTAINTY = "weak_uncertainty"
    """Stands before, and leaves a running negation alone: 'no opacity to suggest pneumonia'."""
    DOUBLE_NEGATION_AFTER = "double_negation_after"
    """Stands after and overrules what stands before: 'absence of ... cannot be confirmed'."""
    BETWEEN = "between"
    """Makes both sides uncertain: 'versus'."""
    ALTERNATIVE = "alternative"
    """'or': makes both sides uncertain unless they are negated or doubted already."""
    PAST = "past"
    """What follows is not about this study: 'history of'."""
    PAST_AFTER = "past_after"
    PAST_SENTENCE = "past_sentence"
    """Nothing in the sentence is about this patient today: 'family history'."""
    NEUTRAL = "neutral"
    """Looks like a negation and is none: 'no change in'. Ends a scope, starts none."""
    END = "end"
    """Ends every scope: 'but'."""
    CLOSING = "closing"
    """Ends a negation that has met its finding: 'no effusion is seen'."""
    ATTACHED = "attached"
    """Ends a negation or past that has met its finding, and is needed there: 'with'."""


class Structure(_Strict):
    """How a language strings findings together."""

    gap: int = Field(gt=0, le=20)
    """Words that `*` in a phrase may stand for."""
    wide_gap: int = Field(gt=0, le=30)
    """The same for `**`, which may cross commas."""
    commas_part_clauses: bool
    """A comma ends a scope; otherwise it may be one in a list."""
    joins: tuple[str, ...] = ()
    """Words between the last two of a list: 'or'."""
    restarts: tuple[str, ...] = ()
    """Words that, after a comma or 'and', begin a new statement: 'the', 'mild'."""
    verbs: tuple[str, ...] = ()
    """Words that show a clause of its own, not one more of a list: 'is'."""


class FindingEntry(_Strict):
    """One finding: what names it, and what says in one phrase that it is not there."""

    label: Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z -]{1,60}$")]
    code: Code | None = None
    """Only where certain; a wrong code is worse than none."""
    phrases: tuple[Phrase, ...] = Field(min_length=1)
    normal: tuple[Phrase, ...] = ()


class Lexicon(_Strict):
    """A whole `lexicon.yaml`."""

    language: Literal["en", "zh"]
    structure: Structure
    cues: dict[CueKind, tuple[Phrase, ...]]
    ignore: tuple[Phrase, ...] = ()
    """Phrases that hold the name of a finding and do not mean it: 'nipple shadow'."""
    findings: tuple[FindingEntry, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _cues_are_of_one_kind(self) -> Self:
        kinds: dict[str, set[CueKind]] = {}
        for kind, phrases in self.cues.items():
            for variant in (variant for phrase in phrases for variant in expand(phrase)):
                kinds.setdefault(" ".join(variant.split()), set()).add(kind)
        torn = sorted(variant for variant, of in kinds.items() if len(of) > 1)
        if torn:
            raise ValueError(f"cues are of two kinds: {', '.join(torn)}")
        return self

    @model_validator(mode="after")
    def _labels_are_unique(self) -> Self:
        labels = [entry.label for entry in self.findings]
        twice = sorted({label for label in labels if labels.count(label) > 1})
        if twice:
            raise ValueError(f"findings are listed twice: {', '.join(twice)}")
        return self


def parse_lexicon(content: bytes) -> Lexicon:
    """Check a lexicon; bytes come in, so that what was verified is what is used.

    Raises:
        PackageError: it is too large, is no YAML, or breaks the form above.
    """
    if len(content) > MAX_BYTES:
        raise PackageError(f"the lexicon is larger than {MAX_BYTES} bytes; split it")
    try:
        return Lexicon.model_validate(yaml.safe_load(content))
    except (UnicodeDecodeError, yaml.YAMLError, ValidationError) as error:
        raise PackageError(f"the lexicon is not valid: {error}") from error
