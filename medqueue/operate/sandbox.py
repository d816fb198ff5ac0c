"""A sandbox: the real `medqueue up` on free loopback ports in a temporary folder."""

import select
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from medqueue.errors import UnavailableError
from medqueue.operate import data_folder, ports
from medqueue.operate.guard import Guard
from medqueue.operate.roles import console_script
from medqueue.operate.system import child_environment
from medqueue.settings import Settings

_STOP_SECONDS = 3.0
"""Nothing waits in a sandbox that would be worth a longer drain."""
_WHOLE_STOP_SECONDS = 30.0
"""The drain of all ranks, one after the other."""


@dataclass(slots=True)
class Sandbox:
    """A running system and where to reach it."""

    folder: Path
    settings: Settings
    pid: int
    keep_running: bool = False
    """Set to leave the system running when the block ends."""
    keep_folder: bool = False
    """Set to leave the folder, with its logs, when the block ends."""

    @property
    def url(self) -> str:
        """The URL of the HTTP door."""
        return ports.base_url(self.settings, self.settings.http_port)

    @property
    def flower_url(self) -> str:
        """The URL of Flower."""
        return ports.base_url(self.settings, self.settings.flower_port)

    @property
    def logs(self) -> Path:
        """The folder with the logs of all processes."""
        return data_folder.logs_folder(self.settings)


@contextmanager
def running_system(*, quiet_seconds: float, start_seconds: float) -> Iterator[Sandbox]:
    """Start the system and yield it when it is ready; stop it and remove its folder at the end.

    Raises:
        UnavailableError: it does not come up in time; its folder stays, for the logs.
    """
    folder = Path(tempfile.mkdtemp(prefix="medqueue-"))
    dimse, http, mllp, flower = ports.find_free(4)
    settings = Settings(
        data_dir=folder / "data",
        dimse_port=dimse,
        http_port=http,
        mllp_port=mllp,
        flower_port=flower,
        study_quiet_seconds=quiet_seconds,
        stop_seconds=_STOP_SECONDS,
    )
    guard = Guard(drain_seconds=_WHOLE_STOP_SECONDS)
    try:
        process = _start(settings, folder)
        sandbox = Sandbox(folder, settings, process.pid)
        guard.watch(process.pid)
        try:
            _await_ready(process, folder, start_seconds)
            yield sandbox
        finally:
            if not sandbox.keep_running:
                _stop(process)
            guard.forget(process.pid)
            if process.stdout is not None:
                process.stdout.close()
    except KeyboardInterrupt:
        # Nobody wants to read the logs of what was broken off on purpose.
        shutil.rmtree(folder)
        raise
    finally:
        guard.close()
    if not (sandbox.keep_running or sandbox.keep_folder):
        shutil.rmtree(folder)


def _start(settings: Settings, folder: Path) -> subprocess.Popen[bytes]:
    with (folder / "up.log").open("wb") as log:
        return subprocess.Popen(
            [str(console_script()), "up"],
            env=child_environment(settings),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            # Ctrl-C is for us: we tell the system when to stop.
            start_new_session=True,
        )


def _await_ready(process: subprocess.Popen[bytes], folder: Path, seconds: float) -> None:
    if process.stdout is None:
        raise AssertionError("the system was started with a pipe")
    deadline = time.monotonic() + seconds
    readable, _, _ = select.select([process.stdout], [], [], seconds)
    if readable and process.stdout.readline().startswith(b"ready "):
        return
    late = time.monotonic() >= deadline
    reason = f"was not ready after {seconds:.0f} s" if late else "ended before it was ready"
    raise UnavailableError(f"the system {reason}; see {folder / 'up.log'}, or run: medqueue doctor")


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(_WHOLE_STOP_SECONDS)
        return
    # Its own guard ends what it leaves behind.
    process.kill()
    process.wait()
