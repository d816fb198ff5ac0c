"""A rolling restart under load: each process ends orderly in its turn, and nothing is lost."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from builders import count
from chaos.load import PROVEN_SECONDS, Sent, audit, open_work, send_everything
from medqueue.ledger.tables import results
from waiting import wait_until
from whole_system import ROLES, System, running_up

pytestmark = pytest.mark.chaos

STUDIES = TEXTS = 30
RESTARTED = [role for role in ROLES if role != "guard"]
"""An upgrade restarts all of them; the guard has no work and ends with its supervisor."""


def restart_one_by_one(system: System) -> None:
    """Ask each process to end, by progress and not by time, and await the one after it."""
    for number, role in enumerate(RESTARTED):
        enough = (number + 1) * (STUDIES + TEXTS) // (len(RESTARTED) + 3)
        wait_until(
            lambda enough=enough: count(system.ledger, results) >= enough,
            PROVEN_SECONDS,
            what=f"{enough} results before {role} restarts",
        )
        old = system.process_of(role)
        assert old is not None, role
        old.terminate()
        wait_until(
            lambda role=role, old=old: system.pids().get(role, old.pid) != old.pid,
            PROVEN_SECONDS,
            what=f"another {role}",
        )


def test_every_process_may_be_restarted_under_load(tmp_path: Path) -> None:
    sent = Sent()
    images = tmp_path / "images"
    images.mkdir()
    with running_up(tmp_path / "up", study_quiet_seconds=0.2, max_attempts=20) as system:
        with ThreadPoolExecutor(2) as pool:
            loaded = pool.submit(
                send_everything, system, images, sent, studies=STUDIES, texts=TEXTS
            )
            pool.submit(restart_one_by_one, system).result()
            loaded.result()
        wait_until(
            lambda: len(system.results_of()) >= sent.accepted, PROVEN_SECONDS, what="every result"
        )
        wait_until(lambda: not open_work(system), PROVEN_SECONDS, what="the end of all work")

        found = audit(system, sent)
    assert sent.accepted == STUDIES + TEXTS
    assert found == {"lost": [], "doubled": [], "unknown": [], "not final": []}
