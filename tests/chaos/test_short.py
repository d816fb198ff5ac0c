"""Studies and texts under random deaths and freezes: what was accepted has one result each."""

import random
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
import redis
from rich.console import Console
from rich.table import Table

from builders import count
from chaos.load import PROVEN_SECONDS, Sent, audit, open_work, send_everything
from medqueue.broker.embedded import socket_path
from medqueue.ledger.tables import results
from waiting import wait_until
from whole_system import LEASE_SECONDS, System, pool_process, running_up

pytestmark = pytest.mark.chaos

SEED = 7653
STUDIES = TEXTS = 30
FAULTS = 7
FROZEN_SECONDS = LEASE_SECONDS * 1.5
"""Long enough for the lease of whatever is in hand to run out."""
VICTIMS = ("worker-cpu", "a process of worker-cpu", "worker-gpu", "relay", "valkey")


@pytest.fixture
def system(tmp_path: Path) -> Iterator[System]:
    # More attempts than there are faults: here a dead worker is never the input's fault.
    with running_up(tmp_path, study_quiet_seconds=0.2, max_attempts=20) as running:
        yield running


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
            process = pool_process(process)
        found[:] = [process] if process is not None else []
        return bool(found)

    wait_until(look, PROVEN_SECONDS, what=role)
    return found[0]


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
            pool.submit(send_everything, system, images, sent, studies=STUDIES, texts=TEXTS),
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
