"""Errors on FHIR paths: OperationOutcome (R4, operationoutcome.html) in place of a problem."""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

FHIR_PREFIX = "/fhir/"
FHIR_MEDIA_TYPE = "application/fhir+json"

# R4, valueset-issue-type.html; what is not here is `processing`.
_ISSUE_TYPES = {
    HTTPStatus.BAD_REQUEST: "invalid",
    HTTPStatus.UNAUTHORIZED: "login",
    HTTPStatus.FORBIDDEN: "forbidden",
    HTTPStatus.NOT_FOUND: "not-found",
    HTTPStatus.METHOD_NOT_ALLOWED: "not-supported",
    HTTPStatus.CONFLICT: "conflict",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "too-long",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "not-supported",
    HTTPStatus.INTERNAL_SERVER_ERROR: "exception",
    HTTPStatus.SERVICE_UNAVAILABLE: "transient",
}


def operation_outcome(code: str, status: HTTPStatus, details: Sequence[str]) -> dict[str, Any]:
    """Return an OperationOutcome with one issue for each thing that is wrong."""
    return {
        "resourceType": "OperationOutcome",
        "issue": [
            {
                "severity": "error",
                "code": _ISSUE_TYPES.get(status, "processing"),
                "details": {"coding": [{"system": "urn:medqueue:error", "code": code}]},
                "diagnostics": detail,
            }
            for detail in details
        ],
    }


def document_outcomes(*statuses: HTTPStatus) -> dict[int | str, dict[str, Any]]:
    """Return how OpenAPI describes the errors of a FHIR route."""
    return {
        int(status): {
            "description": f"{status.phrase}: an OperationOutcome",
            "content": {FHIR_MEDIA_TYPE: {"schema": {"type": "object"}}},
        }
        for status in statuses
    }
