"""`kill -9` while a study is provably in a worker's hands: its result arrives, once."""

import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from builders import work_rows
from chest_images import a_picture, a_uid, an_image
from medqueue.operate.ports import accepts_connections
from schemas.work import Stage, WorkState
from waiting import wait_until
from whole_system import ROLES, System, pool_process, running_up, statuses

pytestmark = pytest.mark.acceptance

WITHIN_SECONDS = 30
CHILD = "a process of worker-cpu"


@pytest.fixture(scope="module")
def fragile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A system of this module's own, since it is hurt."""
    with running_up(tmp_path_factory.mktemp("up"), cpu_processes=1) as system:
        yield system


def in_hand(system: System) -> bool:
    """Whether a worker prepares a series at this moment."""
    running = work_rows(system.ledger, stage=Stage.PREPARE_SERIES, state=WorkState.RUNNING)
    return bool(running)


def victim_of(system: System, role: str) -> psutil.Process | None:
    if role != CHILD:
        return system.process_of(role)
    worker = system.process_of("worker-cpu")
    return pool_process(worker) if worker else None


def wait_for_victim(system: System, role: str, *, other_than: int = 0) -> psutil.Process:
    def is_another() -> bool:
        found = victim_of(system, role)
        return found is not None and found.pid != other_than

    wait_until(is_another, WITHIN_SECONDS, what=f"another {role}")
    found = victim_of(system, role)
    assert found is not None
    return found


@pytest.mark.parametrize("role", [*ROLES, CHILD])
def test_the_result_arrives_once(fragile: System, tmp_path: Path, role: str) -> None:
    # What the case before has killed must listen again.
    wait_until(
        lambda: accepts_connections(fragile.settings, fragile.settings.dimse_port), WITHIN_SECONDS
    )
    wait_until(lambda: fragile.process_of("worker-cpu"), WITHIN_SECONDS)
    study, series = a_uid(), a_uid()
    # Large enough to be in hand for a while.
    picture = a_picture(2500, 2500)
    files = [
        an_image(tmp_path, study=study, series=series, number=number, pixels=picture)
        for number in (1, 2, 3)
    ]
    fragile.push(*files)
    victim = wait_for_victim(fragile, role)
    wait_until(lambda: in_hand(fragile), WITHIN_SECONDS, what="work in hand")
    if role == "worker-gpu":
        # Frozen, so that the diagnosis is out to it when it dies.
        victim.suspend()
        wait_until(
            lambda: any(
                row.publications > 0 or row.state == WorkState.RUNNING
                for row in work_rows(fragile.ledger, stage=Stage.DIAGNOSE_IMAGE)
                if row.state in {WorkState.PENDING, WorkState.RUNNING}
            ),
            WITHIN_SECONDS,
        )

    victim.send_signal(signal.SIGKILL)

    results = fragile.wait_for_results(study_instance_uid=study, seconds=WITHIN_SECONDS)
    wait_for_victim(fragile, role, other_than=victim.pid)
    wait_until(lambda: fragile.results_of(study_instance_uid=study), WITHIN_SECONDS)
    assert statuses(results) == ["final"]
    assert len(results[0]["sop_instance_uids"]) == 3


def test_after_all_that_each_study_has_one_result(fragile: System, tmp_path: Path) -> None:
    fragile.wait_until_all_is_done()
    found = [result["study_instance_uid"] for result in fragile.feed()]
    assert len(found) == len(set(found))
