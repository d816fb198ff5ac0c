"""What one text or one death does to a worker, its lease and its neighbours."""

import os
import signal
import statistics
import time
from pathlib import Path

import pytest

from builders import work_rows
from chaos.rig import Rig, running_rig, seconds_until
from medqueue.ledger.engine import Ledger
from schemas.result import ResultStatus
from schemas.work import WorkState
from valkey_server import Broker
from waiting import wait_until

pytestmark = pytest.mark.chaos

LEASE = 2.0
WAITING = 500
URGENT = 5
NOISE_SECONDS = 0.2
"""Neighbours on a busy machine take so much; the whole backlog would take seconds."""


def test_work_of_a_killed_process_group_is_in_hand_again_within_the_lease_and_five_seconds(
    sqlite_ledger: Ledger, own_broker: Broker, tmp_path: Path
) -> None:
    with running_rig(sqlite_ledger, own_broker, tmp_path, lease_seconds=LEASE) as rig:
        (report,) = rig.submit("A slow text.")
        wait_until(lambda: rig.work_on(report).state == WorkState.RUNNING)
        os.killpg(rig._workers[0].pid, signal.SIGKILL)
        rig.start_worker()

        taken = seconds_until(lambda: rig.work_on(report).attempts == 2, 30, what="a second try")

        assert taken <= LEASE + 5
        rig.gate.touch()
        rig.wait_for(report)
        assert [result.status for result in rig.results_of(report)] == [ResultStatus.FINAL]


def test_work_that_takes_several_leases_is_done_once(
    sqlite_ledger: Ledger, own_broker: Broker, tmp_path: Path
) -> None:
    with running_rig(sqlite_ledger, own_broker, tmp_path, lease_seconds=1.0) as rig:
        (report,) = rig.submit("A slow text.")
        wait_until(lambda: rig.work_on(report).state == WorkState.RUNNING)
        first = rig.work_on(report).lease_until
        wait_until(lambda: (rig.work_on(report).lease_until - first).total_seconds() > 3)
        rig.gate.touch()
        rig.wait_for(report)
        assert rig.work_on(report).attempts == 1


def test_a_text_that_kills_its_worker_ends_as_failed_and_its_neighbours_go_on(
    sqlite_ledger: Ledger, own_broker: Broker, tmp_path: Path
) -> None:
    with running_rig(sqlite_ledger, own_broker, tmp_path, lease_seconds=1.0) as rig:
        before = rig.submit(*(f"No pneumothorax {number}." for number in range(10)))
        (poison,) = rig.submit("A text of poison.")
        after = rig.submit(*(f"No effusion {number}." for number in range(10)))
        rig.wait_for(*before, *after)
        rig.wait_for(poison, seconds=40)

        (result,) = rig.results_of(poison)
        assert result.status == ResultStatus.FAILED
        assert result.error["code"] == "worker-lost"
        assert rig.work_on(poison).attempts == rig.settings.max_attempts
        finals = [rig.results_of(report) for report in before + after]
        assert [[one.status for one in found] for found in finals] == [[ResultStatus.FINAL]] * 20
        assert rig._workers[0].poll() is None, "the worker itself lives"


def test_urgent_work_before_five_hundred_waits_at_most_three_times_as_long_as_alone(
    sqlite_ledger: Ledger, own_broker: Broker, tmp_path: Path
) -> None:
    with running_rig(sqlite_ledger, own_broker, tmp_path) as rig:
        idle = statistics.median(delay(rig, number) for number in range(URGENT))
        routine = rig.submit(*(f"No pneumothorax {number}." for number in range(WAITING)))
        wait_until(lambda: not work_rows(rig.ledger, publications=0))
        busy = statistics.median(delay(rig, number) for number in range(URGENT))

        assert not all(rig.results_of(report) for report in routine[-10:]), "still a backlog"
        limit = max(3 * idle, NOISE_SECONDS)
        assert busy <= limit, f"{busy:.3f} s with a backlog, {idle:.3f} s without"


def delay(rig: Rig, number: int) -> float:
    """Submit one urgent text and return the seconds until its result."""
    begin = time.monotonic()
    (report,) = rig.submit(f"Tension pneumothorax {number}.", urgent=True)
    while not rig.results_of(report):
        assert time.monotonic() - begin < 20
        time.sleep(0.002)
    return time.monotonic() - begin
