"""The HTTP application: composes the routes of doors and results with access and problems."""

from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Security
from fastapi.security import HTTPBearer
from starlette.staticfiles import StaticFiles

from medqueue import __version__
from medqueue.doors import fhir as fhir_door
from medqueue.doors import reports as reports_door
from medqueue.doors.admission import Admission, Clock, utc_now
from medqueue.ledger.engine import Ledger
from medqueue.results.feed import newest_seq
from medqueue.settings import Settings
from medqueue.web import problems
from medqueue.web.access import Access
from medqueue.web.api import api_router
from medqueue.web.completion import completion_router
from medqueue.web.failures import failures_router
from medqueue.web.fhir import fhir_router
from medqueue.web.middleware import AccessControl, BodyLimit, SecurityHeaders
from medqueue.web.operations import Check, metrics_router, probes_router
from medqueue.web.outcomes import document_outcomes
from medqueue.web.pages import pages_router
from medqueue.web.stow import STOW_PREFIX, stow_router
from medqueue.web.watch import FeedWatch

_DESCRIPTION = """
Studies and report texts in, results out. Every error is `application/problem+json` (RFC 9457)
with a stable `code`. Beyond loopback every call but the probes needs a token:
`Authorization: Bearer TOKEN`. All times are RFC 3339 in UTC.
"""
_TAGS = [
    {"name": "results", "description": "The feed of everything that models have concluded."},
    {"name": "studies", "description": "What came through the DICOM doors."},
    {"name": "reports", "description": "Report texts, in and out."},
    {"name": "fhir", "description": "FHIR R4: report texts in, the same results out."},
    {"name": "failures", "description": "Failed work: what, why, try again, put away."},
    {"name": "operations", "description": "Probes and metrics."},
]
_TOKEN = HTTPBearer(
    auto_error=False, description="A token of `MEDQUEUE_API_TOKENS`; not needed where none is set."
)


class _Application(FastAPI):
    def openapi(self) -> dict[str, Any]:
        """Return the OpenAPI document, with the schema that every problem has."""
        if self.openapi_schema is None:
            document = super().openapi()
            template = "#/components/schemas/{model}"
            schema = problems.Problem.model_json_schema(ref_template=template)
            document["components"]["schemas"].update({**schema.pop("$defs"), "Problem": schema})
        return super().openapi()


def create_app(
    settings: Settings,
    ledger: Ledger,
    admission: Admission,
    *,
    checks: Mapping[str, Check] | None = None,
    clock: Clock = utc_now,
) -> FastAPI:
    """Compose the HTTP application.

    Args:
        settings: where it will listen, and the tokens.
        ledger: what readers read.
        admission: what the doors hand over to.
        checks: further parts that `GET /readyz` asks, by name, such as `redis`.
        clock: the present time.

    Raises:
        ConfigurationError: the tokens are malformed, or missing beyond loopback.
    """
    watch = FeedWatch(lambda: newest_seq(ledger))
    app = _Application(
        title="medqueue",
        version=__version__,
        description=_DESCRIPTION,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        openapi_tags=_TAGS,
        docs_url=None,  # their scripts come from elsewhere
        redoc_url=None,
    )
    app.state.feed_watch = watch
    problems.install(app, admission.record_refusal)
    app.add_middleware(BodyLimit, max_bytes=reports_door.MAX_BODY_BYTES, streamed=STOW_PREFIX)
    app.add_middleware(AccessControl, access=Access(settings))
    app.add_middleware(SecurityHeaders)

    refused = [HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN]
    failed = [HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.SERVICE_UNAVAILABLE]
    token = [Security(_TOKEN)]  # describes it; AccessControl asks for it
    app.include_router(probes_router(settings, ledger, checks or {}))
    app.include_router(
        metrics_router(ledger, clock), dependencies=token, responses=problems.document(*refused)
    )
    app.include_router(
        reports_door.reports_router(admission),
        dependencies=token,
        responses=problems.document(
            *refused, *failed, HTTPStatus.CONFLICT, HTTPStatus.REQUEST_ENTITY_TOO_LARGE
        ),
    )
    app.include_router(
        stow_router(admission), dependencies=token, responses=problems.document(*refused)
    )
    app.include_router(
        api_router(ledger, watch),
        dependencies=token,
        responses=problems.document(*refused, *failed),
    )
    app.include_router(
        completion_router(ledger, clock),
        dependencies=token,
        responses=problems.document(*refused, *failed),
    )
    app.include_router(
        fhir_door.fhir_door_router(admission),
        dependencies=token,
        responses=document_outcomes(
            *refused,
            *failed,
            HTTPStatus.BAD_REQUEST,
            HTTPStatus.CONFLICT,
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        ),
    )
    app.include_router(
        fhir_router(ledger),
        dependencies=token,
        responses=document_outcomes(*refused, *failed),
    )
    app.include_router(
        failures_router(ledger, clock),
        dependencies=token,
        responses=problems.document(*refused, *failed),
    )
    app.include_router(pages_router(ledger, clock), include_in_schema=False)
    app.mount("/static", StaticFiles(directory=Path(__file__).parent / "static"))
    return app
