"""The models that a worker process holds in memory, each loaded once, on first use."""

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from schemas.manifest import Manifest

Model = TypeVar("Model")


class ModelHost(Generic[Model]):
    """Loads each model version once and keeps it. Threads may share one."""

    def __init__(self, load: Callable[[Manifest], Model]) -> None:
        self._load = load
        self._models: dict[tuple[str, str], Model] = {}
        self._lock = threading.Lock()

    def get(self, manifest: Manifest) -> Model:
        """Return the model, loading it if this process has not yet."""
        key = (manifest.name, manifest.version)
        if key in self._models:
            return self._models[key]  # without the lock: another one may be loading for seconds
        with self._lock:
            if key not in self._models:
                self._models[key] = self._load(manifest)
            return self._models[key]
