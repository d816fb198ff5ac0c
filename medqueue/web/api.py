"""The API for readers: the results feed, studies and reports."""

from http import HTTPStatus
from time import monotonic
from typing import Annotated

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from medqueue.ledger import explanations
from medqueue.ledger.engine import Ledger
from medqueue.results.documents import read_document
from medqueue.results.feed import START, parse_cursor, read_feed
from medqueue.results.reports import ReportHistory, ReportSummary, find_report, list_reports
from medqueue.results.studies import StudyHistory, StudySummary, find_study, list_studies
from medqueue.web.problems import document
from medqueue.web.watch import FeedWatch
from schemas.result import Result
from schemas.study import StudyState

MAX_WAIT_SECONDS = 300.0
"""Proxies cut silent connections after a minute or more; longer waits only meet that."""

Limit = Annotated[int, Query(ge=1, le=10_000, description="The most entries to return.")]
ListCursor = Annotated[
    str | None,
    Query(pattern=r"^[0-9a-f]{32}$", description="The `next` of an earlier answer."),
]
_UNKNOWN = document(HTTPStatus.NOT_FOUND)


class _Page(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ResultsPage(_Page):
    """A piece of the feed."""

    results: list[Result]
    next: str = Field(description="The cursor for the next call; always there.")


class StudiesPage(_Page):
    """A page of the list of studies."""

    studies: list[StudySummary]
    next: str | None = Field(description="The cursor of the next page; null on the last.")


class ReportsPage(_Page):
    """A page of the list of reports."""

    reports: list[ReportSummary]
    next: str | None = Field(description="The cursor of the next page; null on the last.")


def api_router(ledger: Ledger, watch: FeedWatch) -> APIRouter:
    """Return the routes of the API."""
    router = APIRouter()

    @router.get("/results", tags=["results"], summary="Read the results feed")
    async def read_results(
        after: Annotated[
            str | None,
            Query(
                description="The `next` of an earlier answer; left out: from the beginning.",
                examples=[START],
            ),
        ] = None,
        limit: Limit = 100,
        wait: Annotated[
            float,
            Query(
                ge=0,
                le=MAX_WAIT_SECONDS,
                description="Seconds to wait for a result when there is none yet (long poll).",
            ),
        ] = 0,
    ) -> ResultsPage:
        """Return the results that follow a cursor, each once, in a stable order.

        Keep `next` and give it as `after` in the next call. Any number of readers may do so, each
        with its own cursor, and none misses or repeats a result while others are written.
        """
        seq = parse_cursor(after)
        deadline = monotonic() + wait
        found, following = await run_in_threadpool(read_feed, ledger, after=after, limit=limit)
        if not found and wait:
            await watch.wait_beyond(seq, deadline - monotonic())
            found, following = await run_in_threadpool(read_feed, ledger, after=after, limit=limit)
        return ResultsPage(results=found, next=following)

    @router.get(
        "/explanations/{id_}",
        tags=["results"],
        summary="The picture that explains a finding",
        response_class=Response,
        responses=_UNKNOWN | {200: {"content": {"image/png": {}}}},
    )
    def read_explanation(
        id_: Annotated[str, Path(pattern=r"^[0-9a-f]{32}$", description="As the finding has it.")],
    ) -> Response:
        """Return a PNG: the image as the model saw it, and what in it spoke for the finding."""
        with ledger.read() as connection:
            content = explanations.find(connection, id_)
        return Response(content, media_type="image/png")

    @router.get("/studies", tags=["studies"], summary="List studies, the newest first")
    def read_studies(
        state: StudyState | None = None, limit: Limit = 100, after: ListCursor = None
    ) -> StudiesPage:
        """Return what is known about the newest studies, without their histories."""
        page, following = list_studies(ledger, state=state, after=after, limit=limit)
        return StudiesPage(studies=page, next=following)

    @router.get(
        "/studies/{study_instance_uid}",
        tags=["studies"],
        summary="State and history of a study",
        responses=_UNKNOWN,
    )
    def read_study(
        study_instance_uid: Annotated[str, Path(examples=["1.2.840.113619.2.55.3"])],
    ) -> StudyHistory:
        """Return a study with its series, the work on each, and its results."""
        return find_study(ledger, study_instance_uid)

    @router.get("/reports", tags=["reports"], summary="List reports, the newest first")
    def read_reports(limit: Limit = 100, after: ListCursor = None) -> ReportsPage:
        """Return what is known about the newest reports, without texts and histories."""
        page, following = list_reports(ledger, after=after, limit=limit)
        return ReportsPage(reports=page, next=following)

    @router.get(
        "/reports/{report_id}/documents/{number}",
        tags=["reports"],
        summary="A document that came beside a report's text",
        response_class=Response,
        responses=_UNKNOWN | {200: {"content": {"application/octet-stream": {}}}},
    )
    def read_report_document(
        report_id: Annotated[str, Path(pattern=r"^[0-9a-f]{32}$", description="Our id.")],
        number: Annotated[int, Path(ge=1, le=10_000)],
    ) -> Response:
        """Return a document as it came, to be saved; it is never opened or shown here."""
        known, content = read_document(ledger, report_id, number)
        suffix = ".pdf" if known.media_type == "application/pdf" else ".bin"
        name = f"report-{report_id}-{number}{suffix}"
        return Response(
            content,
            media_type=known.media_type,
            headers={"Content-Disposition": f'attachment; filename="{name}"'},
        )

    # A sender's report id may hold slashes.
    @router.get(
        "/reports/{report_id:path}",
        tags=["reports"],
        summary="State and history of a report",
        responses=_UNKNOWN,
    )
    def read_report(
        report_id: Annotated[str, Path(description="Our id, or the sender's `report_id`.")],
    ) -> ReportHistory:
        """Return a report with the work on it and its results; by the sender's id, the newest."""
        return find_report(ledger, report_id)

    return router
