"""The feed under fire: many writers, some killed in mid-transaction, and nobody misses a result."""

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from feed_writers import RESULTS_IN_A_TRANSACTION
from medqueue.ledger.engine import Ledger
from medqueue.results.feed import read_feed

pytestmark = pytest.mark.integration

PROGRAM = Path(__file__).parents[2] / "feed_writers.py"
WRITERS = 8
POLLERS = 4
TRANSACTIONS = 64
FEW = 20
POLL_SECONDS = 0.01


def write(database_url: str, folder: Path, transactions: int, *options: str) -> None:
    """Run the writers to their end."""
    folder.mkdir(exist_ok=True)
    arguments = [database_url, str(folder), str(WRITERS), str(transactions), *options]
    subprocess.run([sys.executable, str(PROGRAM), *arguments], check=True, timeout=100)


def committed(folder: Path) -> list[str]:
    return [line for path in folder.iterdir() for line in path.read_text().splitlines()]


def follow(ledger: Ledger, limit: int, written: threading.Event) -> list[str]:
    """Poll as a consumer does until everything is written; return each result as it came."""
    seen: list[str] = []
    cursor: str | None = None
    while True:
        last_look = written.is_set()
        page, cursor = read_feed(ledger, after=cursor, limit=limit)
        seen += [str(result.report_id) for result in page]
        if last_look and not page:
            return seen
        written.wait(POLL_SECONDS)


def race(
    ledger: Ledger, database_url: str, folder: Path, transactions: int, *options: str
) -> list[list[str]]:
    """Return what each poller has seen while the writers wrote."""
    written = threading.Event()
    with ThreadPoolExecutor(POLLERS) as pool:
        polls = [pool.submit(follow, ledger, 7 + 31 * n, written) for n in range(POLLERS)]
        try:
            write(database_url, folder, transactions, *options)
        finally:
            written.set()
        return [poll.result() for poll in polls]


def whole_feed(ledger: Ledger) -> list[str]:
    page, _ = read_feed(ledger, after=None, limit=100_000)
    return [str(result.report_id) for result in page]


def test_every_poller_sees_every_result_once_and_in_the_same_order(
    ledger: Ledger, database_url: str, tmp_path: Path
) -> None:
    polls = race(ledger, database_url, tmp_path / "committed", TRANSACTIONS)

    in_order = whole_feed(ledger)
    assert len(in_order) == WRITERS * TRANSACTIONS * RESULTS_IN_A_TRANSACTION
    assert sorted(in_order) == sorted(committed(tmp_path / "committed"))
    for seen in polls:
        assert seen == in_order


def test_without_the_lock_a_poll_by_number_loses_results(
    postgresql_ledger: Ledger,
    postgresql_url: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Numbers are given in the order of statements, and seen in that of commits.

    A reader that has seen number 8 never asks for a number 7 that is committed later. This test
    fails when the race above no longer happens, and with it the proof that the lock is needed.
    """
    polls = race(postgresql_ledger, postgresql_url, tmp_path / "committed", FEW, "--naive")

    there = set(whole_feed(postgresql_ledger))
    lost = [len(there - set(seen)) for seen in polls]
    with capsys.disabled():
        sys.stdout.write(f"\nwithout the lock, of {len(there)} results the pollers lost {lost}\n")
    assert max(lost) > 0
