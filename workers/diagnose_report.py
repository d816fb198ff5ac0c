"""One report text: split into sections and sentences, read by the model, told as findings."""

from typing import Protocol

from sqlalchemy import select

from medqueue.ledger.engine import Ledger
from medqueue.ledger.tables import reports
from schemas.document import Document
from schemas.finding import Finding
from schemas.manifest import Manifest
from schemas.result import Outcome, ResultStatus
from schemas.work import Claim
from workers.preprocess.text import split


class Labeler(Protocol):
    """What reads a document: rules or a network."""

    def label(self, document: Document) -> tuple[Finding, ...]:
        """Return the findings of the document, with the spans that say so."""


def diagnose_report(ledger: Ledger, claim: Claim, manifest: Manifest, labeler: Labeler) -> Outcome:
    """Return the findings of a report with the spans of text that say so."""
    with ledger.statement() as connection:
        report = connection.execute(
            select(reports.c.text, reports.c.language).where(reports.c.id == claim.subject_id)
        ).one()
    document = split(report.text, report.language)
    return Outcome(
        status=ResultStatus.FINAL,
        model=manifest.reference(),
        findings=labeler.label(document),
    )
