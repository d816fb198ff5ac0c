"""The instance store: DICOM objects as files, durable before a door says 'success'."""

import hashlib
import io
import os
import shutil
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from medqueue.errors import OutOfResourcesError
from schemas.identifiers import new_id
from schemas.study import StoredInstance

_FANOUT = 2
"""Hexadecimal digits that name a sub-folder: at most 256 entries beside each other."""

_INCOMING = "incoming"
"""Sub-folder of objects in transfer: what a dead process leaves there is found quickly."""

_ABANDONED_SECONDS = 24 * 3600
"""Nobody writes so long at one object."""

_CHECK_SPACE_EVERY = 64 * 1024 * 1024
"""Bytes of one object between two looks at the free space."""


class InstanceStore:
    """A folder of Part 10 files under names of our own; a UID never becomes a path."""

    def __init__(self, root: Path, *, min_free_mib: int) -> None:
        self.root = root
        self._min_free = min_free_mib * 1024 * 1024
        (root / _INCOMING).mkdir(parents=True, exist_ok=True, mode=0o700)

    def require_space(self) -> None:
        """Refuse before anything is accepted.

        Raises:
            OutOfResourcesError: less is free than the reserve.
        """
        free = shutil.disk_usage(self.root).free
        if free < self._min_free:
            raise OutOfResourcesError(
                f"disk almost full: {free >> 20} MiB free, {self._min_free >> 20} MiB are kept in "
                "reserve; free some, or lower MEDQUEUE_MIN_FREE_MIB"
            )

    def receive(self, header: bytes) -> "IncomingInstance":
        """Begin an object.

        Args:
            header: preamble, prefix and File Meta Information (PS3.10 section 7.1).

        Raises:
            OutOfResourcesError: the disk is full, or refused.
        """
        self.require_space()
        return IncomingInstance(self, header)

    def make_folder(self, name: str) -> Path:
        """Return a sub-folder, made and durable."""
        folder = self.root / name
        if not folder.is_dir():
            folder.mkdir(exist_ok=True, mode=0o700)
            _sync_folder(self.root)
        return folder

    def path_of(self, stored_path: str) -> Path:
        """Return where an instance lies."""
        return self.root / stored_path

    def drop(self, stored: StoredInstance) -> None:
        """Remove a copy that no record points to."""
        self.path_of(stored.path).unlink(missing_ok=True)

    def clear_abandoned(self) -> int:
        """Remove what processes have left that died during a transfer; return how much it was."""
        before = time.time() - _ABANDONED_SECONDS
        abandoned = [
            partial
            for partial in (self.root / _INCOMING).iterdir()
            if partial.stat().st_mtime < before
        ]
        for partial in abandoned:
            partial.unlink(missing_ok=True)
        return len(abandoned)


class IncomingInstance:
    """An object in transfer. As a context manager it leaves nothing behind unless it is kept."""

    def __init__(self, store: InstanceStore, header: bytes) -> None:
        self._store = store
        self._name = new_id()
        self._partial = store.root / _INCOMING / f"{self._name}.part"
        self._begin = len(header)
        self._digest = hashlib.sha256()
        self._failure: OutOfResourcesError | None = None
        self.size = 0
        """Bytes of the data set so far."""
        try:
            # Unbuffered: pieces are large already, and come from the buffer of a socket.
            self._file = self._partial.open("x+b", buffering=0)
        except OSError as error:
            raise _cannot_write(error) from error
        self._write(header)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()
        self._partial.unlink(missing_ok=True)

    def write(self, piece: bytes | memoryview) -> None:
        """Add to the data set.

        When the disk refuses, that is kept for `keep` to raise, and the rest is thrown away: a
        sender must be heard to its end before it can be answered.
        """
        before = self.size
        self.size += len(piece)
        self._digest.update(piece)
        if self._failure is None:
            if before // _CHECK_SPACE_EVERY != self.size // _CHECK_SPACE_EVERY:
                self._check_space()
            self._write(piece)

    def read_again(self) -> io.BufferedReader:
        """Return a reader of the data set from its begin; good until the next call here."""
        self._file.seek(self._begin)
        return io.BufferedReader(io.FileIO(self._file.fileno(), closefd=False))

    def keep(self) -> StoredInstance:
        """Give the object its place, and return when it would survive a power cut.

        Raises:
            OutOfResourcesError: the disk has refused.
        """
        if self._failure is not None:
            raise self._failure
        # The tail of the name is random; its head is the time and would fill one folder.
        path = f"{self._name[-_FANOUT:]}/{self._name}.dcm"
        final = self._store.root / path
        try:
            folder = self._store.make_folder(self._name[-_FANOUT:])
            # Renamed first: both are in one transaction of the file system's journal then, and
            # the data is on disk before anybody is told of the name.
            self._partial.rename(final)
            _sync_data(self._file.fileno())
            _sync_folder(folder)
        except OSError as error:
            final.unlink(missing_ok=True)
            raise _cannot_write(error) from error
        return StoredInstance(path=path, sha256=self._digest.hexdigest(), size=self.size)

    def _write(self, piece: bytes | memoryview) -> None:
        rest = memoryview(piece)
        try:
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            self._failure = _cannot_write(error)

    def _check_space(self) -> None:
        try:
            self._store.require_space()
        except OutOfResourcesError as error:
            self._failure = error


def _cannot_write(error: OSError) -> OutOfResourcesError:
    reason = error.strerror or type(error).__name__
    return OutOfResourcesError(f"the instance store cannot write: {reason}")


def _sync_data(descriptor: int) -> None:
    # fdatasync leaves out times, which nobody needs; macOS does not have it.
    getattr(os, "fdatasync", os.fsync)(descriptor)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
