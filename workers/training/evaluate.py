"""How good a network is on labelled images or texts: the figures that a model card states."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from torchmetrics.functional import classification as metrics

from medqueue.errors import ConfigurationError
from schemas.document import Document
from schemas.manifest import ImagePreparation, Label, Temperatures
from workers.models.attention import pad
from workers.models.calibration import calibrated_probabilities
from workers.models.tokenizer import Tokenizer
from workers.preprocess.pixels import fit, normalise
from workers.preprocess.tabular import with_rows
from workers.training.reliability import BINS

BATCH = 128
_SILENCE = -30.0
"""Logit of every label of a text that says nothing of its study: certainly not stated."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What was measured on `n` inputs."""

    n: int
    metrics: dict[str, float]
    """Of one label; or over several, with means over the labels as `macro_...` beside."""
    confusion: dict[str, int]
    """Counts of true and false positives and negatives at the threshold."""
    labels: dict[str, dict[str, float]] = field(default_factory=dict)
    """The figures of each label, and in how many inputs it is `present`; none for one label."""


def logits_of_images(
    network: nn.Module,
    pixels: NDArray[np.uint8],
    preparation: ImagePreparation,
    features: NDArray[np.float32] | None = None,
) -> Tensor:
    """Run the network over 8-bit images (n, rows, columns) and return logits (n, labels).

    Images of another size are cropped and resized, as in the queue; prepared rows of a table
    (n, features) are put behind them.
    """
    if pixels.shape[1:] != preparation.size:
        pixels = np.stack([fit(image, preparation) for image in pixels])
    images = normalise(pixels, preparation)
    if features is not None:
        images = with_rows(images, features)
    device = _device_of(network)
    network.eval()
    with torch.inference_mode():
        passes = [
            network(torch.from_numpy(images[at : at + BATCH]).to(device)).cpu()
            for at in range(0, len(images), BATCH)
        ]
    return torch.cat(passes)


def logits_of_texts(
    network: nn.Module,
    documents: Sequence[Document],
    tokenizer: Tokenizer,
    *,
    max_tokens: int,
    labels: int,
) -> Tensor:
    """Run the network over documents and return logits (n, labels).

    Of a text in several pieces the highest counts, as in the queue.
    """
    sequences = [
        (at, piece.numbers)
        for at, document in enumerate(documents)
        for piece in tokenizer.pieces(document, max_tokens)
    ]
    sequences.sort(key=lambda pair: len(pair[1]))  # texts of like length need little padding
    logits = torch.full((len(documents), labels), _SILENCE)
    device = _device_of(network)
    network.eval()
    with torch.inference_mode():
        for start in range(0, len(sequences), BATCH):
            owners, numbers = zip(*sequences[start : start + BATCH], strict=True)
            rows = torch.tensor(owners).unsqueeze(1).expand(-1, labels)
            found = network(pad(numbers).to(device)).cpu()
            logits = logits.scatter_reduce(0, rows, found, "amax")
    return logits


def _device_of(network: nn.Module) -> torch.device:
    # A network of ONNX Runtime has no parameters to be seen here, and computes on the CPU.
    first = next(network.parameters(), None)
    return torch.device("cpu") if first is None else first.device


def evaluate_logits(
    logits: Tensor, targets: NDArray[np.bool_], labels: Sequence[Label], temperatures: Temperatures
) -> Evaluation:
    """Compare logits (n, labels) with targets (n, labels)."""
    if logits.shape != targets.shape:
        raise ConfigurationError(
            f"the model has {logits.shape[1]} labels; the data have {targets.shape[1]}"
        )
    # Made in inference mode, where torchmetrics may not change them.
    probabilities = calibrated_probabilities(logits, temperatures).clone()
    wanted = torch.from_numpy(targets).long()
    if len(labels) == 1:
        return evaluate_probabilities(probabilities[:, 0], wanted[:, 0], labels[0].threshold)
    return _evaluate_labels(probabilities, wanted, labels)


def evaluate_probabilities(probabilities: Tensor, targets: Tensor, threshold: float) -> Evaluation:
    """Compare probabilities (n,) with targets (n,) of 0 and 1.

    A probability at the threshold counts as present, as it does in the queue.
    """
    if targets.all() or not targets.any():
        raise ConfigurationError("the data has one class only: nothing can be told apart in it")
    probabilities, targets = probabilities.contiguous(), targets.contiguous()
    present = (probabilities >= threshold).long()
    values = {
        "auroc": metrics.binary_auroc(probabilities, targets),
        "auprc": metrics.binary_average_precision(probabilities, targets),
        **_at_threshold(present, targets),
        "ece": metrics.binary_calibration_error(probabilities, targets, n_bins=BINS),
        "brier": functional.mse_loss(probabilities, targets.float()),
    }
    return Evaluation(
        n=len(targets),
        metrics={name: float(value) for name, value in values.items()},
        confusion=_confusion(present, targets),
    )


def _evaluate_labels(probabilities: Tensor, targets: Tensor, labels: Sequence[Label]) -> Evaluation:
    """Measure each label that is told apart in the data, and all labels together."""
    each: dict[str, dict[str, float]] = {}
    for at, label in enumerate(labels):
        column = targets[:, at]
        if column.any() and not column.all():
            one = evaluate_probabilities(probabilities[:, at], column, label.threshold)
            each[label.name] = {"present": int(column.sum()), **one.metrics}
    findings = [at for at, label in enumerate(labels) if not label.sums_up]
    measured = [each[labels[at].name] for at in findings if labels[at].name in each]
    if not measured:
        raise ConfigurationError("no label of the model is present in one text and not in another")
    thresholds = torch.tensor([labels[at].threshold for at in findings])
    scores, wanted = probabilities[:, findings], targets[:, findings].flatten()
    present = (scores >= thresholds).long().flatten()
    ece = metrics.binary_calibration_error(scores.flatten(), wanted, n_bins=BINS)
    brier = functional.mse_loss(scores.flatten(), wanted.float())
    ranked = {name: _mean(measured, name) for name in ("auroc", "auprc")}
    pooled = {name: float(value) for name, value in _at_threshold(present, wanted).items()}
    means = {f"macro_{name}": _mean(measured, name) for name in ("precision", "recall", "f1")}
    return Evaluation(
        n=len(targets),
        metrics={**ranked, **pooled, "ece": float(ece), "brier": float(brier), **means},
        confusion=_confusion(present, wanted),
        labels=each,
    )


def _mean(measured: Sequence[dict[str, float]], name: str) -> float:
    return sum(one[name] for one in measured) / len(measured)


def _at_threshold(present: Tensor, targets: Tensor) -> dict[str, Tensor]:
    return {
        "accuracy": metrics.binary_accuracy(present, targets),
        "precision": metrics.binary_precision(present, targets),
        "recall": metrics.binary_recall(present, targets),
        "specificity": metrics.binary_specificity(present, targets),
        "f1": metrics.binary_f1_score(present, targets),
        "mcc": metrics.binary_matthews_corrcoef(present, targets),
    }


def _confusion(present: Tensor, targets: Tensor) -> dict[str, int]:
    matrix = metrics.binary_confusion_matrix(present, targets)
    (true_negative, false_positive), (false_negative, true_positive) = matrix.tolist()
    return {
        "true_positive": true_positive,
        "false_positive": false_positive,
        "true_negative": true_negative,
        "false_negative": false_negative,
    }
