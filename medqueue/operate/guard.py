"""The guard: ends every child when the supervisor itself is killed.

A pipe and a small process, not `PR_SET_PDEATHSIG`: that exists on Linux only, reaches one process
instead of its group, and cannot be asked of Valkey's program.
"""

import contextlib
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import IO

_PROGRAM = Path(__file__).with_name("guard_process.py")
_END_SECONDS = 5.0


class Guard:
    """Knows the process groups of the running children, and outlives the supervisor."""

    def __init__(self, *, drain_seconds: float, keep_open: Sequence[int] = ()) -> None:
        """Start the guard.

        Args:
            drain_seconds: how long the children may drain once the supervisor is gone.
            keep_open: descriptors that the guard shares, so that a lock on them lasts until the
                last child has ended.
        """
        self._groups: set[int] = set()
        # -I: nothing of the environment and no folder beside the program takes part.
        self._process = subprocess.Popen(
            [sys.executable, "-I", str(_PROGRAM), str(drain_seconds)],
            stdin=subprocess.PIPE,
            pass_fds=keep_open,
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        """The process id of the guard."""
        return self._process.pid

    def watch(self, group: int) -> None:
        """End this process group if the supervisor dies."""
        self._groups.add(group)
        self._tell(f"+{group}\n")

    def forget(self, group: int) -> None:
        """Leave this process group alone: it has ended, or is meant to stay."""
        self._groups.discard(group)
        self._tell(f"-{group}\n")

    def close(self) -> None:
        """End the guard, and with it what it still watches."""
        with contextlib.suppress(BrokenPipeError):
            self._pipe.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_END_SECONDS if not self._groups else None)

    def wait(self) -> None:
        """Block until the guard has ended: closed, or killed and guarding nothing."""
        self._process.wait()

    @property
    def _pipe(self) -> IO[bytes]:
        pipe = self._process.stdin
        if pipe is None:
            raise AssertionError("the guard was started with a pipe")
        return pipe

    def _tell(self, line: str) -> None:
        with contextlib.suppress(BrokenPipeError):
            self._pipe.write(line.encode())
            self._pipe.flush()
