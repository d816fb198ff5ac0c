"""What operators' tools ask: is it alive, is it ready, how much is there."""

import shutil
from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus

from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from pydantic import BaseModel, ConfigDict
from sqlalchemy.exc import SQLAlchemyError
from starlette.responses import Response

from medqueue import __version__
from medqueue.doors.admission import Clock
from medqueue.errors import MedqueueError, OutOfResourcesError, UnavailableError
from medqueue.ledger import schema
from medqueue.ledger.engine import Ledger
from medqueue.logs import get_logger
from medqueue.results.drift import drift_now
from medqueue.results.overview import take_overview
from medqueue.settings import Settings
from medqueue.web.problems import document, problem_response

Check = Callable[[], None]
"""Returns when a part answers; raises a `MedqueueError` or an `OSError` when it does not."""

_logger = get_logger(__name__)


class Health(BaseModel):
    """The process is alive."""

    model_config = ConfigDict(frozen=True)

    status: str = "ok"
    version: str = __version__


class Readiness(BaseModel):
    """All parts answer."""

    model_config = ConfigDict(frozen=True)

    status: str = "ready"
    checks: dict[str, str]


class LedgerCollector(Collector):
    """Counts the ledger when Prometheus asks, so that every process would say the same."""

    def __init__(self, ledger: Ledger, clock: Clock) -> None:
        self._ledger = ledger
        self._clock = clock

    def describe(self) -> Iterable[Metric]:
        """Return nothing, so that registering does not touch the ledger."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """Yield each metric; none has a label that could hold patient data."""
        overview = take_overview(self._ledger, now=self._clock())
        info = GaugeMetricFamily("medqueue_info", "Version of medqueue.", labels=["version"])
        info.add_metric([__version__], 1)
        yield info
        work = GaugeMetricFamily("medqueue_work", "Pieces of work.", labels=["stage", "state"])
        for (stage, work_state), count in overview.work.items():
            work.add_metric([stage, work_state], count)
        yield work
        waiting = GaugeMetricFamily(
            "medqueue_oldest_waiting_seconds",
            "How long the longest-waiting due work has waited.",
            labels=["stage"],
        )
        for stage, seconds in overview.waiting_seconds.items():
            waiting.add_metric([stage], seconds)
        yield waiting
        studies = GaugeMetricFamily("medqueue_studies", "Studies accepted.", labels=["state"])
        for study_state, count in overview.studies.items():
            studies.add_metric([study_state], count)
        yield studies
        yield CounterMetricFamily("medqueue_reports", "Texts accepted.", value=overview.reports)
        results = CounterMetricFamily("medqueue_results", "Results.", labels=["kind", "status"])
        for (kind, status), count in overview.results.items():
            results.add_metric([kind, status], count)
        yield results
        refusals = CounterMetricFamily("medqueue_refusals", "Inputs refused.", labels=["code"])
        for code, count in overview.refusals.items():
            refusals.add_metric([code], count)
        yield refusals
        deliveries = GaugeMetricFamily(
            "medqueue_deliveries", "Results sent elsewhere.", labels=["destination", "state"]
        )
        for (destination, delivery_state), count in overview.deliveries.items():
            deliveries.add_metric([destination, delivery_state], count)
        yield deliveries
        drift = GaugeMetricFamily(
            "medqueue_model_drift",
            "Population stability index of this week's inputs against the validation images.",
            labels=["model", "version", "figure"],
        )
        alarms = GaugeMetricFamily(
            "medqueue_model_drift_alarm",
            "Whether that is large, and more than chance makes of so few.",
            labels=["model", "version", "figure"],
        )
        for manifest, one in drift_now(self._ledger, now=self._clock()):
            if one.psi is not None:
                labels = [manifest.name, manifest.version, one.figure]
                drift.add_metric(labels, one.psi)
                alarms.add_metric(labels, float(one.is_alarm))
        yield drift
        yield alarms


def probes_router(settings: Settings, ledger: Ledger, checks: Mapping[str, Check]) -> APIRouter:
    """Return the routes for probes, which have no token and so learn no detail."""
    router = APIRouter(tags=["operations"])

    def check_disk() -> None:
        if shutil.disk_usage(settings.data_dir).free < settings.min_free_mib << 20:
            raise OutOfResourcesError("less than MEDQUEUE_MIN_FREE_MIB is free in the data folder")

    all_checks: dict[str, Check] = {
        "ledger": lambda: schema.require_current(ledger),
        "disk": check_disk,
        **checks,
    }

    @router.get("/healthz", summary="Is the process alive?")
    def health() -> Health:
        """Answer as long as the process can."""
        return Health()

    @router.get(
        "/readyz",
        summary="Do all parts answer?",
        response_model=Readiness,
        responses=document(HTTPStatus.SERVICE_UNAVAILABLE),
    )
    def readiness() -> Readiness | Response:
        """Ask the ledger, the disk and what else was handed in."""
        states = {name: _run(name, check) for name, check in all_checks.items()}
        failed = [f"{name} ({state})" for name, state in states.items() if state != "ok"]
        if not failed:
            return Readiness(checks=states)
        detail = f"not ready: {', '.join(failed)}; see: medqueue doctor"
        return problem_response(UnavailableError.code, HTTPStatus.SERVICE_UNAVAILABLE, detail)

    return router


def metrics_router(ledger: Ledger, clock: Clock) -> APIRouter:
    """Return the route for Prometheus."""
    router = APIRouter(tags=["operations"])
    registry = CollectorRegistry(auto_describe=False)
    registry.register(LedgerCollector(ledger, clock))

    @router.get(
        "/metrics",
        summary="Metrics for Prometheus",
        response_class=Response,
        responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
    )
    def metrics() -> Response:
        """Count studies, texts, work, results and refusals in the ledger, now."""
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    return router


def _run(name: str, check: Check) -> str:
    """Return `ok` or an error code; the log has the detail."""
    try:
        check()
    except MedqueueError as error:
        _logger.warning("not-ready", check=name, code=error.code, detail=error.detail)
        return error.code
    except (OSError, SQLAlchemyError) as error:
        _logger.warning("not-ready", check=name, error=type(error).__name__)
        return UnavailableError.code
    return "ok"
