"""A loaded torch model, ready to read prepared images: calibrated probabilities, and distances."""

import threading
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from medqueue.errors import ModelError, PackageError
from schemas.manifest import Engine, ImagePreparation, Saliency
from workers.inference.reading import Explanation, Reading
from workers.models.calibration import calibrated_probabilities
from workers.models.features import FeatureTap
from workers.models.gate import Gate, parse_gate
from workers.models.network import build_network
from workers.models.package import Package

if TYPE_CHECKING:
    from workers.inference.saliency import Explainer


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
        self._network = build_network(package).to(self.device).requires_grad_(requires_grad=False)
        self._lock = threading.Lock()
        self._explainer = self._prepare_to_explain()
        self._gate: Gate | None = None
        if self.manifest.gate is not None:
            self._gate = parse_gate(package.read(self.manifest.gate)).to(self.device)
            self._tap = self._listen(self._gate)
        self._warm_up()

    def predict(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return calibrated probabilities (n, labels) for prepared images (n, 1, rows, columns)."""
        return self.read(batch).probabilities

    def read(self, batch: NDArray[np.float32]) -> Reading:
        """Read prepared images (n, 1, rows, columns), and measure how unusual each one is.

        More images than the manifest's `max_batch` are run in several passes.
        """
        taken = (self.manifest.planes, *self._preparation.size)
        if batch.shape[1:] != taken:
            raise ModelError(f"{self.manifest.name} takes {('n', *taken)}, not {batch.shape}")
        step = self.manifest.resources.max_batch
        passes = [self._forward(batch[at : at + step]) for at in range(0, len(batch), step)]
        empty = np.empty((0, len(self.manifest.labels)), dtype=np.float32)
        probabilities = np.concatenate([empty, *(one.probabilities for one in passes)])
        if self._gate is None:
            return Reading(probabilities)
        nothing = np.empty(0, dtype=np.float32)
        measured = [one.distances for one in passes if one.distances is not None]
        return Reading(probabilities, np.concatenate([nothing, *measured]))

    def _forward(self, batch: NDArray[np.float32]) -> Reading:
        # One pass at a time: two would fight over the same cores, and both be late.
        with self._lock:
            return self._run(batch)

    def _run(self, batch: NDArray[np.float32]) -> Reading:
        images = torch.from_numpy(np.ascontiguousarray(batch, dtype=np.float32))
        try:
            with (
                torch.inference_mode(),
                torch.backends.cudnn.flags(deterministic=True, allow_tf32=False),
            ):
                logits = self._network(images.to(self.device))
                distances = self._gate.distances(self._tap.take()) if self._gate else None
        except RuntimeError as error:
            if self._gate is not None:
                self._tap.forget()
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
        return Reading(
            np.asarray(probabilities.cpu().numpy(), dtype=np.float32),
            None if distances is None else distances.cpu().numpy(),
        )

    def explain(self, image: NDArray[np.float32], label: int) -> Explanation | None:
        """Tell how much each place of a prepared image (1, rows, columns) speaks for a label."""
        if self._explainer is None:
            return None
        given = torch.from_numpy(np.ascontiguousarray(image[np.newaxis], dtype=np.float32))
        with self._lock:
            try:
                values = self._explainer.explain(given.to(self.device), label)
            finally:
                if self._gate is not None:
                    self._tap.forget()
        return Explanation(self._explainer.method, values)

    def _prepare_to_explain(self) -> "Explainer | None":
        # What another engine runs has neither layers to look into nor gradients.
        if self.manifest.saliency is Saliency.OFF or self.manifest.engine is not Engine.TORCH:
            return None
        from workers.inference.saliency import Explainer  # captum takes half a second to load

        black = -self._preparation.mean / self._preparation.std
        return Explainer(self._network, self.manifest.saliency, self._blank(), black)

    def _listen(self, gate: Gate) -> FeatureTap:
        try:
            return FeatureTap(self._network, gate.layers)
        except AttributeError as error:
            raise PackageError(
                f"{self.manifest.name}: its gate is of another architecture: {error}"
            ) from error

    def _blank(self) -> torch.Tensor:
        return torch.zeros((1, self.manifest.planes, *self._preparation.size), device=self.device)

    def _warm_up(self) -> None:
        """Run once on a blank image, so that the first patient does not wait for lazy set-up."""
        blank = self._blank().cpu().numpy()
        self._forward(blank)
        self.explain(blank[0], 0)
