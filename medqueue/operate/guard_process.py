"""A process of its own that ends the children of a supervisor that was itself killed.

It is run by its path, needs the standard library only, and reads from its standard input which
process groups to guard: `+123` adds one, `-123` takes it away. Only the supervisor holds the other
end, so end-of-file means that the supervisor is gone, however it died.
"""

import contextlib
import os
import signal
import sys
import time
from collections.abc import Iterable

_LOOK_SECONDS = 0.05


def main(lines: Iterable[str], drain_seconds: float) -> None:
    """Keep the list of groups until end-of-file, then drain and kill what is on it."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    groups: set[int] = set()
    for line in lines:
        change = groups.add if line.startswith("+") else groups.discard
        change(int(line[1:]))
    for group in groups:
        with contextlib.suppress(OSError):
            os.kill(group, signal.SIGTERM)
    deadline = time.monotonic() + drain_seconds
    while any(_lives(group) for group in groups) and time.monotonic() < deadline:
        time.sleep(_LOOK_SECONDS)
    for group in groups:
        with contextlib.suppress(OSError):
            os.killpg(group, signal.SIGKILL)


def _lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except OSError:
        return False
    return True


if __name__ == "__main__":
    main(sys.stdin, float(sys.argv[1]))
