"""Artifacts: what one stage leaves for the next. Lost ones are made again, so no fsync."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from medqueue.errors import ArtifactLostError


class ArtifactStore:
    """A folder of safetensors files, named by the work that made them."""

    def __init__(self, root: Path) -> None:
        self._root = root
        root.mkdir(parents=True, exist_ok=True, mode=0o700)

    def put(self, work_id: str, tensors: dict[str, NDArray[np.float32]]) -> str:
        """Write tensors and return the name to pass on; the same work overwrites its own."""
        name = f"{work_id}.safetensors"
        partial = self._root / f"{work_id}.part"
        save_file(tensors, partial)
        partial.rename(self._root / name)
        return name

    def get(self, name: str) -> dict[str, NDArray[np.float32]]:
        """Read tensors.

        Raises:
            ArtifactLostError: the file is gone or broken; the stage before can make it again.
        """
        try:
            return load_file(self._root / name)
        except (OSError, SafetensorError) as error:
            raise ArtifactLostError(f"artifact {name} cannot be read; it is made again") from error

    def drop(self, name: str) -> None:
        """Remove an artifact that has been used."""
        (self._root / name).unlink(missing_ok=True)
