"""`medqueue demo`: every input reaches its expected end, and no patient data leaks on the way."""

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from medqueue.operate.demo_inputs import reports
from medqueue.operate.roles import console_script

pytestmark = pytest.mark.acceptance

ENOUGH_SECONDS = 100


@pytest.fixture(scope="module")
def outcome() -> Iterator[dict[str, Any]]:
    """What the demo printed; its system runs until the end of the module."""
    ended = subprocess.run(
        [str(console_script()), "demo", "--keep", "--json"],
        capture_output=True,
        timeout=ENOUGH_SECONDS,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout.decode() + ended.stderr.decode()
    found = json.loads(ended.stdout)
    yield found
    system = psutil.Process(found["pid"])
    os.kill(system.pid, signal.SIGTERM)
    psutil.wait_procs([system], timeout=30)
    shutil.rmtree(found["folder"])


def by_title(outcome: dict[str, Any], part: str) -> dict[str, Any]:
    found: dict[str, Any] = next(one for one in outcome["inputs"] if part in one["input"])
    return found


def test_every_input_reached_its_expected_end(outcome: dict[str, Any]) -> None:
    assert outcome["ok"]
    for one in outcome["inputs"]:
        assert one["result"]["status"] == one["expected"], one["input"]


def test_an_image_goes_through_every_step(outcome: dict[str, Any]) -> None:
    steps = by_title(outcome, "DX")["steps"]
    assert steps[0] == "received"
    assert steps[-1] == "result"


def test_the_english_text_gives_present_absent_and_uncertain_with_true_spans(
    outcome: dict[str, Any],
) -> None:
    text = next(report.text for report in reports() if report.title == "report, English")
    findings = by_title(outcome, "English")["result"]["findings"]
    presences = {finding["label"]: finding["presence"] for finding in findings}
    assert presences == {
        "pneumothorax": "absent",
        "pleural effusion": "uncertain",
        "cardiomegaly": "present",
    }
    for span in (span for finding in findings for span in finding["evidence"]):
        assert text[span["start"] : span["end"]] == span["text"]


def test_redis_and_the_logs_hold_no_patient_data(outcome: dict[str, Any]) -> None:
    secrets = [b"DEMO^", b"DEMO000", b"DEMO-T", *(r.text.encode() for r in reports())]
    data = Path(outcome["folder"]) / "data"
    files = [file for name in ("logs", "valkey") for file in (data / name).rglob("*")]
    files = [file for file in files if file.is_file()]
    assert any(file.suffix == ".aof" for file in files)
    for file in (*files, data.parent / "up.log"):
        content = file.read_bytes()
        assert not [secret for secret in secrets if secret in content], file.name
