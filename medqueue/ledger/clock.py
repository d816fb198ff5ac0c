"""A clock that was set back: what the ledger then holds of the future is brought to the present.

A clock that was set forward needs nothing: leases end early, and the fence keeps results single.
"""

from datetime import datetime, timedelta

from sqlalchemy import and_, or_, select, update

from medqueue.ledger.engine import Ledger
from medqueue.ledger.tables import studies, work
from medqueue.ledger.work import LONGEST_PAUSE_SECONDS
from schemas.study import StudyState
from schemas.work import WorkState

_TOLERATED_SECONDS = 1.0
"""Clocks of two machines differ by less; more, and waiting for the present costs too much."""
_LEASES = 3
"""A lease that ends later than so many leases from now is of the future. More than one, should
workers be set to longer leases than the relay."""


def mend(ledger: Ledger, *, lease_seconds: float, now: datetime) -> int:
    """Bring moments that no clock but one ahead can have written to the present.

    Without it new work, quiet studies and the work of dead workers would wait until the clock is
    again where it was. To be due early harms nothing, and a lease that a living worker still
    needs is renewed by its heart.

    Returns:
        How many rows were mended.
    """
    soon = now + timedelta(seconds=_TOLERATED_SECONDS)
    longest_lease = now + timedelta(seconds=_LEASES * lease_seconds)
    longest_pause = soon + timedelta(seconds=LONGEST_PAUSE_SECONDS)
    changes = (
        (
            work,
            and_(
                work.c.state == WorkState.PENDING,
                work.c.next_try_at > soon,
                or_(work.c.attempts == 0, work.c.next_try_at > longest_pause),
            ),
            {"next_try_at": now},
        ),
        (
            work,
            and_(work.c.state == WorkState.RUNNING, work.c.lease_until > longest_lease),
            {"lease_until": longest_lease},
        ),
        (
            studies,
            and_(studies.c.state == StudyState.RECEIVING, studies.c.last_instance_at > soon),
            {"last_instance_at": now, "due_at": None},
        ),
    )
    mended = 0
    for table, is_of_the_future, values in changes:
        with ledger.read() as connection:
            found = connection.execute(select(table.c.id).where(is_of_the_future).limit(1)).first()
        if found is not None:
            with ledger.write() as connection:
                statement = update(table).where(is_of_the_future).values(values)
                mended += connection.execute(statement).rowcount
    return mended
