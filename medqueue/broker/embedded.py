"""Where the embedded Valkey server listens; `operate.valkey` starts it, everyone else connects."""

import hashlib
import os
import tempfile
from pathlib import Path

from medqueue.settings import Settings

_MAX_BYTES = 100
"""A socket's path may have 107 bytes on Linux and 103 on macOS; a longer one cannot be bound."""


def socket_path(settings: Settings) -> Path:
    """Return the unix socket of the embedded server that belongs to this data folder.

    It lies in the data folder, or, where that path is too long for a socket, in a folder of the
    system's temporary folder that is named by the user and the data folder.
    """
    path = settings.run_dir / "valkey.sock"
    if len(os.fsencode(path)) <= _MAX_BYTES:
        return path
    digest = hashlib.sha256(os.fsencode(settings.data_dir)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"medqueue-{os.getuid()}-{digest}" / path.name
