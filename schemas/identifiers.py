"""Opaque identifiers of our own, and the shape of DICOM's."""

import re
import secrets
import threading
import time
from typing import Annotated

from pydantic import StringConstraints

UID_PATTERN = r"^(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*))*$"
UID_MAX_LENGTH = 64

Uid = Annotated[str, StringConstraints(pattern=UID_PATTERN, max_length=UID_MAX_LENGTH)]
"""A DICOM unique identifier (PS3.5 section 9.1)."""

_LENIENT_UID = re.compile(r"[0-9]+(\.[0-9]+)*")


_RANDOM_BITS = 74
_STEP_BITS = 48


class _Latest(threading.local):
    number = 0


_latest = _Latest()


def new_id() -> str:
    """Return a new opaque identifier: 32 hexadecimal digits that sort by time of creation.

    Those of one thread sort in the order of its calls, also within a millisecond and when the
    clock is set back. The layout is that of UUID version 7 without its dashes (RFC 9562 sections
    5.7 and 6.2, method 2).
    """
    milliseconds = time.time_ns() // 1_000_000 & 0xFFFFFFFFFFFF
    drawn = milliseconds << _RANDOM_BITS | secrets.randbits(_RANDOM_BITS)
    # The step is random, so that a fork and its parent do not go on with the same numbers.
    _latest.number = max(drawn, _latest.number + 1 + secrets.randbits(_STEP_BITS))
    high, low = divmod(_latest.number, 1 << 62)
    moment, middle = divmod(high, 1 << 12)
    return f"{moment:012x}7{middle:03x}{0b10 << 62 | low:016x}"


def is_uid(text: str) -> bool:
    """Tell whether a text can serve as a UID.

    Leading zeros in a component are against PS3.5 section 9.1 but common in the field, so they
    pass; anything but digits and dots, or more than 64 characters, does not.
    """
    return len(text) <= UID_MAX_LENGTH and _LENIENT_UID.fullmatch(text) is not None
