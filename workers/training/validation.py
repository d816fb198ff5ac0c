"""The few figures of a network on the val split that are looked at after every epoch."""

from collections.abc import Callable, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from torchmetrics.functional.classification import binary_auroc

FIGURES = ("loss", "auroc", "accuracy")

Measure = Callable[[nn.Module], Mapping[str, float]]
"""Measures a network in evaluation mode on the val split, and returns `FIGURES`."""


def figures_of(logits: Tensor, targets: NDArray[np.bool_]) -> dict[str, float]:
    """Compare logits (n, labels) with targets (n, labels), before any calibration.

    Returns:
        `loss`, the plain cross-entropy; `auroc`, its mean over the labels that are both present and
        absent, one half if there is none; `accuracy` of all decisions at 0.5.
    """
    logits, wanted = logits.detach().cpu().clone(), torch.from_numpy(targets)
    told_apart = [at for at in range(wanted.shape[1]) if 0 < wanted[:, at].sum() < len(wanted)]
    areas = [
        float(binary_auroc(logits[:, at].sigmoid(), wanted[:, at].long())) for at in told_apart
    ]
    return {
        "loss": float(functional.binary_cross_entropy_with_logits(logits, wanted.float())),
        "auroc": sum(areas) / len(areas) if areas else 0.5,
        "accuracy": float(((logits >= 0) == wanted).float().mean()),
    }
