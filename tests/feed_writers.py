"""A program of many writers of results, some of which die in the middle of a transaction.

    python feed_writers.py URL FOLDER WRITERS TRANSACTIONS [--naive]

Each writer is a process of its own. Beside the ledger it keeps a file with what has been committed,
so that a test can tell what must be in the feed. With `--naive` the writers number their results as
they come, without waiting for each other.
"""

import os
import random
import signal
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import event, insert, text

from medqueue.ledger import results
from medqueue.ledger.engine import Ledger, open_ledger
from medqueue.ledger.tables import reports
from schemas.identifiers import new_id
from schemas.result import ModelReference, Outcome, ResultKind, ResultStatus
from schemas.work import Priority

RESULTS_IN_A_TRANSACTION = 4
DEATHS_EVERY = 3
"""One writer out of so many dies once."""
LONGEST_PAUSE_SECONDS = 0.004
"""Between the numbers of a transaction and its commit, where other numbers may overtake."""

FINAL = Outcome(
    status=ResultStatus.FINAL, model=ModelReference(name="m", version="1.0.0", sha256="0" * 64)
)


def main() -> None:
    url, folder, writers, transactions = sys.argv[1:5]
    running = {
        _start(
            url, Path(folder), number, int(transactions), dies=number % DEATHS_EVERY == 1
        ): number
        for number in range(int(writers))
    }
    while running:
        pid, status = os.wait()
        number = running.pop(pid)
        if os.WIFSIGNALED(status):
            successor = _start(url, Path(folder), number, int(transactions), dies=False)
            running[successor] = number
        elif status:
            sys.exit(1)


def _start(url: str, folder: Path, number: int, transactions: int, *, dies: bool) -> int:
    pid = os.fork()
    if pid:
        return pid
    try:
        _write(url, folder, number, transactions, dies=dies)
    except BaseException:  # noqa: BLE001 - a fork must never return into its parent's stack
        sys.excepthook(*sys.exc_info())
        os._exit(1)
    os._exit(0)


def _write(url: str, folder: Path, number: int, transactions: int, *, dies: bool) -> None:
    if "--naive" in sys.argv:
        # A key of its own: nobody waits for anybody.
        results._LOCK_FEED = text(f"SELECT pg_advisory_xact_lock({number})")
    ledger = _open(url)
    chance = random.Random(number)  # noqa: S311 - for pauses
    path = folder / f"{number}.txt"
    with path.open("a+", encoding="utf-8") as committed:
        committed.seek(0)
        begun = len(committed.readlines()) // RESULTS_IN_A_TRANSACTION
        for transaction in range(begun, transactions):
            names = [f"{number}-{transaction}-{k}" for k in range(RESULTS_IN_A_TRANSACTION)]
            rows = [_row(name) for name in names]
            with ledger.write() as connection:
                connection.execute(insert(reports), rows)
                for row in rows:
                    results.append(
                        connection,
                        ResultKind.TEXT,
                        row["id"],
                        row["sha256"],
                        FINAL,
                        now=row["received_at"],
                    )
                time.sleep(chance.uniform(0, LONGEST_PAUSE_SECONDS))
                if dies and transaction == transactions // 2:
                    os.kill(os.getpid(), signal.SIGKILL)
            committed.write("".join(f"{name}\n" for name in names))
            committed.flush()
    ledger.close()


def _row(name: str) -> dict[str, Any]:
    return {
        "id": new_id(),
        "report_id": name,
        "version": 1,
        "text": "Clear.",
        "sha256": "0" * 64,
        "source": "http",
        "priority": Priority.ROUTINE,
        "received_at": datetime.now(UTC),
    }


def _open(url: str) -> Ledger:
    ledger = open_ledger(url)
    if ledger.is_sqlite:

        @event.listens_for(ledger.engine, "connect")
        def hurry(connection, _entry):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
            connection.execute("PRAGMA synchronous=OFF")

    return ledger


if __name__ == "__main__":
    main()
