"""What operators' tools ask."""

from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from builders import a_due_report, a_due_series, after, claim, fail, finish, submit
from http_client import TERABYTES, Client, compose
from medqueue.errors import MedqueueError, UnavailableError
from medqueue.ledger import deliveries
from medqueue.ledger.engine import Ledger, open_ledger


def samples(client: Client) -> dict[tuple[str, ...], float]:
    answer = client.get("/metrics")
    assert answer.headers["Content-Type"].startswith("text/plain")
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def test_a_live_process_says_so_without_asking_anything(tmp_path: Path) -> None:
    ledger = open_ledger(f"sqlite:///{tmp_path / 'empty.sqlite3'}")
    assert Client(compose(ledger, tmp_path)).get("/healthz").json()["status"] == "ok"


def test_it_is_ready_when_every_part_answers(ledger: Ledger, tmp_path: Path) -> None:
    client = Client(compose(ledger, tmp_path, checks={"redis": lambda: None}))
    answer = client.get("/readyz")
    assert answer.status_code == 200
    assert answer.json()["checks"] == {"ledger": "ok", "disk": "ok", "redis": "ok"}


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UnavailableError("no answer from redis://:password@host"), "unavailable"),
        (ConnectionRefusedError("host"), "unavailable"),
        (MedqueueError("x"), "internal"),
    ],
)
def test_a_part_that_does_not_answer_is_named_without_detail(
    sqlite_ledger: Ledger, tmp_path: Path, error: Exception, code: str
) -> None:
    def check() -> None:
        raise error

    answer = Client(compose(sqlite_ledger, tmp_path, checks={"redis": check})).get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["detail"] == f"not ready: redis ({code}); see: medqueue doctor"


def test_a_ledger_of_another_schema_is_not_ready(tmp_path: Path) -> None:
    ledger = open_ledger(f"sqlite:///{tmp_path / 'empty.sqlite3'}")
    answer = Client(compose(ledger, tmp_path)).get("/readyz")
    assert answer.status_code == 503
    assert "ledger (configuration)" in answer.json()["detail"]


def test_a_full_disk_is_not_ready(sqlite_ledger: Ledger, tmp_path: Path) -> None:
    answer = Client(compose(sqlite_ledger, tmp_path, min_free_mib=TERABYTES)).get("/readyz")
    assert answer.status_code == 503
    assert "disk (out-of-resources)" in answer.json()["detail"]


def test_metrics_count_the_ledger_at_every_scrape(ledger: Ledger, tmp_path: Path) -> None:
    client = Client(compose(ledger, tmp_path))
    before = samples(client)
    assert before["medqueue_work", "prepare-series", "failed"] == 0
    fail(ledger, claim(ledger, a_due_series(ledger)))
    submit(ledger, "Clear.")
    client.post("/reports", json={"text": ""})
    after = samples(client)
    assert after["medqueue_work", "prepare-series", "failed"] == 1
    assert after["medqueue_studies", "complete"] == 1
    assert after["medqueue_reports_total",] == 1
    assert after["medqueue_results_total", "image", "failed"] == 1
    assert after["medqueue_refusals_total", "refused"] == 1
    assert after["medqueue_oldest_waiting_seconds", "prepare-series"] == 0


def test_metrics_count_what_is_sent_elsewhere(sqlite_ledger: Ledger, client: Client) -> None:
    deliveries.plan(sqlite_ledger, "pacs", only=None, now=after(0))
    finish(sqlite_ledger, claim(sqlite_ledger, a_due_report(sqlite_ledger)))
    deliveries.plan(sqlite_ledger, "pacs", only=None, now=after(20))
    assert samples(client)["medqueue_deliveries", "pacs", "pending"] == 1


def test_metrics_name_no_patient(sqlite_ledger: Ledger, client: Client) -> None:
    a_due_series(sqlite_ledger)
    text = client.get("/metrics").text
    assert "P-1" not in text
    assert "1.2.3" not in text


def test_two_applications_in_one_process_have_metrics_of_their_own(
    sqlite_ledger: Ledger, tmp_path: Path, client: Client
) -> None:
    other = Client(compose(sqlite_ledger, tmp_path / "other"))
    assert samples(other) == samples(client)
