"""Silence: how long a published piece of work may wait before its message counts as lost."""

from datetime import datetime, timedelta

SILENCE_SECONDS = 5.0
"""Published work that nobody claimed for so long may have been lost by the broker."""
MAX_SILENCE_SECONDS = 300.0
"""The wait doubles with every publication of a row, up to this."""
_MAX_DOUBLINGS = 10
"""Beyond the longest silence; a row published a thousand times would overflow a float."""


def publish_again_after(publications: int, *, now: datetime) -> datetime:
    """Return when work that is published now may be published again, if nobody claims it.

    Args:
        publications: how often it was published before.
        now: the present time.
    """
    doubled = SILENCE_SECONDS * 2 ** min(publications, _MAX_DOUBLINGS)
    return now + timedelta(seconds=min(doubled, MAX_SILENCE_SECONDS))
