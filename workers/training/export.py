"""Converting a torch package to ONNX or int8: as good as the original, or refused."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from medqueue.errors import PackageError
from medqueue.storage import packages
from schemas.manifest import CheckSet, Engine, Manifest, Saliency
from workers.models.calibration import calibrated_probabilities
from workers.models.check_set import ImageChecks, parse_image_checks
from workers.models.network import build_network
from workers.models.onnx_network import OnnxNetwork
from workers.models.package import Package
from workers.training.conversion import to_int8, to_onnx
from workers.training.evaluate import BATCH
from workers.training.packaging import toml_of

ONNX, INT8 = "onnx", "int8"
"""Added to the version: a version never changes, and this is another model."""
WEIGHTS_NAME = "model.onnx"
CARD_NAME = "MODEL_CARD.md"
MAX_ACCURACY_DROP = 0.005
INT8_TOLERANCE = 0.05
"""Of a probability of the check set; 8 bits move it, and the decisions must stand."""
_MAX_CALIBRATION = 512


@dataclass(frozen=True, slots=True)
class Compared:
    """A converted network beside its original."""

    difference: float
    """The greatest of a probability on the check set."""
    changed: float
    """Share of the decisions on the check set that are others."""
    accuracies: tuple[float, float] | None = None
    """Of the original and of the converted one on labelled images, where there are any."""
    n: int = 0
    """Labelled images."""

    def fault(self, tolerance: float) -> str | None:
        """Return why the converted network is refused, with the figures."""
        if self.difference > tolerance:
            return (
                f"on the check set a probability differs by {self.difference:.4f}, and "
                f"{tolerance:g} is the most"
            )
        if self.changed > MAX_ACCURACY_DROP:
            return (
                f"on the check set {self.changed:.1%} of the decisions are others, and "
                f"{MAX_ACCURACY_DROP:.1%} is the most"
            )
        if self.accuracies is not None:
            before, after = self.accuracies
            if before - after > MAX_ACCURACY_DROP:
                return (
                    f"on {self.n} labelled images the accuracy falls from {before:.4f} to "
                    f"{after:.4f}, and {MAX_ACCURACY_DROP} is the most"
                )
        return None

    def __str__(self) -> str:
        told = (
            f"greatest difference of a probability on the check set {self.difference:.2g}, "
            f"{self.changed:.1%} of its decisions changed"
        )
        if self.accuracies is None:
            return f"{told}; no labelled images"
        before, after = self.accuracies
        return (
            f"{told}; accuracy on {self.n} labelled images {before:.4f} before, {after:.4f} after"
        )


def export(
    package: Package,
    folder: Path,
    *,
    int8: bool,
    labelled: tuple[NDArray[np.float32], NDArray[np.bool_]] | None,
) -> Compared:
    """Write the package as ONNX into a folder, if it is as good as the original.

    Scales of int8 come from every second labelled image, and accuracy from the others; without
    labelled images the scales are those of the check set.

    Args:
        package: A package of torch for images, with a check set.
        folder: Where the converted package goes.
        int8: Quantise weights and activations.
        labelled: Prepared images (n, 1, rows, columns) and targets (n, labels).

    Raises:
        PackageError: the package cannot be converted, or the converted one is worse.
    """
    manifest = package.manifest
    check = _convertible(manifest)
    checks = parse_image_checks(package.read(check))
    original = build_network(package)
    content, tolerance = to_onnx(original, checks.images.shape[1:]), check.tolerance
    if int8:
        usual = checks.images
        if labelled is not None:
            images, targets = labelled
            usual = images[::2][:_MAX_CALIBRATION]
            labelled = images[1::2], targets[1::2]
        content, tolerance = to_int8(content, usual), INT8_TOLERANCE
    converted = OnnxNetwork(content, manifest.name)
    compared = compare(manifest, original, converted, checks, labelled)
    fault = compared.fault(tolerance)
    if fault is not None:
        raise PackageError(f"{manifest.name}: the converted model is refused: {fault}")
    form = INT8 if int8 else ONNX
    _write(package, folder, content, form=form, compared=compared, tolerance=tolerance)
    return compared


def compare(
    manifest: Manifest,
    original: nn.Module,
    converted: nn.Module,
    checks: ImageChecks,
    labelled: tuple[NDArray[np.float32], NDArray[np.bool_]] | None,
) -> Compared:
    """Run both networks on the check set, and on labelled images if there are any.

    Args:
        manifest: Of the original.
        original: Its network.
        converted: The other.
        checks: What the original gave where it was made.
        labelled: Prepared images (n, 1, rows, columns) and targets (n, labels).
    """
    given = _probabilities(converted, checks.images, manifest)
    decisions = [_decided(one, manifest) for one in (given, checks.probabilities)]
    difference = float(np.abs(given - checks.probabilities).max())
    changed = float(np.mean(decisions[0] != decisions[1]))
    if labelled is None:
        return Compared(difference, changed)
    images, targets = labelled
    before, after = (
        float(np.mean(_decided(_probabilities(network, images, manifest), manifest) == targets))
        for network in (original, converted)
    )
    return Compared(difference, changed, (before, after), len(images))


def _probabilities(
    network: nn.Module, images: NDArray[np.float32], manifest: Manifest
) -> NDArray[np.float32]:
    with torch.inference_mode():
        logits = torch.cat(
            [
                network(torch.from_numpy(images[at : at + BATCH]))
                for at in range(0, len(images), BATCH)
            ]
        )
    return calibrated_probabilities(logits, manifest.temperatures).numpy()


def _decided(probabilities: NDArray[np.float32], manifest: Manifest) -> NDArray[np.bool_]:
    thresholds = np.array([label.threshold for label in manifest.labels], dtype=np.float32)
    return np.asarray(probabilities >= thresholds)


def _convertible(manifest: Manifest) -> CheckSet:
    if manifest.engine is not Engine.TORCH or manifest.preparation is None:
        raise PackageError(f"{manifest.name}: only image models of torch are converted")
    if manifest.check is None:
        raise PackageError(f"{manifest.name}: has no check set to compare a converted model with")
    return manifest.check


def _write(
    package: Package,
    folder: Path,
    content: bytes,
    *,
    form: str,
    compared: Compared,
    tolerance: float,
) -> None:
    """Write the converted package; the manifest comes last, as in `packaging`."""
    manifest = package.manifest
    if manifest.check is None:
        raise AssertionError("it was compared on its check set")
    changes: dict[str, Any] = {
        "version": f"{manifest.version}{'.' if '+' in manifest.version else '+'}{form}",
        "engine": Engine.ONNX,
        "weights": WEIGHTS_NAME,
        "sha256": hashlib.sha256(content).hexdigest(),
        "check": manifest.check.model_copy(update={"tolerance": tolerance}),
        "saliency": Saliency.OFF,
        "gate": None,
    }
    if form == INT8:  # these were measured on other probabilities
        changes |= {"calibration": None, "conformal": None}
    converted = Manifest.model_validate(manifest.model_dump() | changes)
    card = packages.read_bounded(package.folder / CARD_NAME, packages.MAX_FILE_BYTES)
    note = f"\n## Converted\n\nTo {form} from version {manifest.version}: {compared}.\n"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / WEIGHTS_NAME).write_bytes(content)
    (folder / manifest.check.file).write_bytes(package.read(manifest.check))
    (folder / CARD_NAME).write_bytes(card + note.encode())
    text = toml_of(converted.model_dump(mode="json", exclude_none=True))
    (folder / packages.MANIFEST_NAME).write_text(text, encoding="utf-8")
