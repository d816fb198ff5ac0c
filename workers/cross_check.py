"""One cross-check: what an image model says of a study against what its report says.

The result is a warning for people who watch over image models, not a diagnosis. It stands under
the report, with the study it belongs to; its form is in docs/decisions.
"""

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import Row, select

from medqueue.ledger import cross_checks, models
from medqueue.ledger.engine import Ledger
from medqueue.ledger.tables import reports
from schemas.finding import Code, Finding, Presence
from schemas.manifest import Manifest
from schemas.result import ComparedModel, Outcome, ResultKind, ResultStatus
from schemas.work import Claim
from workers.diagnose_report import Labeler
from workers.models.agreement import Comparison, Mapping, Side, Verdict, compare
from workers.models.sides import SideReader, flipped
from workers.preprocess.text import split

CODE_SYSTEM = "urn:medqueue:cross-check"
_DISPLAY = {
    Verdict.AGREEMENT: "Image model and report agree",
    Verdict.MISSED_IN_IMAGE: "Stated by the report, not by the image model",
    Verdict.NOT_IN_TEXT: "Stated by the image model, not mentioned by the report",
    Verdict.DENIED_IN_TEXT: "Stated by the image model, denied by the report",
    Verdict.FLIPPED_SIDE: "Stated on opposite sides",
    Verdict.UNDECIDED: "The report is in doubt",
}


def cross_check(
    ledger: Ledger,
    claim: Claim,
    manifest: Manifest,
    mapping: Mapping,
    labeler_of: Callable[[Manifest], Labeler],
) -> Outcome | None:
    """Compare one pair of results; None where it is no more, or has nothing in common.

    Args:
        ledger: Where the results stand.
        claim: The work, on a report.
        manifest: Of the comparison.
        mapping: Its weights.
        labeler_of: Gives the rules of a text model, which tell the sides.
    """
    with ledger.read() as connection:
        pairs = cross_checks.pairs_of_report(connection, claim.subject_id)
        pair = next((pair for pair in pairs if pair.digest == claim.input_digest), None)
        if pair is None:
            return None
        report = connection.execute(
            select(reports.c.text, reports.c.language).where(reports.c.id == pair.report_id)
        ).one()
        rules = models.find(connection, pair.text.model_name, pair.text.model_version)
    document = split(report.text, report.language)
    told = _findings(pair.text)
    stated = {}
    if (words := mapping.sides.get(document.language)) is not None:
        labeler = labeler_of(rules)
        stated = SideReader(words, document.language).stated(document, labeler.label)
    sides: dict[str, frozenset[Side]] = {}
    for by_label in stated.values():
        for label, found in by_label.items():
            sides[label] = sides.get(label, frozenset()) | found
    comparisons = compare(mapping, _most_probable(pair.images), told, sides)
    turned = [
        Comparison(finding.label, Verdict.FLIPPED_SIDE, None, finding)
        for label in flipped(stated)
        for finding in told
        if finding.label == label
    ]
    if not comparisons and not turned:
        return None
    return Outcome(
        status=ResultStatus.FINAL,
        model=manifest.reference().model_copy(update={"compared": _compared(pair)}),
        sop_instance_uids=tuple(uid for row in pair.images for uid in row.sop_instance_uids),
        findings=tuple(_told(comparison) for comparison in (*comparisons, *turned)),
    )


def _findings(row: Row[Any]) -> list[Finding]:
    return [Finding.model_validate(finding) for finding in row.findings]


def _most_probable(rows: Sequence[Row[Any]]) -> list[Finding]:
    """Return each label once: what one series shows is there."""
    highest: dict[str, Finding] = {}
    for finding in (finding for row in rows for finding in _findings(row)):
        other = highest.get(finding.label)
        if other is None or (finding.probability or 0) > (other.probability or 0):
            highest[finding.label] = finding
    return list(highest.values())


def _compared(pair: cross_checks.Pair) -> tuple[ComparedModel, ...]:
    return tuple(
        ComparedModel(kind=kind, name=row.model_name, version=row.model_version)
        for kind, row in ((ResultKind.IMAGE, pair.images[0]), (ResultKind.TEXT, pair.text))
    )


def _told(comparison: Comparison) -> Finding:
    """Return a verdict as a finding: `present` means that the verdict holds."""
    verdict, image, text = comparison.verdict, comparison.image, comparison.text
    return Finding(
        code=Code(system=CODE_SYSTEM, code=verdict, display=_DISPLAY[verdict]),
        label=f"{verdict}: {comparison.name}",
        probability=image.probability if image else None,
        threshold=image.threshold if image else None,
        presence=Presence.PRESENT,
        evidence=text.evidence if text else (),
    )
