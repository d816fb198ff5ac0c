"""Idle latency: how long after the last byte of a study its result can be read."""

import statistics
import time
from datetime import UTC, datetime

import httpx

from medqueue.errors import UnavailableError
from medqueue.operate import demo_inputs
from medqueue.operate.bench import Row
from medqueue.operate.demo_inputs import DemoStudy
from medqueue.operate.sandbox import Sandbox, running_system
from medqueue.operate.sender import send_files

_STUDIES = 20
_WARM_UP = 2
"""Every process of a pool loads its model at its first study; an idle system has done that."""
_QUIET_SECONDS = 0.5
_START_SECONDS = 60.0
_RESULT_SECONDS = 30.0


def run() -> list[Row]:
    """Send single-image chest studies one by one to a system of its own."""
    with running_system(quiet_seconds=_QUIET_SECONDS, start_seconds=_START_SECONDS) as system:
        now = datetime.now(UTC)
        studies = [
            demo_inputs.single_chest(system.folder, number, now=now)
            for number in range(_WARM_UP + _STUDIES)
        ]
        with httpx.Client(base_url=system.url, timeout=_RESULT_SECONDS + 5) as client:
            seconds = [_measure(system, client, study) for study in studies]
    measured = seconds[_WARM_UP:]
    deciles = statistics.quantiles(measured, n=20, method="inclusive")
    return [
        Row("p50", round(statistics.median(measured), 4), "s"),
        Row("p95", round(deciles[-1], 4), "s"),
        Row("studies", len(measured), "count"),
    ]


def _measure(system: Sandbox, client: httpx.Client, study: DemoStudy) -> float:
    """Return the seconds from the last answer of the DICOM door to the readable result."""
    settings = system.settings
    cursor = client.get("/results", params={"limit": 10_000}).json()["next"]
    ends: list[float] = []
    summary = send_files(
        study.files,
        host=settings.bind,
        port=settings.dimse_port,
        called=settings.ae_title,
        on_progress=lambda _done, _all: ends.append(time.monotonic()),
    )
    if summary.failed:
        raise UnavailableError(f"the DICOM door refused a study; see {system.logs}")
    page = client.get("/results", params={"after": cursor, "wait": _RESULT_SECONDS}).json()
    seen = time.monotonic()
    found = [result["study_instance_uid"] for result in page["results"]]
    if found != [study.study_instance_uid]:
        raise UnavailableError(
            f"no result came within {_RESULT_SECONDS:.0f} s, or a wrong one; see {system.logs}"
        )
    return seen - ends[-1] - settings.study_quiet_seconds
