"""The instance store: DICOM objects as files, durable before a door says 'success'."""

import hashlib
import io
import os
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from medqueue.errors import OutOfResourcesError
from medqueue.storage.berths import Berths, Recorded, clear_lists, sync_folder
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

_REMEMBERED = 64 * 1024
"""A data set of up to so many bytes is read again from memory, which small objects feel."""


class InstanceStore:
    """A folder of Part 10 files under names of our own; a UID never becomes a path."""

    def __init__(self, root: Path, *, min_free_mib: int) -> None:
        self.root = root
        self._min_free = min_free_mib * 1024 * 1024
        (root / _INCOMING).mkdir(parents=True, exist_ok=True, mode=0o700)
        self.berths = Berths(root, root / _INCOMING)
        """Open for a process that takes in much; see there what that spares."""

    def require_space(self) -> None:
        """Refuse before anything is accepted.

        Raises:
            OutOfResourcesError: less is free than the reserve.
        """
        disk = os.statvfs(self.root)
        free = disk.f_bavail * disk.f_frsize
        if free < self._min_free:
            raise OutOfResourcesError(
                f"disk almost full: {free >> 20} MiB free, {self._min_free >> 20} MiB are kept in "
                "reserve; free some, or lower MEDQUEUE_MIN_FREE_MIB"
            )

    def receive(self, header: bytes) -> "IncomingInstance":
        """Begin an object, where `require_space` has just been content.

        Args:
            header: preamble, prefix and File Meta Information (PS3.10 section 7.1).

        Raises:
            OutOfResourcesError: the disk refused.
        """
        return IncomingInstance(self, header)

    def make_folder(self, name: str) -> Path:
        """Return a sub-folder, made and durable."""
        folder = self.root / name
        if not folder.is_dir():
            folder.mkdir(exist_ok=True, mode=0o700)
            sync_folder(self.root)
        return folder

    def path_of(self, stored_path: str) -> Path:
        """Return where an instance lies."""
        return self.root / stored_path

    def is_whole(self, stored_path: str, size: int) -> bool:
        """Tell whether an instance lies there with so many bytes of data set."""
        try:
            return self.path_of(stored_path).stat().st_size > size
        except OSError:
            return False

    def drop(self, stored: StoredInstance) -> None:
        """Remove a copy that no record points to."""
        self.path_of(stored.path).unlink(missing_ok=True)

    def clear_abandoned(self, recorded: Recorded) -> int:
        """Remove what processes have left that died during a transfer; return how much it was.

        Args:
            recorded: tells which paths hold an object after all.
        """
        incoming = self.root / _INCOMING
        before = time.time() - _ABANDONED_SECONDS
        abandoned = [
            partial for partial in incoming.glob("*.part") if partial.stat().st_mtime < before
        ]
        for partial in abandoned:
            partial.unlink(missing_ok=True)
        return len(abandoned) + clear_lists(
            self.root, incoming, recorded, age_seconds=_ABANDONED_SECONDS
        )


class IncomingInstance:
    """An object in transfer. As a context manager it leaves nothing behind unless it is kept."""

    def __init__(self, store: InstanceStore, header: bytes) -> None:
        self._store = store
        self._berth = store.berths.take()
        self._file = (
            f"{store.root}/{_INCOMING}/{new_id()}.part" if self._berth is None else self._berth.file
        )
        self._header = header
        self._remembered = bytearray()
        self._digest = hashlib.sha256()
        self._failure: OutOfResourcesError | None = None
        self._is_kept = False
        self.size = 0
        """Bytes of the data set so far."""
        try:
            # Descriptors instead of a file object: pieces are large already, and come from the
            # buffer of a socket. To append, wherever `read_again` has read last.
            flags = os.O_RDWR | os.O_APPEND | os.O_CLOEXEC
            if self._berth is None:
                flags |= os.O_CREAT | os.O_EXCL
            self._descriptor = os.open(self._file, flags, 0o600)
        except OSError as error:
            self._settle()
            raise _cannot_write(error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.close(self._descriptor)
        self._settle()

    def write(self, piece: bytes | memoryview) -> None:
        """Add to the data set.

        When the disk refuses, that is kept for `keep` to raise, and the rest is thrown away: a
        sender must be heard to its end before it can be answered.
        """
        before = self.size
        self.size += len(piece)
        self._digest.update(piece)
        if self.size <= _REMEMBERED:
            self._remembered += piece
        if self._failure is None:
            if before // _CHECK_SPACE_EVERY != self.size // _CHECK_SPACE_EVERY:
                self._check_space()
            self._write([piece] if before else [self._header, piece])

    def require_written(self) -> None:
        """Tell a disk that has refused from a sender that has sent too little.

        Raises:
            OutOfResourcesError: the disk has refused; not all is there.
        """
        if self._failure is not None:
            raise self._failure

    def read_again(self) -> io.BufferedIOBase:
        """Return a reader of the data set from its begin; good until the next call here."""
        if self.size <= _REMEMBERED:
            return io.BytesIO(self._remembered)
        os.lseek(self._descriptor, len(self._header), os.SEEK_SET)
        return io.BufferedReader(io.FileIO(self._descriptor, closefd=False))

    def keep(self) -> StoredInstance:
        """Give the object its place, and return when it would survive a power cut.

        Raises:
            OutOfResourcesError: the disk has refused.
        """
        if self.size == 0:
            self._write([self._header])
        self.require_written()
        try:
            path = self._give_name() if self._berth is None else self._berth.path
            _sync_data(self._descriptor)
            if self._berth is None:
                sync_folder(Path(self._file).parent)
        except OSError as error:
            raise _cannot_write(error) from error
        self._is_kept = True
        return StoredInstance(path=path, sha256=self._digest.hexdigest(), size=self.size)

    def _give_name(self) -> str:
        """Move to the final name; before the data is synced, though, and not after.

        Both are in one transaction of the file system's journal then, and the data is on disk
        before anybody is told of the name.
        """
        # The tail of the name is random; its head is the time and would fill one folder.
        partial = Path(self._file)
        name = partial.stem
        folder = self._store.make_folder(name[-_FANOUT:])
        self._file = str(partial.rename(folder / f"{name}.dcm"))
        return f"{folder.name}/{name}.dcm"

    def _settle(self) -> None:
        if self._berth is not None:
            self._berth.settle(is_kept=self._is_kept)
        elif not self._is_kept:
            Path(self._file).unlink(missing_ok=True)

    def _write(self, pieces: list[bytes | memoryview]) -> None:
        try:
            while pieces:
                written = os.writev(self._descriptor, pieces)
                while pieces and written >= len(pieces[0]):
                    written -= len(pieces.pop(0))
                if pieces:
                    pieces[0] = memoryview(pieces[0])[written:]
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
