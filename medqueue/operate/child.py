"""One child process: a group of its own, its output in its own log file, and an end for all of it.

A Celery worker has children of its own. Therefore each child leads a process group, and what is
left of the group when its leader is gone is killed too.
"""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from medqueue.errors import ConfigurationError

_MAX_LOG_BYTES = 10 * 1024 * 1024
"""A larger log is set aside when its process starts; one older log is kept."""


@dataclass(frozen=True, slots=True)
class Role:
    """What a process is for, and how it is started and known to work."""

    name: str
    argv: tuple[str, ...]
    rank: int
    """Lower ranks start first and stop last."""
    answers: Callable[[], bool]
    """Whether the process does its work by now; must return within seconds."""


class Child:
    """A running process of a role."""

    def __init__(self, role: Role, *, environment: Mapping[str, str], log_dir: Path) -> None:
        self.role = role
        self.log = log_dir / f"{role.name}.log"
        _set_aside_if_large(self.log)
        with self.log.open("ab") as output:
            try:
                self._process = subprocess.Popen(
                    role.argv,
                    env=dict(environment),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            except OSError as error:
                raise ConfigurationError(
                    f"{role.name}: cannot start {role.argv[0]}: {error.strerror}; "
                    "install medqueue again"
                ) from error
        self.started = time.monotonic()

    @property
    def pid(self) -> int:
        """The process id, which is the id of its group too."""
        return self._process.pid

    @property
    def ended(self) -> bool:
        """Whether the leader of the group has ended."""
        return self._process.poll() is not None

    def wait(self) -> str:
        """Block until the leader ends, end the rest of its group, and say how it ended."""
        code = self._process.wait()
        self.kill()
        return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"

    def terminate(self) -> None:
        """Ask the leader to drain and end; it looks after its own children."""
        if not self.ended:
            self._process.terminate()

    def kill(self) -> None:
        """End the whole group now."""
        # macOS answers 'not permitted' for a group that has ended but was not yet waited for.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)


def _set_aside_if_large(log: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        if log.stat().st_size > _MAX_LOG_BYTES:
            log.replace(log.with_suffix(".log.1"))
