"""`medqueue demo`: everything in a temporary folder, through the real doors, to the results."""

import json
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import httpx
from rich.console import Console

from medqueue.errors import UnavailableError
from medqueue.operate import demo_inputs
from medqueue.operate.demo_inputs import DemoReport, DemoStudy
from medqueue.operate.demo_progress import Tracked, refresh
from medqueue.operate.demo_view import ProgressView, outcome_table
from medqueue.operate.mllp_sender import MllpSender, report_message
from medqueue.operate.sandbox import Sandbox, running_system
from medqueue.operate.sender import send_files

_QUIET_SECONDS = 1.0
_WHOLE_SECONDS = 60.0
"""From the first process to the last result; a healthy laptop needs a third of it."""
_LOOK_SECONDS = 0.1
_HTTP_SECONDS = 10.0
_PLAIN_WIDTH = 160
"""Of the table in a file or a pipe, which have no width of their own."""


def run_demo(*, keep: bool, as_json: bool) -> bool:
    """Run the demo and show its outcome; tell whether every input reached its expected end."""
    console = Console()
    if not console.is_terminal:
        console.width = max(console.width, _PLAIN_WIDTH)
    began = time.monotonic()
    deadline = began + _WHOLE_SECONDS
    with ProgressView(console, silent=as_json) as view:
        view.say("starting every process in a temporary folder ...")
        with running_system(quiet_seconds=_QUIET_SECONDS, start_seconds=_WHOLE_SECONDS) as system:
            started = time.monotonic() - began
            view.say(f"ready after {started:.1f} s: DICOM on port {system.settings.dimse_port}")
            try:
                tracked = _send_all(system, view)
                _follow(system, tracked, view, deadline)
            except httpx.HTTPError as error:
                raise UnavailableError(
                    f"the HTTP door failed ({type(error).__name__}); the logs are in {system.logs}"
                ) from error
            good = all(one.as_expected for one in tracked)
            system.keep_running = keep
            system.keep_folder = not good
            total = time.monotonic() - began
    if as_json:
        print(_as_json(system, tracked, started, total))  # noqa: T201 - the command's output
    else:
        console.print(outcome_table(tracked, width=console.width))
        _say_more(console, system, tracked, total)
    return good


def _send_all(system: Sandbox, view: ProgressView) -> list[Tracked]:
    """Push studies and texts through the doors, each as an input of its own."""
    folder = system.folder / "inputs"
    folder.mkdir()
    studies = demo_inputs.write_studies(folder, now=datetime.now(UTC))
    texts = demo_inputs.reports()
    by_mllp = sum(text.charset is not None for text in texts)
    by_http = len(texts) - by_mllp
    view.say(
        f"sending {len(studies)} studies by C-STORE, {by_http} texts by HTTP and "
        f"{by_mllp} by MLLP ..."
    )
    tracked = []
    for study in studies:
        tracked.append(_push(system, study))
        view.show(tracked)
    with httpx.Client(base_url=system.url, timeout=_HTTP_SECONDS) as client:
        for text in texts:
            tracked.append(_post(client, text) if text.charset is None else _tell(system, text))
            view.show(tracked)
    return tracked


def _push(system: Sandbox, study: DemoStudy) -> Tracked:
    settings = system.settings
    summary = send_files(
        study.files,
        host=settings.bind,
        port=settings.dimse_port,
        called=settings.ae_title,
        urgent=study.urgent,
    )
    if summary.failed:
        system.keep_folder = True
        raise UnavailableError(
            f"{study.title}: the DICOM door refused it ({summary.failed[0].reason}); "
            f"the logs are in {system.logs}"
        )
    return Tracked(study, f"/studies/{study.study_instance_uid}", datetime.now(UTC))


def _post(client: httpx.Client, report: DemoReport) -> Tracked:
    answer = client.post(
        "/reports",
        json={
            "text": report.text,
            "language": report.language,
            "accession_number": report.accession_number,
            "urgent": report.urgent,
        },
    )
    answer.raise_for_status()
    return Tracked(report, f"/reports/{answer.json()['id']}", datetime.now(UTC))


def _tell(system: Sandbox, report: DemoReport) -> Tracked:
    """Send a report as HL7 v2, under its accession number as the number of the report."""
    settings = system.settings
    message = report_message(
        report.text,
        report_id=report.accession_number,
        accession_number=report.accession_number,
        patient_id=f"P-{report.accession_number}",
        charset=report.charset or "",
        now=datetime.now(UTC),
    )
    try:
        with MllpSender(settings.bind, settings.mllp_port, seconds=_HTTP_SECONDS) as sender:
            sender.send(message.encode("gb18030"))
    except UnavailableError:
        system.keep_folder = True
        raise
    return Tracked(report, f"/reports/{report.accession_number}", datetime.now(UTC))


def _follow(
    system: Sandbox, tracked: Sequence[Tracked], view: ProgressView, deadline: float
) -> None:
    """Look where every input stands until all have ended or the time is over."""
    with httpx.Client(base_url=system.url, timeout=_HTTP_SECONDS) as client:
        while time.monotonic() < deadline:
            waiting = [one for one in tracked if one.result is None]
            if not waiting:
                return
            for one in waiting:
                refresh(client, one)
            view.show(tracked)
            time.sleep(_LOOK_SECONDS)


def _say_more(console: Console, system: Sandbox, tracked: Sequence[Tracked], total: float) -> None:
    wrong = [one for one in tracked if not one.as_expected]
    for one in wrong:
        found = one.result.status if one.result else "no result"
        console.print(
            f"[red]{one.item.title}: expected {one.item.expected}, got {found}[/red]; "
            f"the logs are in {system.logs}",
            soft_wrap=True,
        )
    if not wrong:
        console.print(
            f"All {len(tracked)} inputs reached their expected end within {total:.0f} s.",
            highlight=False,
        )
    state = "running" if system.keep_running else "stopped again"
    console.print(
        f"Pages {system.url}/ · API {system.url}/results · Flower {system.flower_url} ({state})",
        soft_wrap=True,
        highlight=False,
    )
    if system.keep_running:
        console.print(
            f"Stop it with: kill {system.pid}   (its folder: {system.folder})",
            soft_wrap=True,
            highlight=False,
        )


def _as_json(system: Sandbox, tracked: Sequence[Tracked], started: float, total: float) -> str:
    content = {
        "ok": all(one.as_expected for one in tracked),
        "start_seconds": round(started, 2),
        "total_seconds": round(total, 2),
        "inputs": [
            {
                "input": one.item.title,
                "kind": one.item.kind,
                "expected": one.item.expected,
                "steps": one.steps,
                "seconds": one.seconds,
                "result": one.result.model_dump(mode="json") if one.result else None,
            }
            for one in tracked
        ],
        "addresses": {
            "pages": f"{system.url}/",
            "api": f"{system.url}/results",
            "flower": system.flower_url,
        },
        "pid": system.pid if system.keep_running else None,
        "folder": str(_kept_folder(system) or "") or None,
    }
    return json.dumps(content, ensure_ascii=False, indent=2)


def _kept_folder(system: Sandbox) -> Path | None:
    return system.folder if system.keep_running or system.keep_folder else None
