"""Rules against the sentences written by hand; what `held` is, the model cards say."""

import hashlib
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from workers.models.lexicon import parse_lexicon
from workers.models.package import BUNDLED_FOLDER
from workers.models.rules import RuleLabeler
from workers.preprocess.text import split

DATA = Path(__file__).parents[3] / "data"


def sentences(language: str) -> list[dict[str, Any]]:
    lines = (DATA / f"report_sentences_{language}.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def labeler(language: str) -> RuleLabeler:
    lexicon = BUNDLED_FOLDER / f"chest-rules-{language}" / "lexicon.yaml"
    return RuleLabeler(parse_lexicon(lexicon.read_bytes()))


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_split_of_the_sentences_is_fixed_by_their_text(language: str) -> None:
    rows = sentences(language)

    assert len(rows) >= 300
    assert len({row["text"] for row in rows}) == len(rows)
    for row in rows:
        digest = int(hashlib.sha256(row["text"].encode()).hexdigest()[:8], 16)
        assert row["split"] == ("held" if digest % 2 == 0 else "dev")


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_label_of_the_sentences_is_one_of_the_lexicon(language: str) -> None:
    known = set(labeler(language).labels)

    assert {label for row in sentences(language) for label in row["findings"]} <= known


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("part", ["dev", "held"])
def test_findings_with_their_presence_reach_f1_of_95(language: str, part: str) -> None:
    rules = labeler(language)
    tally: Counter[str] = Counter()

    for row in sentences(language):
        if row["split"] == part:
            stated = set(row["findings"].items())
            found = {(f.label, f.presence.value) for f in rules.label(split(row["text"]))}
            tally.update(both=len(stated & found), all=len(stated) + len(found))

    assert 2 * tally["both"] / tally["all"] >= 0.95


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_evidence_span_is_the_submitted_text(language: str) -> None:
    rules = labeler(language)

    for row in sentences(language):
        for finding in rules.label(split(row["text"])):
            assert finding.evidence
            for span in finding.evidence:
                assert row["text"][span.start : span.end] == span.text
