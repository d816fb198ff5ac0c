"""The routes of STOW-RS: they hand the body on as it comes, off the event loop."""

import json
from http import HTTPStatus

from fastapi import APIRouter, Request, Response
from starlette.concurrency import run_in_threadpool

from medqueue.doors.admission import Admission
from medqueue.doors.stow import StowRequest, StowResponse, boundary_of
from medqueue.web.problems import RETRY_AFTER_SECONDS, document

STOW_PREFIX = "/dicom-web/"

_GATHER_BYTES = 256 * 1024
"""Pieces of a socket are small; a thread for each would cost more than the disk."""

_ANSWERS = {
    HTTPStatus.OK.value: {"description": "Every object is stored."},
    HTTPStatus.ACCEPTED.value: {"description": "Some objects are stored; the document says which."},
    HTTPStatus.CONFLICT.value: {"description": "No object is stored; the document says why."},
    HTTPStatus.SERVICE_UNAVAILABLE.value: {
        "description": "No object can be stored now; send again after Retry-After."
    },
    **document(
        HTTPStatus.BAD_REQUEST,
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        HTTPStatus.UNPROCESSABLE_ENTITY,
    ),
}
_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            'multipart/related; type="application/dicom"': {
                "schema": {"type": "string", "format": "binary"}
            }
        },
    }
}


def stow_router(admission: Admission) -> APIRouter:
    """Return the routes of the STOW-RS door (PS3.18 section 10.5)."""
    router = APIRouter(prefix="/dicom-web", tags=["studies"])

    async def store(request: Request, study_instance_uid: str | None) -> Response:
        receiver = StowRequest(
            admission,
            boundary=boundary_of(request.headers.get("content-type", "")),
            study_instance_uid=study_instance_uid,
            sender=request.state.caller.name,
        )
        try:
            pending = bytearray()
            async for piece in request.stream():
                pending += piece
                if len(pending) >= _GATHER_BYTES:
                    await run_in_threadpool(receiver.feed, bytes(pending))
                    pending.clear()
            await run_in_threadpool(receiver.feed, bytes(pending))
            return _answer(receiver.finish())
        finally:
            await run_in_threadpool(receiver.close)

    @router.post("/studies", responses=_ANSWERS, openapi_extra=_BODY)
    async def store_studies(request: Request) -> Response:
        """Store DICOM objects of any study; each is durable or refused on its own."""
        return await store(request, None)

    @router.post("/studies/{study_instance_uid}", responses=_ANSWERS, openapi_extra=_BODY)
    async def store_study(request: Request, study_instance_uid: str) -> Response:
        """Store DICOM objects of one study; an object of another is refused."""
        return await store(request, study_instance_uid)

    return router


def _answer(response: StowResponse) -> Response:
    headers = (
        {"Retry-After": str(RETRY_AFTER_SECONDS)}
        if response.status == HTTPStatus.SERVICE_UNAVAILABLE
        else None
    )
    return Response(
        json.dumps(response.document),
        status_code=response.status,
        media_type="application/dicom+json",
        headers=headers,
    )
