"""Opaque identifiers of our own, and the shape of DICOM's."""

import re
import secrets
import time
from typing import Annotated

from pydantic import StringConstraints

UID_PATTERN = r"^(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*))*$"
UID_MAX_LENGTH = 64

Uid = Annotated[str, StringConstraints(pattern=UID_PATTERN, max_length=UID_MAX_LENGTH)]
"""A DICOM unique identifier (PS3.5 section 9.1)."""

_LENIENT_UID = re.compile(r"[0-9]+(\.[0-9]+)*")


def new_id() -> str:
    """Return a new opaque identifier: 32 hexadecimal digits that sort by time of creation.

    The layout is that of UUID version 7 (RFC 9562 section 5.7) without its dashes.
    """
    milliseconds = time.time_ns() // 1_000_000
    head = f"{milliseconds & 0xFFFFFFFFFFFF:012x}"
    tail = f"{secrets.randbits(74):019x}"
    variant = "89ab"[int(tail[3], 16) & 3]
    return f"{head}7{tail[:3]}{variant}{tail[4:]}"


def is_uid(text: str) -> bool:
    """Tell whether a text can serve as a UID.

    Leading zeros in a component are against PS3.5 section 9.1 but common in the field, so they
    pass; anything but digits and dots, or more than 64 characters, does not.
    """
    return len(text) <= UID_MAX_LENGTH and _LENIENT_UID.fullmatch(text) is not None
