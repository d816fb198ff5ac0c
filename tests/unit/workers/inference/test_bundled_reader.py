"""The bundled network for texts: reads both languages, as well as its card says and no better."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from schemas.finding import Presence
from workers.inference.reader import TextReader
from workers.models.lexicon import parse_lexicon
from workers.models.package import BUNDLED_FOLDER, load_package
from workers.models.rules import RuleLabeler
from workers.preprocess.text import split
from workers.training.evaluate_command import evaluate
from workers.training.measure import form_of
from workers.training.records import read_records

PACKAGE = load_package(BUNDLED_FOLDER / "chest-rnn")
SENTENCES = Path(__file__).parents[3] / "data"
TRAINING = Path(__file__).parents[4] / "workers" / "training"
REPORTS = Path(__file__).parents[5] / "shared" / "data" / "text" / "openi_reports_trainval.jsonl"


@pytest.fixture(scope="module")
def reader() -> TextReader:
    return TextReader(PACKAGE)


def test_it_says_that_it_is_no_clinical_model_and_waits_for_a_person() -> None:
    manifest = PACKAGE.manifest

    assert manifest.candidate
    assert not manifest.cleared_for_clinical_use
    assert "not for clinical use" in manifest.intended_use
    assert "no real report" in manifest.intended_use


@pytest.mark.parametrize(
    ("text", "stated"),
    [
        ("FINDINGS: There is a small left pleural effusion. No pneumothorax.", "pleural effusion"),
        ("IMPRESSION: Cardiomegaly. History of pneumonia.", "cardiomegaly"),
        ("检查所见：右侧气胸。未见胸腔积液。", "pneumothorax"),  # noqa: RUF001
        ("左侧胸腔积液，无气胸。", "pleural effusion"),  # noqa: RUF001
    ],
)
def test_it_reads_both_languages_and_points_at_their_words(
    reader: TextReader, text: str, stated: str
) -> None:
    present = [f for f in reader.label(split(text)) if f.presence is Presence.PRESENT]

    assert {finding.label for finding in present} - {"any finding"} == {stated}
    for finding in present:
        assert finding.evidence
        for span in finding.evidence:
            assert text[span.start : span.end] == span.text


def measured(data: Path, *options: str) -> dict[str, float]:
    outcome = CliRunner().invoke(
        evaluate, ["chest-rnn", "--data", str(data), "--json", *options], catch_exceptions=False
    )
    return dict(json.loads(outcome.stdout)["metrics"])


@pytest.mark.parametrize(("language", "f1"), [("en", 0.727), ("zh", 0.673)])
def test_on_sentences_written_by_hand_it_is_as_good_as_its_card_says(
    tmp_path: Path, language: str, f1: float
) -> None:
    rows = (SENTENCES / f"report_sentences_{language}.jsonl").read_text(encoding="utf-8")
    records = [
        {"text": row["text"], "labels": row["findings"], "split": "test"}
        for row in map(json.loads, rows.splitlines())
    ]
    data = tmp_path / "sentences.jsonl"
    data.write_text("\n".join(map(json.dumps, records)), encoding="utf-8")

    assert measured(data)["f1"] == pytest.approx(f1, abs=0.01)


@pytest.mark.shared_data
@pytest.mark.skipif(not REPORTS.is_file(), reason="../shared/data/text is not here")
def test_on_real_reports_it_is_as_good_as_its_card_says() -> None:
    metrics = measured(REPORTS, "--form", str(TRAINING / "openi-rnn.toml"))

    assert metrics["f1"] == pytest.approx(0.845, abs=0.01)
    assert metrics["auroc"] == pytest.approx(0.974, abs=0.005)


@pytest.mark.shared_data
@pytest.mark.skipif(not REPORTS.is_file(), reason="../shared/data/text is not here")
def test_its_evidence_lies_on_the_words_that_the_rules_read(reader: TextReader) -> None:
    rules = RuleLabeler(parse_lexicon(load_package(BUNDLED_FOLDER / "chest-rules-en").weights))
    form = form_of(PACKAGE, TRAINING / "openi-rnn.toml")
    overlaps = []
    for record in read_records(REPORTS, form):
        if record.split == "val":
            document = split(record.text)
            told = {f.label: f for f in rules.label(document) if f.presence is Presence.PRESENT}
            overlaps += [
                any(
                    one.start < other.end and other.start < one.end
                    for one in finding.evidence
                    for other in told[finding.label].evidence
                )
                for finding in reader.label(document)
                if finding.presence is Presence.PRESENT and finding.label in told
            ]

    assert len(overlaps) > 300
    assert sum(overlaps) / len(overlaps) >= 0.95
