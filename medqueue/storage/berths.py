"""Berths: empty files whose names are on disk before an object comes that needs one.

A new file costs an object two waits for the disk, one for its bytes and one for its name. Names
are given here in advance, many with one wait, so that the object waits for its bytes alone. A
file without a record is nothing: the ledger says which of them hold an object.
"""

import fcntl
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

from medqueue.logs import get_logger
from schemas.identifiers import new_id

_logger = get_logger(__name__)

_BATCH = 64
"""Made at once. More, and a dead process leaves more behind; fewer, and each costs more."""

_LOW = 40
"""With fewer left, more are made: so many objects come while one batch is made."""

_FOLDER_HOLDS = 4096
"""Files of one folder, so that no folder grows slow."""

_LIST_SUFFIX = ".berths"

Recorded = Callable[[Sequence[str]], set[str]]
"""Tells which of some paths a record points to."""


class _Batch:
    """Berths of one list. The list is locked while this process lives, and names its litter."""

    def __init__(self, list_file: Path, paths: Sequence[str]) -> None:
        self._list_file = list_file
        self._lock = threading.Lock()
        self._open = len(paths)
        self._descriptor = os.open(list_file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        os.write(self._descriptor, "\n".join(paths).encode())
        os.fsync(self._descriptor)

    def settle_one(self) -> None:
        """One berth is kept or gone; with the last of them the list goes."""
        with self._lock:
            self._open -= 1
            if self._open == 0:
                self._list_file.unlink(missing_ok=True)
                os.close(self._descriptor)


class Berth:
    """One empty file with a durable name; then the place of one object, or nothing."""

    def __init__(self, root: str, path: str, batch: _Batch) -> None:
        self.path = path
        """Relative to the store."""
        # No Path: to make one costs as much as to open the file.
        self.file = f"{root}/{path}"
        self._batch = batch

    def settle(self, *, is_kept: bool) -> None:
        """Say what became of it, once."""
        if not is_kept:
            Path(self.file).unlink(missing_ok=True)
        self._batch.settle_one()


class Berths:
    """Keeps berths ready. Closed, it has none, and whoever asks makes a file of its own."""

    def __init__(self, root: Path, lists: Path) -> None:
        self._root = root
        self._lists = lists
        self._ready: deque[Berth] = deque()
        self._wanted = threading.Event()
        self._is_closing = False
        self._folder = ""
        self._folder_has = _FOLDER_HOLDS
        self._maker: threading.Thread | None = None

    def open(self) -> None:
        """Begin to keep berths ready."""
        if self._maker is None:
            self._is_closing = False
            self._wanted.set()
            self._maker = threading.Thread(target=self._make_all, name="berths", daemon=True)
            self._maker.start()

    def take(self) -> Berth | None:
        """Return a berth, or None if none is ready."""
        berth = self._pop()
        if len(self._ready) < _LOW:
            self._wanted.set()
        return berth

    def close(self) -> None:
        """Remove the berths that nobody has taken."""
        if self._maker is None:
            return
        self._is_closing = True
        self._wanted.set()
        self._maker.join()
        self._maker = None
        while (berth := self._pop()) is not None:
            berth.settle(is_kept=False)

    def _pop(self) -> Berth | None:
        try:
            return self._ready.popleft()
        except IndexError:
            return None

    def _make_all(self) -> None:
        while True:
            self._wanted.wait()
            self._wanted.clear()
            if self._is_closing:
                return
            try:
                while len(self._ready) < _LOW:
                    self._make_batch()
            except OSError as error:
                # Objects that find no berth hear from their own file what is wrong.
                _logger.warning("no-berths", error=type(error).__name__)

    def _make_batch(self) -> None:
        if self._folder_has >= _FOLDER_HOLDS:
            self._folder, self._folder_has = new_id()[:10], 0
        folder = self._root / self._folder
        paths = [f"{self._folder}/{new_id()}.dcm" for _ in range(_BATCH)]
        # The list first: what it names and is not there costs nothing, litter unnamed stays.
        batch = _Batch(self._lists / f"{new_id()}{_LIST_SUFFIX}", paths)
        if not folder.is_dir():
            folder.mkdir(exist_ok=True, mode=0o700)
            sync_folder(self._root)
        root = str(self._root)
        berths = [Berth(root, path, batch) for path in paths]
        for berth in berths:
            os.close(os.open(berth.file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        sync_folder(folder)
        self._folder_has += _BATCH
        self._ready.extend(berths)


def clear_lists(root: Path, lists: Path, recorded: Recorded, *, age_seconds: float) -> int:
    """Remove the berths of dead processes that hold no object; return how many there were."""
    before = time.time() - age_seconds
    removed = 0
    for list_file in lists.glob(f"*{_LIST_SUFFIX}"):
        descriptor = os.open(list_file, os.O_RDONLY)
        try:
            if list_file.stat().st_mtime > before:
                continue
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            paths = list_file.read_text().splitlines()
            for path in set(paths) - recorded(paths):
                removed += (root / path).exists()
                (root / path).unlink(missing_ok=True)
            list_file.unlink(missing_ok=True)
        except BlockingIOError:
            continue  # its process lives
        finally:
            os.close(descriptor)
    return removed


def sync_folder(folder: Path) -> None:
    """Return when the names in a folder would survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
