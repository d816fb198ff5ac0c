"""The pages: they render whatever lies in the ledger, and what came from outside stays text."""

from pathlib import Path

import pytest

from builders import (
    a_due_series,
    a_header,
    a_text_model,
    after,
    an_image_model,
    claim,
    complete,
    fail,
    receive,
    register,
    submit,
    work_rows,
)
from http_client import Client, compose
from medqueue.ledger import work
from medqueue.ledger.engine import Ledger
from schemas.finding import Evidence, Finding, Presence
from schemas.report import Enclosure
from schemas.result import ComparedModel, Outcome, ResultKind, ResultStatus

SCRIPT = "<script>alert(1)</script>"


def conclude(ledger: Ledger, work_id: str, manifest_reference: object, *found: Finding) -> None:
    outcome = Outcome(status=ResultStatus.FINAL, model=manifest_reference, findings=found)
    work.finish(ledger, claim(ledger, work_id), outcome=outcome, now=after(11))


def test_an_empty_system_shows_how_to_begin(client: Client) -> None:
    page = client.get("/")
    assert page.status_code == 200
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "medqueue send" in page.text
    assert "Nothing has failed" in client.get("/view/failures").text


def test_the_work_list_shows_studies_and_texts_with_their_findings(
    ledger: Ledger, tmp_path: Path
) -> None:
    pneumonia = Finding(
        label="pneumonia", probability=0.934, threshold=0.5, presence=Presence.PRESENT
    )
    conclude(ledger, a_due_series(ledger), an_image_model().reference(), pneumonia)
    submit(ledger, "Clear.", report_id="R-1", urgent=True)
    page = Client(compose(ledger, tmp_path)).get("/").text
    assert "pneumonia 93 %" in page
    assert 'href="/view/studies/1.2.3"' in page
    assert "R-1" in page
    assert "no-model-applies" in page
    assert "urgent" in page


def test_a_study_shows_probability_threshold_model_and_the_warning(
    sqlite_ledger: Ledger, client: Client
) -> None:
    pneumonia = Finding(
        label="pneumonia", probability=0.934, threshold=0.42, presence=Presence.PRESENT
    )
    conclude(sqlite_ledger, a_due_series(sqlite_ledger), an_image_model().reference(), pneumonia)
    page = client.get("/view/studies/1.2.3").text
    for expected in ("93.4 %", "42.0 %", 'width="93.40"', "chest", "1.0.0", "not for clinical use"):
        assert expected in page


def test_a_report_shows_its_evidence_and_escapes_everything_else(
    sqlite_ledger: Ledger, client: Client
) -> None:
    register(sqlite_ledger, a_text_model())
    text = f"{SCRIPT} No effusion."
    start = text.index("No")
    effusion = Finding(
        label=SCRIPT,
        presence=Presence.ABSENT,
        evidence=(Evidence(start=start, end=start + 11, text="No effusion"),),
    )
    report = submit(sqlite_ledger, text, report_id=SCRIPT, accession_number=SCRIPT)
    (row,) = work_rows(sqlite_ledger)
    conclude(sqlite_ledger, row.id, a_text_model().reference(), effusion)
    page = client.get(f"/view/reports/{report}").text
    assert ">No effusion</mark>" in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt; <mark" in page
    for path in (f"/view/reports/{report}", "/"):
        assert SCRIPT not in client.get(path).text


def test_a_verdict_of_a_comparison_marks_nothing_in_the_text(
    sqlite_ledger: Ledger, client: Client
) -> None:
    register(sqlite_ledger, a_text_model())
    report = submit(sqlite_ledger, "No effusion.")
    (row,) = work_rows(sqlite_ledger)
    denied = Finding(
        label="denied-in-text: effusion",
        presence=Presence.PRESENT,
        evidence=(Evidence(start=3, end=11, text="effusion"),),
    )
    names = (ComparedModel(kind=ResultKind.IMAGE, name="chest", version="1.0.0"),)
    model = a_text_model().reference().model_copy(update={"compared": names})
    conclude(sqlite_ledger, row.id, model, denied)

    page = client.get(f"/view/reports/{report}").text

    assert "denied-in-text: effusion" in page
    assert ">effusion</mark>" not in page


