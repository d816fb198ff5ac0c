"""One report text: read by its rules, with the spans of the very text that was sent."""

import pytest

from builders import claim, only, register, submit, work_rows
from medqueue.ledger.engine import Ledger
from schemas.finding import Presence
from schemas.manifest import Manifest
from schemas.result import Outcome, ResultStatus
from workers.diagnose_report import diagnose_report
from workers.models.lexicon import parse_lexicon
from workers.models.package import Package, bundled_packages, load_package
from workers.models.rules import RuleLabeler


def bundled(name: str) -> Package:
    return next(load_package(folder) for folder in bundled_packages() if folder.name == name)


def read(ledger: Ledger, package: str, text: str, language: str) -> tuple[Manifest, Outcome]:
    rules = bundled(package)
    register(ledger, rules.manifest)
    submit(ledger, text, language=language)
    held = claim(ledger, only(work_rows(ledger)).id)
    labeler = RuleLabeler(parse_lexicon(rules.weights))
    return rules.manifest, diagnose_report(ledger, held, rules.manifest, labeler)


@pytest.mark.parametrize(
    ("package", "language", "text", "expected"),
    [
        (
            "chest-rules-en",
            "en",
            "No pneumothorax. Possible small left effusion. Cardiomegaly.",
            {
                "pneumothorax": Presence.ABSENT,
                "pleural effusion": Presence.UNCERTAIN,
                "cardiomegaly": Presence.PRESENT,
            },
        ),
        ("chest-rules-zh", "zh", "未见气胸。心影增大。", None),
    ],
)
def test_findings_come_with_the_words_that_say_so(
    ledger: Ledger, package: str, language: str, text: str, expected: dict[str, Presence] | None
) -> None:
    manifest, outcome = read(ledger, package, text, language)

    assert outcome.status is ResultStatus.FINAL
    assert outcome.model == manifest.reference()
    assert outcome.findings
    if expected is not None:
        assert {f.label: f.presence for f in outcome.findings} == expected
    for finding in outcome.findings:
        assert finding.evidence
        for span in finding.evidence:
            assert text[span.start : span.end] == span.text


def test_a_text_without_any_finding_is_diagnosed_too(ledger: Ledger) -> None:
    _, outcome = read(ledger, "chest-rules-en", "Comparison: none.", "en")
    assert (outcome.status, outcome.findings) == (ResultStatus.FINAL, ())
