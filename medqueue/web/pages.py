"""The pages: a light view of the work for people, rendered here, without CDN."""

from collections.abc import Iterable
from datetime import timedelta
from http import HTTPStatus

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse

from medqueue.doors.admission import Clock
from medqueue.errors import NotFoundError
from medqueue.ledger.engine import Ledger
from medqueue.results.feed import results_of_reports, results_of_studies
from medqueue.results.overview import take_overview
from medqueue.results.reports import find_report, list_reports, read_text
from medqueue.results.studies import find_study, list_studies
from medqueue.web.access import Role
from medqueue.web.completion import completion_page_router
from medqueue.web.failures import failures_page_router
from medqueue.web.highlight import cut
from medqueue.web.rendering import Renderer
from schemas.result import Result, ResultKind

RECENT = 25
"""Rows of each table of the work list: what fits a screen or two."""


def pages_router(ledger: Ledger, clock: Clock) -> APIRouter:
    """Return the routes of the pages."""
    router = APIRouter()
    render = Renderer()

    @router.get("/")
    def work_list() -> HTMLResponse:
        overview = take_overview(ledger, now=clock())
        studies, _ = list_studies(ledger, limit=RECENT)
        reports, _ = list_reports(ledger, limit=RECENT)
        with ledger.read() as connection:
            on_studies = results_of_studies(connection, [row.study_instance_uid for row in studies])
            on_reports = results_of_reports(connection, [row.id for row in reports])
        return render(
            "work_list.html",
            overview=overview,
            waiting=timedelta(seconds=overview.longest_wait()),
            studies=[
                (row, newest_of_each_model(_images(on_studies[row.study_instance_uid])))
                for row in studies
            ],
            reports=[(row, newest_of_each_model(on_reports[row.id])) for row in reports],
        )

    @router.get("/view/studies/{study_instance_uid}")
    def study(request: Request, study_instance_uid: str) -> HTMLResponse:
        try:
            found = find_study(ledger, study_instance_uid)
        except NotFoundError as error:
            return render("missing.html", HTTPStatus.NOT_FOUND, detail=error.detail)
        return render(
            "study.html",
            study=found,
            results=list(reversed(found.results)),
            may_decide=request.state.caller.role is Role.ADMIN,
        )

    @router.get("/view/reports/{report_id:path}")
    def report(report_id: str) -> HTMLResponse:
        try:
            found = find_report(ledger, report_id)
            text = read_text(ledger, found.id)
        except NotFoundError as error:
            return render("missing.html", HTTPStatus.NOT_FOUND, detail=error.detail)
        newest = newest_of_each_model(found.results)
        # What a comparison calls present is a verdict, not a finding of the text.
        read = [result for result in newest if not result.model.compared]
        findings = [finding for result in read for finding in result.findings]
        return render(
            "report.html",
            report=found,
            segments=cut(text, findings),
            results=list(reversed(found.results)),
        )

    router.include_router(completion_page_router(ledger, clock))
    router.include_router(failures_page_router(ledger, clock, render))

    return router


def newest_of_each_model(results: Iterable[Result]) -> list[Result]:
    """Return, of the results on each input by each model, only the newest."""
    newest = {(found.series_instance_uid, found.model.name): found for found in results}
    return list(newest.values())


def _images(results: Iterable[Result]) -> list[Result]:
    return [result for result in results if result.kind is ResultKind.IMAGE]
