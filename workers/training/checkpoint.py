"""The checkpoint of a training: one safetensors file, replaced as a whole, that holds no code.

Tensors lie in the file as such; everything else is JSON in its header, where numbers keep every
digit. A process that dies while it writes leaves the checkpoint before.
"""

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save as save_safetensors
from torch import Tensor

from medqueue.errors import ConfigurationError

CHECKPOINT_NAME = "checkpoint.safetensors"


class Checkpoint:
    """Where one training is put down while it runs, and taken up after its process died.

    Args:
        folder: Of the training.
        owner: What the training is: its configuration, and all else that decides its numbers.
            A checkpoint of another one is refused.
        seconds: Between two checkpoints; 0 writes one after every step.
        clock: Seconds that never go back.
    """

    def __init__(
        self,
        folder: Path,
        owner: Mapping[str, Any],
        *,
        seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._path = folder / CHECKPOINT_NAME
        self._owner = json.loads(json.dumps(owner))
        self._seconds = seconds
        self._clock = clock
        self._last = clock()

    @property
    def is_due(self) -> bool:
        """Whether the last one is old enough for another."""
        return self._clock() - self._last >= self._seconds

    def save(self, state: Mapping[str, Any]) -> None:
        """Replace the checkpoint; on return it outlives a loss of power."""
        tensors: dict[str, Tensor] = {}
        content = {"owner": self._owner, "state": _packed(state, tensors, "")}
        written = save_safetensors(tensors, {"medqueue": json.dumps(content)})
        _replace(self._path, written)
        self._last = self._clock()

    def load(self) -> dict[str, Any] | None:
        """Return what was put down last, or None.

        Raises:
            ConfigurationError: it is of another training, or broken.
        """
        if not self._path.exists():
            return None
        try:
            # Copied, since the file that they are mapped from is replaced while they are in use.
            with safe_open(self._path, framework="pt") as file:
                content = json.loads(file.metadata()["medqueue"])
                tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118 - it is no mapping
        except (SafetensorError, OSError, TypeError, KeyError, ValueError) as error:
            raise ConfigurationError(
                f"{self._path}: is no checkpoint of medqueue; name another output folder"
            ) from error
        self._check_owner(content["owner"])
        state: dict[str, Any] = _unpacked(content["state"], tensors)
        return state

    def remove(self) -> None:
        """Take it away: the training has ended."""
        self._path.unlink(missing_ok=True)

    def _check_owner(self, found: Mapping[str, Any]) -> None:
        before, now = dict(_leaves(found)), dict(_leaves(self._owner))
        other = sorted(
            name for name in before.keys() | now.keys() if before.get(name) != now.get(name)
        )
        if other:
            raise ConfigurationError(
                f"{self._path}: was begun with other values of {', '.join(other)}; "
                "set them back to resume, or name another output folder"
            )


def _packed(value: Any, tensors: dict[str, Tensor], name: str) -> Any:
    """Return a value as JSON can hold it; its tensors are put beside under their path."""
    if isinstance(value, Tensor):
        # Copied, since safetensors refuses tensors that share memory.
        tensors[name] = value.detach().to("cpu", copy=True).contiguous()
        return {"tensor": name}
    if isinstance(value, Mapping):
        # As pairs, since an optimiser's keys are numbers.
        return {
            "items": [[key, _packed(part, tensors, f"{name}/{key}")] for key, part in value.items()]
        }
    if isinstance(value, list | tuple):
        return [_packed(part, tensors, f"{name}/{at}") for at, part in enumerate(value)]
    return value


def _unpacked(value: Any, tensors: Mapping[str, Tensor]) -> Any:
    if isinstance(value, dict):
        if "tensor" in value:
            return tensors[value["tensor"]]
        return {key: _unpacked(part, tensors) for key, part in value["items"]}
    if isinstance(value, list):
        return [_unpacked(part, tensors) for part in value]
    return value


def _leaves(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the dotted name and the value of everything that is no table."""
    if not isinstance(value, Mapping):
        yield name, value
        return
    for key, part in value.items():
        yield from _leaves(part, f"{name}.{key}" if name else key)


def _replace(path: Path, content: bytes) -> None:
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
