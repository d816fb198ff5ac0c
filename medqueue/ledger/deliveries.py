"""Deliveries: which results are owed to which destination, until it has said that it has them.

A destination is a reader of the results feed whose position the ledger keeps: what it is owed
follows from the feed, so nothing is forgotten and nothing is owed twice. Sending is at least once;
the objects sent have the same identifiers each time, so that a repeat is no second one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, func, insert, select, update

from medqueue.errors import NotFoundError, TransitionError
from medqueue.ledger import audit
from medqueue.ledger.engine import Ledger, insert_if_new
from medqueue.ledger.tables import deliveries, destinations, made_series, results
from schemas.delivery import Delivery, DeliveryState
from schemas.identifiers import new_id
from schemas.result import ResultKind, ResultStatus

_BATCH = 500
_DIAGNOSED = (ResultStatus.FINAL, ResultStatus.AMENDED)
_COLUMNS = [deliveries.c[name] for name in Delivery.model_fields]
_NEWEST = select(func.coalesce(func.max(results.c.seq), 0))


@dataclass(frozen=True, slots=True)
class OwedDelivery:
    """One delivery, held by whoever tries it now."""

    id: str
    result_id: str
    attempts: int
    """With this one."""
    created_at: datetime


def plan(ledger: Ledger, destination: str, *, only: ResultKind | None, now: datetime) -> int:
    """Owe a destination the results that have come since it was last asked; return how many.

    A destination that is new gets what comes from now on.

    Args:
        ledger: where results are.
        destination: its name.
        only: the kind of result that it can take; None for all.
        now: the present time.
    """
    place = select(destinations.c.position).where(destinations.c.name == destination)
    with ledger.read() as connection:
        position = connection.execute(place).scalar()
        newest = connection.execute(_NEWEST).scalar_one()
    if position == newest:
        return 0
    with ledger.write() as connection:
        if position is None:
            row = {"name": destination, "position": newest}
            connection.execute(insert_if_new(connection, destinations), row)
            return 0
        position = connection.execute(place.with_for_update()).scalar_one()
        return _owe_since(connection, destination, position, only=only, now=now)


def _owe_since(
    connection: Connection,
    destination: str,
    position: int,
    *,
    only: ResultKind | None,
    now: datetime,
) -> int:
    found = connection.execute(
        select(results.c.seq, results.c.id, results.c.kind, results.c.status)
        .where(results.c.seq > position)
        .order_by(results.c.seq)
        .limit(_BATCH)
    ).all()
    if not found:
        return 0
    owed = [
        {
            "id": new_id(),
            "result_id": row.id,
            "destination": destination,
            "state": DeliveryState.PENDING,
            "next_try_at": now,
            "created_at": now,
        }
        for row in found
        if row.status in _DIAGNOSED and only in (None, row.kind)
    ]
    if owed:
        connection.execute(insert(deliveries), owed)
    connection.execute(
        update(destinations)
        .where(destinations.c.name == destination)
        .values(position=found[-1].seq)
    )
    return len(owed)


def take_due(
    ledger: Ledger, destination: str, *, lease_seconds: float, now: datetime
) -> OwedDelivery | None:
    """Take the oldest that is due; nobody else gets it for the time of the lease."""
    due = (
        deliveries.c.destination == destination,
        deliveries.c.state == DeliveryState.PENDING,
        deliveries.c.next_try_at <= now,
    )
    with ledger.statement() as connection:
        if connection.execute(select(deliveries.c.id).where(*due).limit(1)).scalar() is None:
            return None
    oldest = (
        select(deliveries.c.id)
        .where(*due)
        .order_by(deliveries.c.created_at, deliveries.c.id)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    with ledger.write(lasting=False) as connection:
        found = connection.execute(oldest).scalar()
        if found is None:
            return None
        row = connection.execute(
            update(deliveries)
            .where(deliveries.c.id == found)
            .values(
                attempts=deliveries.c.attempts + 1,
                next_try_at=now + timedelta(seconds=lease_seconds),
            )
            .returning(deliveries)
        ).one()
    return OwedDelivery(row.id, row.result_id, row.attempts, row.created_at)


def note_made(ledger: Ledger, series_instance_uids: Sequence[str]) -> None:
    """Remember series that we make, before anybody gets them: coming back, they are no input."""
    with ledger.write() as connection:
        for uid in series_instance_uids:
            connection.execute(insert_if_new(connection, made_series), {"series_instance_uid": uid})


def is_made(connection: Connection, series_instance_uid: str) -> bool:
    """Tell whether a series is one that we have made."""
    this = made_series.c.series_instance_uid == series_instance_uid
    return connection.execute(select(made_series).where(this)).first() is not None


def settle(ledger: Ledger, delivery_id: str, *, now: datetime) -> None:
    """Note that the destination has it."""
    _change(
        ledger,
        delivery_id,
        state=DeliveryState.DELIVERED,
        delivered_at=now,
        error_code=None,
        error_detail=None,
    )


def postpone(
    ledger: Ledger, delivery_id: str, *, until: datetime, error_code: str, error_detail: str
) -> None:
    """Let it be tried again, not before then."""
    _change(
        ledger,
        delivery_id,
        next_try_at=until,
        error_code=error_code,
        error_detail=error_detail,
    )


def give_up(ledger: Ledger, delivery_id: str, *, error_code: str, error_detail: str) -> None:
    """Leave it for a person to see and to requeue."""
    _change(
        ledger,
        delivery_id,
        state=DeliveryState.FAILED,
        error_code=error_code,
        error_detail=error_detail,
    )


def _change(ledger: Ledger, delivery_id: str, **values: Any) -> None:
    """Change a delivery that is being tried; one that was settled meanwhile stays as it is."""
    with ledger.write() as connection:
        connection.execute(
            update(deliveries)
            .where(deliveries.c.id == delivery_id, deliveries.c.state == DeliveryState.PENDING)
            .values(**values)
        )


def list_deliveries(
    connection: Connection,
    *,
    state: DeliveryState | None = None,
    destination: str | None = None,
    limit: int,
) -> list[Delivery]:
    """Return deliveries, the newest first."""
    statement = select(*_COLUMNS).order_by(deliveries.c.created_at.desc(), deliveries.c.id.desc())
    if state is not None:
        statement = statement.where(deliveries.c.state == state)
    if destination is not None:
        statement = statement.where(deliveries.c.destination == destination)
    rows = connection.execute(statement.limit(limit)).mappings()
    return [Delivery.model_validate(dict(row)) for row in rows]


def of_study(connection: Connection, study_instance_uid: str) -> list[Delivery]:
    """Return the deliveries of the results on one study, oldest first."""
    rows = connection.execute(
        select(*_COLUMNS)
        .join(results, results.c.id == deliveries.c.result_id)
        .where(results.c.study_instance_uid == study_instance_uid)
        .order_by(deliveries.c.created_at, deliveries.c.id)
    ).mappings()
    return [Delivery.model_validate(dict(row)) for row in rows]


def count_by_state(connection: Connection) -> dict[tuple[str, DeliveryState], int]:
    """Return how many deliveries each destination has in each state."""
    rows = connection.execute(
        select(deliveries.c.destination, deliveries.c.state, func.count()).group_by(
            deliveries.c.destination, deliveries.c.state
        )
    )
    return {(name, DeliveryState(state)): count for name, state, count in rows}


def requeue(ledger: Ledger, ids: Sequence[str] | None, *, actor: str, now: datetime) -> int:
    """Have failed deliveries tried again, for as long as a new one; return how many.

    Args:
        ledger: where they are.
        ids: which; None for all.
        actor: who wants it.
        now: the present time.

    Raises:
        NotFoundError: there is no such delivery; nothing is requeued then.
        TransitionError: one has not failed; likewise.
    """
    has_failed = deliveries.c.state == DeliveryState.FAILED
    with ledger.write() as connection:
        if ids is None:
            ids = list(connection.execute(select(deliveries.c.id).where(has_failed)).scalars())
        for delivery_id in ids:
            changed = connection.execute(
                update(deliveries)
                .where(deliveries.c.id == delivery_id, has_failed)
                .values(state=DeliveryState.PENDING, next_try_at=now, created_at=now, attempts=0)
            )
            if changed.rowcount == 0:
                raise _not_requeueable(connection, delivery_id)
            audit.record(
                connection, now=now, actor=actor, action="requeue-delivery", subject_id=delivery_id
            )
    return len(ids)


def _not_requeueable(connection: Connection, delivery_id: str) -> NotFoundError | TransitionError:
    this = select(deliveries.c.state).where(deliveries.c.id == delivery_id)
    state = connection.execute(this).scalar()
    if state is None:
        return NotFoundError(f"no delivery {delivery_id}; see: medqueue deliveries list")
    return TransitionError(f"delivery {delivery_id} is {state}; only failed ones are requeued")
