"""Failures as readers see them: failed work with the input that it was on."""

from collections.abc import Iterable, Sequence

from pydantic import Field
from sqlalchemy import Connection, select

from medqueue.ledger import failures
from medqueue.ledger.engine import Ledger
from medqueue.ledger.tables import reports, series, studies
from schemas.failure import Failure


class FailureOnInput(Failure):
    """Failed work, and where its input can be read."""

    study_instance_uid: str | None = Field(
        description="Of the study, or of the study that the text is about."
    )
    report: str | None = Field(description="Our id of the report, where the work is on a text.")


def list_failures(ledger: Ledger, *, limit: int) -> list[FailureOnInput]:
    """Return the failures that wait for a decision, the newest first."""
    return _locate(ledger, failures.list_failures(ledger, limit))


def find_failure(ledger: Ledger, failure_id: str) -> FailureOnInput:
    """Return one piece of work, in whatever state it is by now.

    Raises:
        NotFoundError: there is no such work.
    """
    return _locate(ledger, [failures.show_failure(ledger, failure_id)])[0]


def _locate(ledger: Ledger, found: Sequence[Failure]) -> list[FailureOnInput]:
    with ledger.read() as connection:
        inputs = _inputs(connection, {failure.subject_id for failure in found})
    return [
        FailureOnInput(**dict(failure), study_instance_uid=study, report=report)
        for failure in found
        for study, report in [inputs.get(failure.subject_id, (None, None))]
    ]


def _inputs(
    connection: Connection, subject_ids: Iterable[str]
) -> dict[str, tuple[str | None, str | None]]:
    """Return the Study Instance UID and the id of the report, for each series or report."""
    ids = list(subject_ids)
    of_series = (
        select(series.c.id, studies.c.study_instance_uid)
        .join(studies, studies.c.id == series.c.study_id)
        .where(series.c.id.in_(ids))
    )
    of_reports = select(reports.c.id, reports.c.study_instance_uid).where(reports.c.id.in_(ids))
    return {
        **{id_: (uid, None) for id_, uid in connection.execute(of_series)},
        **{id_: (uid, id_) for id_, uid in connection.execute(of_reports)},
    }
