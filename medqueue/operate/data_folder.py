"""The data folder: private, and in the hands of one `medqueue up` at a time."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from medqueue.errors import ConfigurationError, UnavailableError
from medqueue.settings import Settings

_OPEN_TO_OTHERS = 0o077


def make(settings: Settings) -> None:
    """Make the data folder and its parts, readable by this user only.

    Raises:
        ConfigurationError: it cannot be made, or others can read what is in it.
    """
    try:
        for folder in (settings.data_dir, settings.run_dir, logs_folder(settings)):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise ConfigurationError(
            f"MEDQUEUE_DATA_DIR: cannot make {error.filename}: {error.strerror}; "
            "choose a folder that you may write to"
        ) from error
    trouble = fault(settings)
    if trouble is not None:
        raise ConfigurationError(trouble)


def logs_folder(settings: Settings) -> Path:
    """Return the folder with one log for each process."""
    return settings.data_dir / "logs"


def fault(settings: Settings) -> str | None:
    """Return what is wrong with the folder and how to mend it, or None."""
    folder = settings.data_dir
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        return f"MEDQUEUE_DATA_DIR: {folder} is not writable for you; chown it, or choose another"
    if folder.stat().st_mode & _OPEN_TO_OTHERS:
        return f"MEDQUEUE_DATA_DIR: others may look into {folder}; run: chmod 700 {folder}"
    return None


@contextmanager
def held(settings: Settings) -> Iterator[int]:
    """Hold the folder, and yield the descriptor on which the lock hangs.

    The lock ends with the last process that has the descriptor open, however that ends; a file
    with a process id would outlive it.

    Raises:
        UnavailableError: another `medqueue up` holds it.
    """
    descriptor = os.open(settings.run_dir / "up.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UnavailableError(
                f"another `medqueue up` runs on {settings.data_dir}, or is about to end; stop it, "
                "wait a moment, or set MEDQUEUE_DATA_DIR to another folder"
            ) from None
        yield descriptor
    finally:
        os.close(descriptor)


def is_held(settings: Settings) -> bool:
    """Tell whether a `medqueue up` runs on this folder."""
    try:
        with held(settings):
            return False
    except UnavailableError:
        return True
    except FileNotFoundError:
        return False
