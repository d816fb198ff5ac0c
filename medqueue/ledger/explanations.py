"""Pictures that explain findings: kept in the transaction of their result, and read by readers."""

from datetime import datetime

from sqlalchemy import Connection, insert, select

from medqueue.errors import NotFoundError
from medqueue.ledger.tables import explanations
from schemas.result import Picture

_INSERT = insert(explanations)


def keep(connection: Connection, picture: Picture, *, now: datetime) -> None:
    """Keep the picture of a finding."""
    connection.execute(_INSERT, {"id": picture.id, "content": picture.content, "at": now})


def find(connection: Connection, id_: str) -> bytes:
    """Return a picture, PNG.

    Raises:
        NotFoundError: there is none.
    """
    content: bytes | None = connection.execute(
        select(explanations.c.content).where(explanations.c.id == id_)
    ).scalar()
    if content is None:
        raise NotFoundError("no such picture is known; a finding that has one names its address")
    return bytes(content)
