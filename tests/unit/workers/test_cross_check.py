"""A cross-check end to end in the ledger: both results in, one result about them out."""

from dataclasses import replace
from typing import Any

import pytest

from builders import (
    after,
    an_image_model,
    claim,
    complete,
    hand_on,
    only,
    receive,
    register,
    result_rows,
    submit,
    work_rows,
)
from medqueue.ledger import work
from medqueue.ledger.engine import Ledger
from schemas.finding import Code, Finding, Presence
from schemas.manifest import Manifest
from schemas.result import Outcome, ResultStatus
from schemas.work import Stage, WorkState
from workers.cross_check import cross_check
from workers.diagnose_report import diagnose_report
from workers.models.agreement import parse_mapping
from workers.models.lexicon import parse_lexicon
from workers.models.package import BUNDLED_FOLDER, load_package
from workers.models.rules import RuleLabeler

RULES = load_package(BUNDLED_FOLDER / "chest-rules-en")
CHECK = load_package(BUNDLED_FOLDER / "cross-check")
LABELER = RuleLabeler(parse_lexicon(RULES.weights))
PNEUMONIA = Code(system="http://snomed.info/sct", code="233604007", display="Pneumonia")


def labeler_of(_: Manifest) -> RuleLabeler:
    return LABELER


def diagnose_image(ledger: Ledger, probability: float) -> None:
    receive(ledger)
    complete(ledger)
    hand_on(ledger, claim(ledger, only(work_rows(ledger, stage=Stage.PREPARE_SERIES)).id))
    held = claim(ledger, only(work_rows(ledger, stage=Stage.DIAGNOSE_IMAGE)).id, at=12)
    finding = Finding(
        label="Pneumonia",
        code=PNEUMONIA,
        probability=probability,
        threshold=0.5,
        presence=Presence.PRESENT if probability >= 0.5 else Presence.ABSENT,
    )
    outcome = Outcome(
        status=ResultStatus.FINAL,
        model=an_image_model().reference(),
        sop_instance_uids=("1.2.3.1.1",),
        findings=(finding,),
    )
    work.finish(ledger, held, outcome=outcome, now=after(13))


def read_report(ledger: Ledger, text: str) -> None:
    submit(ledger, text, study_instance_uid="1.2.3", language="en", report_id="R-1")
    held = claim(ledger, only(work_rows(ledger, state=WorkState.PENDING)).id, at=14)
    outcome = diagnose_report(ledger, held, RULES.manifest, LABELER)
    work.finish(ledger, held, outcome=outcome, now=after(15))


def checked(ledger: Ledger, text: str, probability: float) -> Any:
    """The row of the cross-check's result."""
    register(ledger, an_image_model(), RULES.manifest, CHECK.manifest)
    diagnose_image(ledger, probability)
    read_report(ledger, text)
    held = claim(ledger, only(work_rows(ledger, stage=Stage.CROSS_CHECK)).id, at=16)
    mapping = parse_mapping(CHECK.weights)
    outcome = cross_check(ledger, held, CHECK.manifest, mapping, labeler_of)
    assert outcome is not None
    work.finish(ledger, held, outcome=outcome, now=after(17))
    return only(result_rows(ledger, model_name="cross-check"))


@pytest.mark.parametrize(
    ("text", "probability", "verdict"),
    [
        ("Right lower lobe pneumonia.", 0.9, "agreement"),
        ("Right lower lobe pneumonia.", 0.1, "missed-in-image"),
        ("No pneumonia.", 0.9, "denied-in-text"),
        ("Heart size is normal.", 0.9, "not-in-text"),
        ("Pneumonia cannot be excluded.", 0.9, "undecided"),
        ("Family history of pneumonia.", 0.1, "agreement"),
    ],
)
def test_both_are_told_with_the_words_and_the_probability(
    ledger: Ledger, text: str, probability: float, verdict: str
) -> None:
    row = checked(ledger, text, probability)

    assert (row.kind, row.status, row.report_id) == ("text", "final", "R-1")
    assert (row.study_instance_uid, row.sop_instance_uids) == ("1.2.3", ["1.2.3.1.1"])
    finding = only(row.findings)
    assert finding["label"] == f"{verdict}: pneumonia"
    assert (finding["code"]["system"], finding["code"]["code"]) == (
        "urn:medqueue:cross-check",
        verdict,
    )
    assert (finding["probability"], finding["threshold"]) == (probability, 0.5)
    for span in finding["evidence"]:
        assert text[span["start"] : span["end"]] == span["text"]
        assert span["text"].casefold() == "pneumonia"
    assert [(one["kind"], one["name"]) for one in row.model["compared"]] == [
        ("image", "chest"),
        ("text", "chest-rules-en"),
    ]


def test_a_side_that_changes_from_findings_to_impression_is_told(ledger: Ledger) -> None:
    row = checked(
        ledger, "FINDINGS: Left pleural effusion.\nIMPRESSION: Right pleural effusion.", 0.1
    )

    assert [finding["label"] for finding in row.findings] == [
        "agreement: pneumonia",
        "flipped-side: pleural effusion",
    ]


def test_a_pair_that_is_no_more_ends_without_a_result(ledger: Ledger) -> None:
    register(ledger, an_image_model(), RULES.manifest, CHECK.manifest)
    diagnose_image(ledger, 0.9)
    read_report(ledger, "No pneumonia.")
    held = claim(ledger, only(work_rows(ledger, stage=Stage.CROSS_CHECK)).id, at=16)
    stale = replace(held, input_digest="0" * 64)

    mapping = parse_mapping(CHECK.weights)
    assert cross_check(ledger, stale, CHECK.manifest, mapping, labeler_of) is None
