"""The HTTP door for report texts: `POST /reports`. Parsing and admission, nothing else."""

from typing import Annotated

from fastapi import APIRouter, Body, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from medqueue.doors.admission import Admission
from medqueue.doors.idempotency import IdempotencyKey, scoped_key
from medqueue.errors import RefusedInputError
from schemas.report import MAX_TEXT_CHARACTERS, ReportSubmission

MAX_BODY_BYTES = 12 * MAX_TEXT_CHARACTERS + 16 * 1024
"""Enough for the longest text with every character escaped as a pair of surrogates."""

SOURCE = "http"

_EXAMPLE = {
    "text": "No pneumothorax. Possible small left effusion. Cardiomegaly.",
    "language": "en",
    "accession_number": "A2024-001",
    "report_id": "R-77",
    "urgent": False,
}


class AcceptedReport(BaseModel):
    """The text is durable; its results follow in the feed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(description="Our id of this version of the report.")
    status_url: str = Field(description="Where its state and results can be read.")


def reports_router(admission: Admission) -> APIRouter:
    """Return the routes of this door."""
    router = APIRouter(tags=["reports"])

    @router.post("/reports", status_code=202, summary="Hand in a report text")
    def submit_report(
        submission: Annotated[ReportSubmission, Body(examples=[_EXAMPLE])],
        request: Request,
        response: Response,
        idempotency_key: IdempotencyKey = None,
    ) -> AcceptedReport:
        """Accept a report text for diagnosis.

        The answer comes when text and record are durable: what got a 202 is never lost. The same
        `report_id` with the same content answers with the same `id`; with other content it is a
        correction, the next version of that report, and its results are `amended`.
        """
        key = scoped_key(idempotency_key, request, source=SOURCE)
        try:
            id_ = admission.admit_report(submission, source=SOURCE, idempotency_key=key)
        except RefusedInputError as error:
            admission.record_refusal(SOURCE, error)
            raise
        status_url = f"/reports/{id_}"
        response.headers["Location"] = status_url
        return AcceptedReport(id=id_, status_url=status_url)

    return router