def test_a_document_is_saved_and_never_shown(sqlite_ledger: Ledger, client: Client) -> None:
    hostile = b"<script>alert(1)</script>"
    beside = (Enclosure(b"%PDF-1.4 made up"), Enclosure(hostile))
    report = submit(sqlite_ledger, report_id="R-1", documents=beside)
    page = client.get("/view/reports/R-1").text
    for number, (kind, content) in enumerate(
        (("application/pdf", beside[0].content), ("application/octet-stream", hostile)), start=1
    ):
        path = f"/reports/{report}/documents/{number}"
        assert f'href="{path}" download' in page
        answer = client.get(path)
        assert (answer.content, answer.headers["Content-Type"]) == (content, kind)
        assert answer.headers["Content-Disposition"].startswith("attachment; ")
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
    listed = client.get(f"/reports/{report}").json()["documents"]
    assert [(one["number"], one["size"]) for one in listed] == [(1, 16), (2, len(hostile))]
    assert client.get(f"/reports/{report}/documents/3").status_code == 404


def test_what_speaks_against_a_link_is_on_both_pages(sqlite_ledger: Ledger, client: Client) -> None:
    receive(sqlite_ledger, a_header(patient_id_issuer="HOSP"))
    order = {"accession_number": "A-1", "patient_id": "P-1", "patient_id_issuer": "CLINIC"}
    report = submit(sqlite_ledger, status="preliminary", **order)
    for path in ("/view/studies/1.2.3", f"/view/reports/{report}"):
        page = client.get(path).text
        assert "other-issuer" in page
        assert "preliminary" in page


def test_headers_from_a_modality_are_escaped(sqlite_ledger: Ledger, client: Client) -> None:
    receive(sqlite_ledger, a_header(patient_id=SCRIPT, accession_number=SCRIPT, modality=SCRIPT))
    for path in ("/", "/view/studies/1.2.3"):
        page = client.get(path)
        assert page.status_code == 200
        assert SCRIPT not in page.text


def test_failures_say_why_and_lead_to_the_input(sqlite_ledger: Ledger, client: Client) -> None:
    work_id = a_due_series(sqlite_ledger)
    fail(sqlite_ledger, claim(sqlite_ledger, work_id))
    page = client.get("/view/failures").text
    assert work_id in page
    assert "undecodable" in page
    assert 'href="/view/studies/1.2.3"' in page


def test_every_state_of_a_study_renders(sqlite_ledger: Ledger, client: Client) -> None:
    register(sqlite_ledger, an_image_model())
    receive(sqlite_ledger, a_header("1.1", modality=None, patient_id=None, accession_number=None))
    complete(sqlite_ledger)
    receive(sqlite_ledger, a_header("1.2"))
    complete(sqlite_ledger)
    receive(sqlite_ledger, a_header("1.3"), at=20)
    receive(sqlite_ledger, a_header("1.3"), content="other", at=20)
    for uid in ("1.1", "1.2", "1.3"):
        assert client.get(f"/view/studies/{uid}").status_code == 200
    assert "+1 conflict" in client.get("/").text


@pytest.mark.parametrize("path", ["/view/studies/1.9", "/view/reports/none", "/view/reports/%00"])
def test_an_unknown_input_has_a_page_that_says_so(client: Client, path: str) -> None:
    page = client.get(path)
    assert page.status_code == 404
    assert "<h1>Not found</h1>" in page.text


def test_pages_keep_what_they_show_to_themselves(client: Client) -> None:
    headers = client.get("/").headers
    assert "default-src 'self'" in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "same-origin"
    assert headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("name", ["style.css", "live.js", "logo.svg"])
def test_pages_bring_all_they_need(client: Client, name: str) -> None:
    assert f"/static/{name}" in client.get("/").text
    answer = client.get(f"/static/{name}")
    assert answer.status_code == 200
    assert "http" not in answer.text.replace("http://www.w3.org/2000/svg", "")


def test_pages_hold_nothing_that_their_own_policy_forbids(
    sqlite_ledger: Ledger, client: Client
) -> None:
    a_due_series(sqlite_ledger)
    for path in ("/", "/view/failures", "/view/studies/1.2.3"):
        page = client.get(path).text
        assert " style=" not in page
        assert "<style" not in page
        assert "<script>" not in page
        assert " onclick=" not in page
