"""Studies and texts under random deaths and freezes: what was accepted has one result each."""

import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import redis
from rich.console import Console
from rich.table import Table

from builders import count, work_rows
from chest_images import a_picture, a_uid, an_image
from medqueue.broker.embedded import socket_path
from medqueue.errors import UnavailableError
from medqueue.ledger.tables import results
from schemas.work import WorkState
from waiting import wait_until
from whole_system import LEASE_SECONDS, System, running_up

pytestmark = pytest.mark.chaos

SEED = 7653
STUDIES = TEXTS = 30
FAULTS = 7
FROZEN_SECONDS = LEASE_SECONDS * 1.5
"""Long enough for the lease of whatever is in hand to run out."""
VICTIMS = ("worker-cpu", "a process of worker-cpu", "worker-gpu", "relay", "valkey")
PROVEN_SECONDS = 40


@dataclass
class Sent:
    """What senders were told, and what was done to the system meanwhile."""

    studies: set[str] = field(default_factory=set)
    texts: set[str] = field(default_factory=set)
    faults: Counter[str] = field(default_factory=Counter)

    @property
    def accepted(self) -> int:
        return len(self.studies) + len(self.texts)


@pytest.fixture
def system(tmp_path: Path) -> Iterator[System]:
    # More attempts than there are faults: here a dead worker is never the input's fault.
    with running_up(tmp_path, study_quiet_seconds=0.2, max_attempts=20) as running:
        yield running


def send_everything(system: System, folder: Path, sent: Sent) -> None:
    """Send all, as a PACS and a HIS do: what is not accepted is sent again."""
    for number in range(max(STUDIES, TEXTS)):
        if number < STUDIES:
            study = a_uid()
            image = an_image(folder, study=study, pixels=a_picture(800, 800))
            until_accepted(lambda image=image: not system.try_to_push(image).failed)
            sent.studies.add(study)
        if number < TEXTS:
            key = {"Idempotency-Key": f"text-{number}"}
            content = {"text": f"No pneumothorax, text {number}.", "urgent": number % 5 == 0}
            until_accepted(lambda content=content, key=key: post(system, content, key, sent))


def post(system: System, content: dict[str, Any], headers: dict[str, str], sent: Sent) -> bool:
    answer = httpx.post(f"{system.url}/reports", json=content, headers=headers, timeout=20)
    if answer.is_success:
        sent.texts.add(answer.json()["id"])
    return answer.is_success


def until_accepted(attempt: Any) -> None:
    def is_accepted() -> bool:
        try:
            return bool(attempt())
        except (UnavailableError, httpx.TransportError):
            return False

    wait_until(is_accepted, PROVEN_SECONDS, what="an acceptance")


def harm(system: System, sent: Sent) -> None:
    """Kill and freeze processes in an order that the seed decides, and wipe the broker once."""
    chance = random.Random(SEED)  # noqa: S311 - the same faults in every run
    moments = sorted(chance.sample(range((STUDIES + TEXTS) * 3 // 4), FAULTS))
    thaws = []
    for number, moment in enumerate(moments):
        # By progress, not by time: so every fault meets a system that has work.
        wait_until(
            lambda moment=moment: count(system.ledger, results) >= moment,
            PROVEN_SECONDS,
            what=f"the {moment}th result",
        )
        role, kind = VICTIMS[number % len(VICTIMS)], chance.choice(("kill", "freeze"))
        if number == FAULTS // 2:
            wipe(system)
            sent.faults["wipe of valkey"] += 1
        victim = find(system, role)
        if kind == "kill":
            victim.kill()
        else:
            thaws.append(freeze(victim))
        sent.faults[f"{kind} {role}"] += 1
    for thaw in thaws:
        thaw.join()


def find(system: System, role: str) -> psutil.Process:
    found: list[psutil.Process] = []

    def look() -> bool:
        process = system.process_of(role.removeprefix("a process of "))
        if process is not None and role.startswith("a process of "):
            process = next(iter(children_of(process)), None)
        found[:] = [process] if process is not None else []
        return bool(found)

    wait_until(look, PROVEN_SECONDS, what=role)
    return found[0]


def children_of(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children()
    except psutil.NoSuchProcess:
        return []


def freeze(process: psutil.Process) -> threading.Timer:
    """Stop a process for longer than a lease, and let it go in the background."""
    process.suspend()

    def thaw() -> None:
        with suppress(psutil.NoSuchProcess):
            process.resume()

    timer = threading.Timer(FROZEN_SECONDS, thaw)
    timer.start()
    return timer


def wipe(system: System) -> None:
    def is_wiped() -> bool:
        try:
            with redis.Redis(unix_socket_path=str(socket_path(system.settings))) as client:
                return bool(client.flushall())
        except redis.RedisError:
            return False

    wait_until(is_wiped, PROVEN_SECONDS, what="a broker to wipe")


def open_work(system: System) -> bool:
    ended = (WorkState.DONE, WorkState.FAILED, WorkState.DISCARDED)
    return any(row.state not in ended for row in work_rows(system.ledger))


def audit(system: System, sent: Sent) -> dict[str, list[str]]:
    """Compare what the senders were told with the feed; who is lost, who is doubled, who failed."""
    found = Counter[str]()
    failed = []
    for result in system.feed():
        subject = result["study_instance_uid"] or result["report_id"]
        found[subject] += 1
        if result["status"] != "final":
            failed.append(subject)
    accepted = sent.studies | sent.texts
    return {
        "lost": sorted(accepted - set(found)),
        "doubled": sorted(subject for subject, times in found.items() if times > 1),
        "unknown": sorted(set(found) - accepted),
        "not final": failed,
    }


def show(sent: Sent, found: dict[str, list[str]], in_feed: int, seconds: float) -> None:
    table = Table(title=f"chaos, seed {SEED}, {seconds:.0f} s")
    for name in ("accepted", "results", *found):
        table.add_column(name, justify="right")
    counts = [sent.accepted, in_feed, *(len(subjects) for subjects in found.values())]
    table.add_row(*(str(number) for number in counts))
    faults = Table(title=f"{sent.faults.total()} faults")
    faults.add_column("fault")
    faults.add_column("times", justify="right")
    for fault, times in sorted(sent.faults.items()):
        faults.add_row(fault, str(times))
    console = Console()
    console.print(table)
    console.print(faults)


def test_whatever_dies_each_accepted_input_gets_one_result(
    system: System, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sent, began = Sent(), time.monotonic()
    images = tmp_path / "images"
    images.mkdir()

    with ThreadPoolExecutor(2) as pool:
        done = [
            pool.submit(send_everything, system, images, sent),
            pool.submit(harm, system, sent),
        ]
        for one in done:
            one.result()
    wait_until(
        lambda: len(system.results_of()) >= sent.accepted, PROVEN_SECONDS, what="every result"
    )
    # A late worker that thaws, or a message that was doubled, would add its result now.
    wait_until(lambda: not open_work(system), PROVEN_SECONDS, what="the end of all work")
    sent.texts.add(system.wait_until_all_is_done())

    found = audit(system, sent)
    with capsys.disabled():
        show(sent, found, len(system.feed()), time.monotonic() - began)
    assert (len(sent.studies), len(sent.texts) - 1) == (STUDIES, TEXTS)
    assert sent.faults.total() == FAULTS + 1
    assert found == {"lost": [], "doubled": [], "unknown": [], "not final": []}
    assert len(system.feed()) == sent.accepted
