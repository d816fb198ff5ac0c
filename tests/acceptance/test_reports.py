"""A hospital system hands in report texts by HTTP, and another system reads the findings."""

import httpx
import pytest

from waiting import wait_until
from whole_system import System

pytestmark = pytest.mark.acceptance

TEXT = "No pneumothorax. Possible small left effusion. Cardiomegaly."


def test_a_text_gives_absent_uncertain_and_present_with_the_right_spans(system: System) -> None:
    report = system.post_report(TEXT, accession_number="A-9", patient_id="T-9")

    (result,) = system.wait_for_results(report_id=report)

    assert (result["kind"], result["status"], result["error"]) == ("text", "final", None)
    assert (result["accession_number"], result["patient_id"]) == ("A-9", "T-9")
    assert (result["model"]["name"], len(result["model"]["sha256"])) == ("chest-rules-en", 64)
    found = {finding["label"]: finding for finding in result["findings"]}
    assert {label: finding["presence"] for label, finding in found.items()} == {
        "pneumothorax": "absent",
        "pleural effusion": "uncertain",
        "cardiomegaly": "present",
    }
    words = {"pneumothorax": "pneumothorax", "pleural effusion": "effusion"}
    for label, finding in found.items():
        (span,) = finding["evidence"]
        word = words.get(label, "Cardiomegaly")
        assert (span["start"], span["end"], span["text"]) == (
            TEXT.index(word),
            TEXT.index(word) + len(word),
            word,
        )
        assert finding["probability"] is None


def test_the_same_submission_twice_has_one_result(system: System) -> None:
    content = {"text": TEXT, "report_id": "once"}
    ids = {
        httpx.post(
            f"{system.url}/reports", json=content, headers={"Idempotency-Key": "k-1"}
        ).json()["id"]
        for _ in range(3)
    }
    system.wait_for_results(report_id="once")
    system.wait_until_all_is_done()
    assert len(ids) == 1
    assert len(system.results_of(report_id="once")) == 1


def test_a_corrected_text_amends_its_result(system: System) -> None:
    system.post_report("Cardiomegaly.", report_id="R-1")
    system.wait_for_results(report_id="R-1")
    system.post_report("No cardiomegaly.", report_id="R-1")

    first, second = system.wait_for_results(2, report_id="R-1")

    assert (first["status"], second["status"]) == ("final", "amended")
    assert second["findings"][0]["presence"] == "absent"


def test_a_text_in_a_language_that_no_model_reads_is_skipped_with_the_reason(
    system: System,
) -> None:
    report = system.post_report("Kein Pneumothorax.", language="de")
    (result,) = system.wait_for_results(report_id=report)
    assert (result["status"], result["error"]["code"]) == ("skipped", "no-model-applies")
    assert "chest-rules-en" in result["error"]["detail"]


def test_a_reader_that_waits_gets_a_result_at_once(system: System) -> None:
    newest = system.get("/results", limit=1000).json()["next"]
    report = system.post_report(TEXT)
    wait_until(
        lambda: any(
            result["report_id"] == report
            for result in system.get("/results", after=newest, wait=5).json()["results"]
        )
    )
