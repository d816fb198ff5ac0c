"""Idempotency keys: the header of the HTTP doors, and which sender a key belongs to."""

from typing import Annotated

from fastapi import Header, Request

MAX_KEY_CHARACTERS = 255

IdempotencyKey = Annotated[
    str | None,
    Header(
        pattern=rf"^[\x21-\x7e]([\x20-\x7e]{{0,{MAX_KEY_CHARACTERS - 2}}}[\x21-\x7e])?$",
        description="Any text of up to 255 printable ASCII characters that names this one "
        "submission, such as a UUID. The same key with the same content from the same sender "
        "answers with the same `id` and adds nothing, so that a sender may safely try again.",
    ),
]


def scoped_key(key: str | None, request: Request, *, source: str) -> str | None:
    """Return a key that no other sender and no other door can come upon.

    Args:
        key: as the sender gave it.
        request: whose `state.caller` the access control has set.
        source: name of the door.
    """
    if key is None:
        return None
    # Neither the name of a door nor that of a token holds a colon.
    return f"{source}:{request.state.caller.name}:{key}"
