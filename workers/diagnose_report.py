"""One report text: split into sections and sentences, read by the model, told as findings."""

from sqlalchemy import select

from medqueue.ledger.engine import Ledger
from medqueue.ledger.tables import reports
from schemas.manifest import Manifest
from schemas.result import Outcome, ResultStatus
from schemas.work import Claim
from workers.models.rules import RuleLabeler
from workers.preprocess.text import split


def diagnose_report(
    ledger: Ledger, claim: Claim, manifest: Manifest, labeler: RuleLabeler
) -> Outcome:
    """Return the findings of a report with the spans of text that say so."""
    with ledger.read() as connection:
        report = connection.execute(
            select(reports.c.text, reports.c.language).where(reports.c.id == claim.subject_id)
        ).one()
    document = split(report.text, report.language)
    return Outcome(
        status=ResultStatus.FINAL,
        model=manifest.reference(),
        findings=labeler.label(document),
    )
