"""Failed work for administrators: listed, tried again and put away, over the API and on a page."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import HTMLResponse, RedirectResponse, Response

from medqueue.doors.admission import Clock
from medqueue.errors import NotFoundError, TransitionError
from medqueue.ledger import failures
from medqueue.ledger.engine import Ledger
from medqueue.results.failures import FailureOnInput, find_failure, list_failures
from medqueue.web.access import PAGES_PREFIX, Caller, Role
from medqueue.web.problems import document
from medqueue.web.rendering import Renderer

MAX_ON_PAGE = 200
PAGE = f"{PAGES_PREFIX}failures"
_NOTICES = {
    NotFoundError.code: "There is no such work any more. This is what failed and is left.",
    TransitionError.code: "Somebody has decided before you. This is what failed and is left.",
}

Id = Annotated[
    str, Path(pattern=r"^[0-9a-f]{32}$", description="The `id` of an entry of `GET /failures`.")
]
_UNKNOWN = document(HTTPStatus.NOT_FOUND)
_NOT_NOW = document(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT)


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class FailuresPage(_Value):
    """The failures that wait for a decision, the newest first."""

    failures: list[FailureOnInput]


class Requeued(_Value):
    """What is open again."""

    requeued: list[str] = Field(
        description="Ids of the work that runs first; for a diagnosis, its preparation's."
    )


def failures_router(ledger: Ledger, clock: Clock) -> APIRouter:
    """Return the routes of the API."""
    router = APIRouter(tags=["failures"])

    @router.get("/failures", summary="List failed work, the newest first")
    def read_failures(
        limit: Annotated[int, Query(ge=1, le=10_000, description="The most entries.")] = 100,
    ) -> FailuresPage:
        """Return what ended without a diagnosis and waits for a decision."""
        return FailuresPage(failures=list_failures(ledger, limit=limit))

    @router.get("/failures/{failure_id}", summary="One failure", responses=_UNKNOWN)
    def read_failure(failure_id: Id) -> FailureOnInput:
        """Return one piece of work with its error, attempts and times, whatever its state now."""
        return find_failure(ledger, failure_id)

    @router.post("/failures/requeue", summary="Try all failures again")
    def requeue_all(request: Request) -> Requeued:
        """Open everything that `GET /failures` lists for a new round."""
        return Requeued(requeued=_requeue(ledger, request, clock, None))

    @router.post(
        "/failures/{failure_id}/requeue", summary="Try one failure again", responses=_NOT_NOW
    )
    def requeue(request: Request, failure_id: Id) -> Requeued:
        """Open failed or discarded work for a new round, from its first stage on.

        Its `failed` result stays in the feed; the new round adds another.
        """
        return Requeued(requeued=_requeue(ledger, request, clock, [failure_id]))

    @router.post("/failures/{failure_id}/discard", summary="Put a failure away", responses=_NOT_NOW)
    def discard(request: Request, failure_id: Id) -> FailureOnInput:
        """Take a failure off the list; its `failed` result stays in the feed."""
        failures.discard(ledger, failure_id, actor=_caller(request).name, now=clock())
        return find_failure(ledger, failure_id)

    return router


def failures_page_router(ledger: Ledger, clock: Clock, render: Renderer) -> APIRouter:
    """Return the page, and what its buttons do. `access` keeps other sites' pages from these."""
    router = APIRouter()

    @router.get(PAGE)
    def page(request: Request, notice: str = "") -> HTMLResponse:
        return render(
            "failures.html",
            failures=list_failures(ledger, limit=MAX_ON_PAGE),
            most=MAX_ON_PAGE,
            may_decide=_caller(request).role is Role.ADMIN,
            notice=_NOTICES.get(notice),
        )

    def decide(decision: Callable[[], object]) -> Response:
        # 303, so that a reload of the page that follows decides nothing again.
        try:
            decision()
        except (NotFoundError, TransitionError) as error:
            return RedirectResponse(f"{PAGE}?notice={error.code}", HTTPStatus.SEE_OTHER)
        return RedirectResponse(PAGE, HTTPStatus.SEE_OTHER)

    @router.post(f"{PAGE}/requeue")
    def requeue_all(request: Request) -> Response:
        return decide(lambda: _requeue(ledger, request, clock, None))

    @router.post(f"{PAGE}/{{failure_id}}/requeue")
    def requeue(request: Request, failure_id: Id) -> Response:
        return decide(lambda: _requeue(ledger, request, clock, [failure_id]))

    @router.post(f"{PAGE}/{{failure_id}}/discard")
    def discard(request: Request, failure_id: Id) -> Response:
        actor = _caller(request).name
        return decide(lambda: failures.discard(ledger, failure_id, actor=actor, now=clock()))

    return router


def _requeue(ledger: Ledger, request: Request, clock: Clock, ids: list[str] | None) -> list[str]:
    return failures.requeue(ledger, ids, actor=_caller(request).name, now=clock())


def _caller(request: Request) -> Caller:
    caller: Caller = request.state.caller
    return caller
