"""Problems: every error as `application/problem+json` (RFC 9457), without what was sent.

A request may hold patient data, so no answer here repeats a value or a name out of it.
"""

from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.exc import SQLAlchemyError
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from medqueue.errors import (
    CursorError,
    ForbiddenError,
    IdempotencyConflictError,
    MalformedRequestError,
    MedqueueError,
    NotFoundError,
    RefusedInputError,
    SearchError,
    TooLargeError,
    TransitionError,
    UnauthorizedError,
    UnavailableError,
    UnsupportedMediaError,
)
from medqueue.logs import get_logger
from medqueue.web.outcomes import FHIR_MEDIA_TYPE, FHIR_PREFIX, operation_outcome

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_SECONDS = 5
"""What a sender is asked to wait: long enough for a restart of the database."""

_STATUS: dict[type[MedqueueError], HTTPStatus] = {
    UnauthorizedError: HTTPStatus.UNAUTHORIZED,
    ForbiddenError: HTTPStatus.FORBIDDEN,
    NotFoundError: HTTPStatus.NOT_FOUND,
    IdempotencyConflictError: HTTPStatus.CONFLICT,
    MalformedRequestError: HTTPStatus.BAD_REQUEST,
    UnsupportedMediaError: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    TransitionError: HTTPStatus.CONFLICT,
    TooLargeError: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    CursorError: HTTPStatus.UNPROCESSABLE_ENTITY,
    SearchError: HTTPStatus.BAD_REQUEST,
    RefusedInputError: HTTPStatus.UNPROCESSABLE_ENTITY,
    UnavailableError: HTTPStatus.SERVICE_UNAVAILABLE,
    MedqueueError: HTTPStatus.INTERNAL_SERVER_ERROR,
}

_logger = get_logger(__name__)

RecordRefusal = Callable[[str, RefusedInputError], None]


class FieldProblem(BaseModel):
    """What is wrong with one part of the request."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    field: str = Field(description="Where: `body.text`, `query.limit`, `header.idempotency-key`.")
    message: str


class Problem(BaseModel):
    """An error (RFC 9457)."""

    model_config = ConfigDict(frozen=True)

    type: str = Field(description="A URN made of the code.")
    title: str
    status: int
    detail: str = Field(description="What is wrong and what to do, without patient data.")
    code: str = Field(description="Stable; see the list of error codes.")
    errors: tuple[FieldProblem, ...] | None = Field(
        default=None, description="For an invalid request: each part that is wrong."
    )


def problem_response(
    code: str,
    status: HTTPStatus,
    detail: str,
    *,
    path: str = "",
    errors: Sequence[FieldProblem] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Return a problem as a response; as an OperationOutcome where the path is FHIR's."""
    all_headers = {"Cache-Control": "no-store", **(headers or {})}
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        all_headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    if path.startswith(FHIR_PREFIX):
        details = [f"{field.field}: {field.message}" for field in errors or ()] or [detail]
        outcome = operation_outcome(code, status, details)
        return JSONResponse(outcome, status, headers=all_headers, media_type=FHIR_MEDIA_TYPE)
    problem = Problem(
        type=f"urn:medqueue:error:{code}",
        title=code.replace("-", " ").capitalize(),
        status=status,
        detail=detail,
        code=code,
        errors=tuple(errors) if errors is not None else None,
    )
    return Response(
        problem.model_dump_json(exclude_none=True),
        status_code=status,
        media_type=MEDIA_TYPE,
        headers=all_headers,
    )


def document(*statuses: HTTPStatus) -> dict[int | str, dict[str, Any]]:
    """Return how OpenAPI describes the problems that a route answers with."""
    reference = {"schema": {"$ref": "#/components/schemas/Problem"}}
    return {
        int(status): {"description": status.phrase, "content": {MEDIA_TYPE: reference}}
        for status in statuses
    }


def to_response(error: MedqueueError, path: str = "") -> Response:
    """Return one of our errors as a response to a request for a path."""
    status = next(_STATUS[kind] for kind in type(error).__mro__ if kind in _STATUS)
    headers = error.headers if isinstance(error, UnauthorizedError) else None
    return problem_response(error.code, status, error.detail, path=path, headers=headers)


def install(app: FastAPI, record_refusal: RecordRefusal) -> None:
    """Make an app answer every error as a problem, and put refused submissions on record."""

    async def on_our_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, MedqueueError)  # noqa: S101 - registered for it below
        return to_response(error, request.url.path)

    async def on_invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for it below
        fields = [_explain(problem) for problem in error.errors()]
        detail = "; ".join(f"{field.field}: {field.message}" for field in fields)
        if request.method == "POST":
            await run_in_threadpool(record_refusal, "http", RefusedInputError(detail))
        status = HTTPStatus.UNPROCESSABLE_ENTITY
        path = request.url.path
        return problem_response("invalid-request", status, detail, path=path, errors=fields)

    async def on_http_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101 - registered for it below
        status = HTTPStatus(error.status_code)
        code = status.phrase.lower().replace(" ", "-")
        if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            code = TooLargeError.code
            await run_in_threadpool(record_refusal, "http", TooLargeError(error.detail))
        path = request.url.path
        return problem_response(code, status, error.detail, path=path, headers=error.headers)

    async def on_ledger_error(request: Request, error: Exception) -> Response:
        _logger.error("ledger-unavailable", error=type(error).__name__)
        detail = "the ledger does not answer now; try again, and see: medqueue doctor"
        status = HTTPStatus.SERVICE_UNAVAILABLE
        return problem_response(UnavailableError.code, status, detail, path=request.url.path)

    async def on_fault(request: Request, error: Exception) -> Response:
        # The server logs where it arose; the text of an unforeseen error may hold anything.
        detail = f"a fault of medqueue's own ({type(error).__name__}); its log says where"
        status = HTTPStatus.INTERNAL_SERVER_ERROR
        return problem_response(MedqueueError.code, status, detail, path=request.url.path)

    app.add_exception_handler(MedqueueError, on_our_error)
    app.add_exception_handler(RequestValidationError, on_invalid)
    app.add_exception_handler(HTTPException, on_http_error)
    app.add_exception_handler(SQLAlchemyError, on_ledger_error)
    app.add_exception_handler(Exception, on_fault)


def _explain(problem: Mapping[str, Any]) -> FieldProblem:
    """Say what is wrong where. Only names of our own appear: a sender's may be a patient's."""
    place = [str(part) for part in problem["loc"]]
    if problem["type"] == "json_invalid":
        return FieldProblem(field="body", message=f"not JSON: {problem['ctx']['error']}")
    if problem["type"] == "extra_forbidden":
        message = "holds a field that is not known; see /openapi.json"
        return FieldProblem(field=".".join(place[:-1]), message=message)
    return FieldProblem(field=".".join(place), message=problem["msg"])
