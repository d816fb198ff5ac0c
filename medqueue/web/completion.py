"""Declaring a study complete: by its sender over the API, by a person on its page."""

from datetime import datetime
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Path, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import RedirectResponse, Response

from medqueue.doors.admission import Clock
from medqueue.errors import IdentityError
from medqueue.ledger import audit, evidence
from medqueue.ledger.engine import Ledger
from medqueue.web.access import PAGES_PREFIX
from schemas.completeness import Evidence, EvidenceKind
from schemas.identifiers import is_uid

_MOST = 10_000_000
"""No study has so many objects; a number must fit its column."""

StudyUid = Annotated[str, Path(examples=["1.2.840.113619.2.55.3"])]


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Declaration(_Value):
    """How much there is, where the sender knows it."""

    instances: Annotated[int, Field(ge=1, le=_MOST)] | None = Field(
        default=None, description="Different objects of the study."
    )
    series: Annotated[int, Field(ge=1, le=_MOST)] | None = None


class Declared(_Value):
    """The declaration is on record, also for a study of which nothing has come yet."""

    study_instance_uid: str
    recorded_at: datetime


def completion_router(ledger: Ledger, clock: Clock) -> APIRouter:
    """Return the route of the API."""
    router = APIRouter(tags=["studies"])

    @router.post(
        "/studies/{study_instance_uid}/complete",
        status_code=HTTPStatus.ACCEPTED,
        summary="Say that all of a study has been sent",
    )
    def declare(
        request: Request, study_instance_uid: StudyUid, declaration: Declaration | None = None
    ) -> Declared:
        """Close the study at once; with numbers, as soon as so many objects are there.

        It holds until another object arrives. Numbers may be given before the first object.
        """
        said = declaration or Declaration()
        one = Evidence(
            kind=EvidenceKind.DECLARED,
            source=request.state.caller.name,
            at=clock(),
            instances=said.instances,
            series=said.series,
        )
        _record(ledger, study_instance_uid, one)
        return Declared(study_instance_uid=study_instance_uid, recorded_at=one.at)

    return router


def completion_page_router(ledger: Ledger, clock: Clock) -> APIRouter:
    """Return what the button on the page of a study does."""
    router = APIRouter()

    @router.post(f"{PAGES_PREFIX}studies/{{study_instance_uid}}/complete")
    def decide(request: Request, study_instance_uid: str) -> Response:
        one = Evidence(kind=EvidenceKind.PERSON, source=request.state.caller.name, at=clock())
        _record(ledger, study_instance_uid, one)
        # 303, so that a reload of the page that follows decides nothing again.
        page = f"{PAGES_PREFIX}studies/{study_instance_uid}"
        return RedirectResponse(page, HTTPStatus.SEE_OTHER)

    return router


def _record(ledger: Ledger, study_instance_uid: str, one: Evidence) -> None:
    if not is_uid(study_instance_uid):
        raise IdentityError("the study in the URL is not a UID (PS3.5 section 9.1)")
    with ledger.write() as connection:
        evidence.record(connection, [(study_instance_uid, one)])
        audit.record(
            connection,
            now=one.at,
            actor=one.source,
            action="study-complete",
            code=one.kind,
            detail=f"said complete, objects: {one.instances or 'not counted'}",
        )
