"""The instance store: DICOM objects as files, durable before a door says 'success'."""

import hashlib
import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from medqueue.errors import OutOfResourcesError
from schemas.identifiers import new_id
from schemas.study import StoredInstance

_FANOUT = 2
"""Hexadecimal digits that name a sub-folder: at most 256 entries beside each other."""


class InstanceStore:
    """A folder of Part 10 files under names of our own; a UID never becomes a path."""

    def __init__(self, root: Path, *, min_free_mib: int) -> None:
        self.root = root
        self._min_free = min_free_mib * 1024 * 1024
        root.mkdir(parents=True, exist_ok=True, mode=0o700)

    def require_space(self) -> None:
        """Refuse before anything is accepted.

        Raises:
            OutOfResourcesError: less is free than the reserve.
        """
        free = shutil.disk_usage(self.root).free
        if free < self._min_free:
            raise OutOfResourcesError(
                f"the instance store has {free >> 20} MiB free and keeps "
                f"{self._min_free >> 20} MiB in reserve; free some disk, or lower "
                "MEDQUEUE_MIN_FREE_MIB"
            )

    def put(self, header: bytes, data_set: Iterable[bytes]) -> StoredInstance:
        """Write one object and return when it would survive a power cut.

        Args:
            header: preamble, prefix and File Meta Information (PS3.10 section 7.1).
            data_set: the encoded data set, in pieces; its digest identifies the content.

        Raises:
            OutOfResourcesError: the disk refused.
        """
        name = new_id()
        # The tail of the name is random; its head is the time and would fill one folder.
        folder = self.root / name[-_FANOUT:]
        path = folder / f"{name}.dcm"
        partial = folder / f"{name}.part"
        digest = hashlib.sha256()
        size = 0
        try:
            if not folder.exists():
                folder.mkdir(exist_ok=True, mode=0o700)
                _sync_folder(self.root)
            with partial.open("xb") as file:
                file.write(header)
                for piece in data_set:
                    digest.update(piece)
                    size += len(piece)
                    file.write(piece)
                file.flush()
                _sync_data(file.fileno())
            partial.rename(path)
            _sync_folder(folder)
        except OSError as error:
            partial.unlink(missing_ok=True)
            reason = error.strerror or type(error).__name__
            raise OutOfResourcesError(f"the instance store cannot write: {reason}") from error
        return StoredInstance(
            path=str(path.relative_to(self.root)), sha256=digest.hexdigest(), size=size
        )

    def path_of(self, stored_path: str) -> Path:
        """Return where an instance lies."""
        return self.root / stored_path

    def drop(self, stored: StoredInstance) -> None:
        """Remove a copy that no record points to."""
        self.path_of(stored.path).unlink(missing_ok=True)


def _sync_data(descriptor: int) -> None:
    # fdatasync leaves out times, which nobody needs; macOS does not have it.
    getattr(os, "fdatasync", os.fsync)(descriptor)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
