"""A loaded torch model, ready to give calibrated probabilities for prepared images."""

import threading

import numpy as np
import torch
from numpy.typing import NDArray

from medqueue.errors import ModelError, PackageError
from schemas.manifest import ImagePreparation
from workers.models.calibration import calibrated_probabilities
from workers.models.network import build_network
from workers.models.package import Package


class Session:
    """One model on one device. Made once per worker process, used for every batch after.

    The same image gives the same probability to 1e-5 whatever else is in its batch: the network is
    in evaluation mode, in float32, without the shortened float formats of newer GPUs.
    Threads may share one.

    Attributes:
        manifest: The manifest of the package.
        device: Where it runs: a CUDA device if there is one, the CPU otherwise.
    """

    def __init__(self, package: Package) -> None:
        self.manifest = package.manifest
        preparation = self.manifest.preparation
        if preparation is None:
            raise PackageError(f"{self.manifest.name}: an image model needs [preparation]")
        self._preparation: ImagePreparation = preparation
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._network = build_network(package).to(self.device)
        self._lock = threading.Lock()
        self._warm_up()

    def predict(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return calibrated probabilities (n, labels) for prepared images (n, 1, rows, columns).

        More images than the manifest's `max_batch` are run in several passes.
        """
        taken = (self.manifest.planes, *self._preparation.size)
        if batch.shape[1:] != taken:
            raise ModelError(f"{self.manifest.name} takes {('n', *taken)}, not {batch.shape}")
        step = self.manifest.resources.max_batch
        passes = [self._forward(batch[at : at + step]) for at in range(0, len(batch), step)]
        empty = np.empty((0, len(self.manifest.labels)), dtype=np.float32)
        return np.concatenate([empty, *passes])

    def _forward(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        # One pass at a time: two would fight over the same cores, and both be late.
        with self._lock:
            return self._run(batch)

    def _run(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        images = torch.from_numpy(np.ascontiguousarray(batch, dtype=np.float32))
        try:
            with (
                torch.inference_mode(),
                torch.backends.cudnn.flags(deterministic=True, allow_tf32=False),
            ):
                logits = self._network(images.to(self.device))
        except RuntimeError as error:
            raise ModelError(
                f"{self.manifest.name} failed on a batch of {len(batch)}: {type(error).__name__}"
            ) from error
        if logits.shape != (len(batch), len(self.manifest.labels)):
            raise ModelError(
                f"{self.manifest.name} gave {tuple(logits.shape)} for {len(batch)} images "
                f"and {len(self.manifest.labels)} labels"
            )
        if not torch.isfinite(logits).all():
            raise ModelError(f"{self.manifest.name} gave a value that is not a finite number")
        probabilities = calibrated_probabilities(logits, self.manifest.temperatures)
        return np.asarray(probabilities.cpu().numpy(), dtype=np.float32)

    def _warm_up(self) -> None:
        """Run once on a blank image, so that the first patient does not wait for lazy set-up."""
        shape = (1, self.manifest.planes, *self._preparation.size)
        self._forward(np.zeros(shape, dtype=np.float32))
