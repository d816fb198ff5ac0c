"""Waiting for a state instead of sleeping."""

import time
from collections.abc import Callable


def wait_until(
    condition: Callable[[], object], seconds: float = 10.0, *, what: str = "the awaited state"
) -> None:
    """Look until the condition holds, and fail if it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not come within {seconds:.0f} s"
        time.sleep(0.02)
