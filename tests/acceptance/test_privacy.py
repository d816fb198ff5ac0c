"""No patient data leaves the ledger: not into Redis, the logs, Flower or the metrics."""

import base64
import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import redis

from chest_images import a_uid, an_image
from medqueue.broker.embedded import socket_path
from medqueue.operate import ports
from schemas.work import TASK_NAMES, Stage
from waiting import wait_until
from whole_system import System

pytestmark = pytest.mark.acceptance

NAME, PATIENT, BIRTH = "ZWIEBELFISCH^QUENTIN", "PATZWF4711", "19230817"
ACCESSION, REPORT = "ACCZWF0815", "REPZWF2342"
SENTENCE = "Quentin Zwiebelfisch has no pneumothorax on Elm Street."
SECRETS = [
    secret.lower().encode()
    for secret in ("ZWIEBELFISCH", "QUENTIN", PATIENT, BIRTH, ACCESSION, REPORT, "on Elm Street")
]

_BASE64 = re.compile(rb"[A-Za-z0-9+/]{12,}={0,2}")


@dataclass(frozen=True)
class Run:
    """What was sent, with every secret in it."""

    system: System
    work_ids: list[str]
    tasks: dict[str, dict[str, object]]
    """As Flower tells them."""


@pytest.fixture(scope="module")
def run(system: System, tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("planted")
    secrets = {
        "PatientName": NAME,
        "PatientID": PATIENT,
        "PatientBirthDate": BIRTH,
        "AccessionNumber": ACCESSION,
        "PatientComments": SENTENCE,
    }
    whole, half, lateral = a_uid(), a_uid(), a_uid()
    system.push(an_image(folder, study=whole, **secrets))
    system.push(an_image(folder, study=half, PixelData=b"\0" * 100, **secrets))
    system.push(an_image(folder, study=lateral, ViewPosition="LL", **secrets))
    refused = an_image(folder, study="1.2.1000000000", **secrets)
    malformed = f"1.2.{PATIENT}".encode()
    refused.write_bytes(refused.read_bytes().replace(b"1.2.1000000000", malformed))
    assert len(system.try_to_push(refused).failed) == 1
    identity = {"patient_id": PATIENT, "accession_number": ACCESSION}
    report = system.post_report(SENTENCE, report_id=REPORT, **identity)
    for wrong in ({"text": SENTENCE, "urgent": SENTENCE}, {"text": SENTENCE, PATIENT: NAME}):
        assert httpx.post(f"{system.url}/reports", json=wrong, timeout=20).is_client_error
    httpx.get(f"{system.url}/reports/{REPORT}", timeout=20)
    httpx.get(f"{system.url}/studies/{PATIENT}", timeout=20)

    for study in (whole, half, lateral):
        system.wait_for_results(study_instance_uid=study)
    system.wait_for_results(2, report_id=REPORT)  # its findings, and their comparison with `whole`
    work_ids = [
        work["id"]
        for study in (whole, half)
        for series in system.study(study)["series"]
        for work in series["work"]
    ]
    work_ids += [work["id"] for work in system.get(f"/reports/{report}").json()["work"]]
    assert len(work_ids) == 5
    wait_until(
        lambda: all(
            any(id_ in str(task["args"]) for task in tasks_of(system).values()) for id_ in work_ids
        ),
        what="every task in Flower",
    )
    return Run(system, work_ids, tasks_of(system))


def flower(system: System, path: str) -> httpx.Response:
    url = ports.base_url(system.settings, system.settings.flower_port)
    name, _, password = str(system.settings.flower_login).partition(":")
    return httpx.get(f"{url}{path}", auth=(name, password), timeout=20).raise_for_status()


def tasks_of(system: System) -> dict[str, dict[str, object]]:
    return dict(flower(system, "/api/tasks").json())


def leaks(content: bytes) -> list[bytes]:
    """Every secret that can be read in some bytes, also where they are base64."""
    readable = content.lower() + b" ".join(decoded(content)).lower()
    return [secret for secret in SECRETS if secret in readable]


def decoded(content: bytes) -> Iterator[bytes]:
    for piece in _BASE64.findall(content):
        for start in range(4):
            usable = piece[start : start + (len(piece) - start) // 4 * 4]
            try:
                yield base64.b64decode(usable, validate=True)
            except binascii.Error:
                continue


def files_below(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_the_search_finds_what_is_planted() -> None:
    assert leaks(SENTENCE.encode())
    assert leaks(b'{"body": "' + base64.b64encode(f'[["{PATIENT}"]]'.encode()) + b'"}')
    assert leaks(b"an innocent line") == []


def test_no_key_of_redis_holds_patient_data(run: Run) -> None:
    seen = []
    with redis.Redis(unix_socket_path=str(socket_path(run.system.settings))) as client:
        for key in client.scan_iter():
            content = key + (client.dump(key) or b"") + repr(read(client, key)).encode()
            assert leaks(content) == [], key
            seen.append(key)
    assert b"medqueue.relay.mark" in seen


def read(client: redis.Redis, key: bytes) -> object:
    match client.type(key):
        case b"string":
            return client.get(key)
        case b"list":
            return client.lrange(key, 0, -1)
        case b"set":
            return client.smembers(key)
        case b"zset":
            return client.zrange(key, 0, -1, withscores=True)
        case b"hash":
            return client.hgetall(key)
        case kind:
            assert kind == b"none", f"{key!r} is of a kind that this test cannot read: {kind!r}"
            return None


def test_nothing_that_ever_went_through_redis_held_patient_data(run: Run) -> None:
    """Its append-only file has every message since the start."""
    files = files_below(run.system.settings.data_dir / "valkey")
    content = b"".join(path.read_bytes() for path in files)
    messages = b" ".join(decoded(content))
    for id_ in run.work_ids:
        assert id_.encode() in messages
    assert leaks(content) == []


def test_no_log_holds_patient_data(run: Run) -> None:
    logs = files_below(run.system.logs)
    content = {path.name: path.read_bytes() for path in logs}
    assert b"work-done" in content["worker-cpu.log"]
    for name, lines in content.items():
        assert leaks(lines) == [], name
    for name in ("up.out", "up.err"):
        assert leaks((run.system.settings.data_dir.parent / name).read_bytes()) == []


def test_flower_shows_the_work_and_no_patient_data(run: Run) -> None:
    worker = next(iter(flower(run.system, "/api/workers?refresh=1").json()))
    task = next(iter(run.tasks))
    pages = ["/", "/workers", "/tasks", "/broker", f"/worker/{worker}", f"/task/{task}"]
    apis = ["/api/tasks", "/api/workers", f"/api/task/info/{task}", "/api/queues/length"]
    for path in [*pages, *apis, "/metrics"]:
        assert leaks(flower(run.system, path).content) == [], path


def test_flower_shows_what_failed_as_failed_and_how_to_look_at_it(run: Run) -> None:
    failed = [task for task in tasks_of(run.system).values() if task["state"] == "FAILURE"]
    assert {str(task["name"]) for task in failed} == {TASK_NAMES[Stage.PREPARE_SERIES]}
    assert all("undecodable; see: medqueue failures show" in str(t["exception"]) for t in failed)


def test_the_metrics_count_and_name_nobody(run: Run) -> None:
    answer = run.system.get("/metrics")
    assert "medqueue_results_total" in answer.text
    assert leaks(answer.content) == []
