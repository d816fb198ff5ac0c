"""How good a network is on labelled images: the figures that a model card states."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torchmetrics.functional import classification as metrics

from medqueue.errors import ConfigurationError
from schemas.manifest import ImagePreparation
from workers.models.calibration import calibrated_probabilities
from workers.preprocess.pixels import fit, normalise
from workers.training.data import LabelledImages

BATCH = 128
CALIBRATION_BINS = 15
"""As in Guo et al. 2017."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What was measured on `n` images."""

    n: int
    metrics: dict[str, float]
    confusion: dict[str, int]
    """Counts of true and false positives and negatives at the threshold."""


def logits_of(
    network: nn.Module, pixels: NDArray[np.uint8], preparation: ImagePreparation
) -> Tensor:
    """Run the network over 8-bit images (n, rows, columns) and return logits (n, labels).

    Images of another size are cropped and resized, as in the queue.
    """
    if pixels.shape[1:] != preparation.size:
        pixels = np.stack([fit(image, preparation) for image in pixels])
    images = normalise(pixels, preparation)
    network.eval()
    with torch.inference_mode():
        passes = [
            network(torch.from_numpy(images[at : at + BATCH]))
            for at in range(0, len(images), BATCH)
        ]
    return torch.cat(passes)


def evaluate_network(
    network: nn.Module,
    images: LabelledImages,
    preparation: ImagePreparation,
    *,
    temperature: float,
    threshold: float,
) -> Evaluation:
    """Measure a network with one label on labelled images."""
    if images.targets.all() or not images.targets.any():
        raise ConfigurationError("the data has one class only: nothing can be told apart in it")
    logits = logits_of(network, images.pixels, preparation)
    if logits.shape[1] != 1:
        raise ConfigurationError(f"the model has {logits.shape[1]} labels; the data has one")
    probabilities = calibrated_probabilities(logits, temperature)[:, 0].clone()
    return evaluate_probabilities(probabilities, torch.from_numpy(images.targets).long(), threshold)


def evaluate_probabilities(probabilities: Tensor, targets: Tensor, threshold: float) -> Evaluation:
    """Compare probabilities (n,) with targets (n,) of 0 and 1.

    A probability at the threshold counts as present, as it does in the queue.
    """
    present = (probabilities >= threshold).long()
    matrix = metrics.binary_confusion_matrix(present, targets)
    (true_negative, false_positive), (false_negative, true_positive) = matrix.tolist()
    values = {
        "auroc": metrics.binary_auroc(probabilities, targets),
        "auprc": metrics.binary_average_precision(probabilities, targets),
        "accuracy": metrics.binary_accuracy(present, targets),
        "precision": metrics.binary_precision(present, targets),
        "recall": metrics.binary_recall(present, targets),
        "specificity": metrics.binary_specificity(present, targets),
        "f1": metrics.binary_f1_score(present, targets),
        "ece": metrics.binary_calibration_error(probabilities, targets, n_bins=CALIBRATION_BINS),
    }
    return Evaluation(
        n=len(targets),
        metrics={name: float(value) for name, value in values.items()},
        confusion={
            "true_positive": true_positive,
            "false_positive": false_positive,
            "true_negative": true_negative,
            "false_negative": false_negative,
        },
    )
