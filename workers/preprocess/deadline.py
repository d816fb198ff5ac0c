"""A shorter deadline for a decoder that is fast, but has been seen never to come back."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def hurried(seconds: float) -> Iterator[None]:
    """Leave no more than this of the time that is left of this process's timer.

    Without a timer, that is outside a decoder of the nursery, nothing is changed.
    """
    left, _ = signal.getitimer(signal.ITIMER_REAL)
    if left > seconds:
        signal.setitimer(signal.ITIMER_REAL, seconds)
    yield
    if left > seconds:
        signal.setitimer(signal.ITIMER_REAL, left)
