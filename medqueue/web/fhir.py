"""FHIR R4 for readers: DiagnosticReport by id and by search, and what the server can do."""

from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response

from medqueue import __version__
from medqueue.ledger.engine import Ledger
from medqueue.results.fhir import diagnostic_report, instant
from medqueue.results.fhir_search import CURSOR, Search, find_result, parse_search, run_search
from medqueue.web.outcomes import FHIR_MEDIA_TYPE, FHIR_PREFIX, document_outcomes
from schemas.result import Result

_ROUTE = f"{FHIR_PREFIX}DiagnosticReport"
_STARTED = datetime.now(UTC)
_RESOURCE: dict[str, Any] = {"content": {FHIR_MEDIA_TYPE: {"schema": {"type": "object"}}}}
_PARAMETERS = {
    "_lastUpdated": "When the result was written, such as ge2026-03-01 or lt2026-03-01T12:00:00Z.",
    "identifier": "The result's URN, the accession number or the report id; system|value or value.",
    "patient": "Identifier of the patient; also as patient:identifier or patient.identifier.",
    "study": "Study Instance UID, with or without urn:oid:; also as study:identifier.",
    "status": "final, amended, cancelled (failed or skipped), ...",
    "_id": "Id of the resource.",
    "_count": "The most entries of a page, 50 by default; 0 asks for their number only.",
}
_TYPES = {"_lastUpdated": "date", "patient": "reference", "study": "reference", "_count": "number"}


class FhirResponse(JSONResponse):
    """A FHIR resource (R4, http.html#mime-type)."""

    media_type = FHIR_MEDIA_TYPE


def fhir_router(ledger: Ledger) -> APIRouter:
    """Return the routes for readers."""
    router = APIRouter(tags=["fhir"], default_response_class=FhirResponse)

    @router.get(
        _ROUTE,
        summary="Search results as FHIR DiagnosticReport",
        response_model=None,
        responses={200: _RESOURCE, **document_outcomes(HTTPStatus.BAD_REQUEST)},
        openapi_extra={"parameters": [_parameter(*pair) for pair in _PARAMETERS.items()]},
    )
    async def search_reports(request: Request) -> Response:
        """Return a Bundle of type searchset, the oldest first, with a link to the next page.

        Repeated parameters must all hold; one with commas holds if one of its values does. A
        parameter that is not known is an error, never ignored.
        """
        search = parse_search(request.query_params.multi_items())
        return FhirResponse(await run_in_threadpool(_bundle, ledger, request, search))

    @router.get(
        f"{_ROUTE}/{{resource_id}}",
        summary="One result as FHIR DiagnosticReport",
        response_model=None,
        responses={200: _RESOURCE, **document_outcomes(HTTPStatus.NOT_FOUND)},
    )
    def read_report(resource_id: str) -> Response:
        """Return a result with its findings as contained Observations and its model as Device."""
        found = find_result(ledger, resource_id)
        return FhirResponse(diagnostic_report(found), headers={"ETag": 'W/"1"'})

    @router.get(
        f"{FHIR_PREFIX}metadata",
        summary="What the FHIR server can do",
        response_model=None,
        responses={200: _RESOURCE},
    )
    def metadata(request: Request) -> Response:
        """Return the CapabilityStatement."""
        accepts = "post" in request.app.openapi()["paths"].get(_ROUTE, {})
        return FhirResponse(_capabilities(_base(request), accepts=accepts))

    return router


def _bundle(ledger: Ledger, request: Request, search: Search) -> dict[str, Any]:
    """Return a page as a Bundle (R4, bundle.html#searchset)."""
    page = run_search(ledger, search)
    address = f"{_base(request)}{_ROUTE}"
    asked = [pair for pair in request.query_params.multi_items() if pair[0] != CURSOR]
    links = [{"relation": "self", "url": _url(address, request.query_params.multi_items())}]
    if page.next is not None:
        links.append({"relation": "next", "url": _url(address, [*asked, (CURSOR, page.next)])})
    bundle: dict[str, Any] = {"resourceType": "Bundle", "type": "searchset"}
    if page.total is not None:
        bundle["total"] = page.total
    bundle["link"] = links
    if page.results:
        bundle["entry"] = [_entry(address, result) for result in page.results]
    return bundle


def _entry(address: str, result: Result) -> dict[str, Any]:
    return {
        "fullUrl": f"{address}/{result.id}",
        "resource": diagnostic_report(result),
        "search": {"mode": "match"},
    }


def _url(address: str, parameters: list[tuple[str, str]]) -> str:
    return f"{address}?{urlencode(parameters)}" if parameters else address


def _base(request: Request) -> str:
    """Return the address that the client used: a proxy in front keeps `Host` and names the scheme.

    Only links in this one answer hang on it, so a header that lies harms its sender alone.
    """
    scheme = "https" if request.headers.get("x-forwarded-proto") == "https" else request.url.scheme
    return f"{scheme}://{request.url.netloc}"


def _capabilities(base: str, *, accepts: bool) -> dict[str, Any]:
    """Return the CapabilityStatement (R4, capabilitystatement.html)."""
    interactions = ["read", "search-type", *(["create"] if accepts else [])]
    resource = {
        "type": "DiagnosticReport",
        "interaction": [{"code": code} for code in interactions],
        "versioning": "no-version",
        "searchParam": [
            {"name": name, "type": _TYPES.get(name, "token"), "documentation": text}
            for name, text in _PARAMETERS.items()
            if name != "_count"
        ],
    }
    return {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": instant(_STARTED),
        "kind": "instance",
        "software": {"name": "medqueue", "version": __version__},
        "implementation": {"description": "medqueue", "url": f"{base}/fhir"},
        "fhirVersion": "4.0.1",
        "format": ["json"],
        "rest": [{"mode": "server", "resource": [resource]}],
    }


def _parameter(name: str, description: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "description": description, "schema": {"type": "string"}}
