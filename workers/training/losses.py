"""What a network is told it did wrong: weighted cross-entropy, or focal loss."""

import torch
from torch import Tensor
from torch.nn import functional

from workers.training.optimisation import Optimisation

Weights = tuple[Tensor, Tensor]
"""(labels,) of absent and of present cases."""


def class_weights(targets: Tensor, balance: float) -> Weights:
    """Return the weights (labels,) of absent and of present cases.

    At balance 1 both count alike for each label, and their mean is one; at 0 all weights are one.
    A label that all or none of the cases have keeps its weights at one.
    """
    present = targets.double().mean(dim=0)
    present = torch.where((present > 0) & (present < 1), present, 0.5)
    absent_weight, present_weight = (0.5 / (1 - present)) ** balance, (0.5 / present) ** balance
    return absent_weight.float(), present_weight.float()


def loss_of(logits: Tensor, targets: Tensor, weights: Weights, how: Optimisation) -> Tensor:
    """Return the mean loss of a batch, to be learnt from.

    Targets are drawn towards one half by `label_smoothing` (Szegedy et al. 2016).

    Args:
        logits: (n, labels), or (members, n, labels) of an ensemble in training.
        targets: (n, labels), 0 or 1.
        weights: Of the classes.
        how: Which loss.
    """
    smooth = (targets * (1 - how.label_smoothing) + how.label_smoothing / 2).expand_as(logits)
    weight = torch.where(targets > 0, weights[1], weights[0])
    if how.loss == "focal":
        each = functional.binary_cross_entropy_with_logits(logits, smooth, weight, reduction="none")
        return (each * _difficulty(logits, targets) ** how.focal_gamma).mean()
    return functional.binary_cross_entropy_with_logits(logits, smooth, weight)


def _difficulty(logits: Tensor, targets: Tensor) -> Tensor:
    """Return 1 - p of the true class (Lin et al. 2017, equation 4)."""
    return torch.sigmoid(torch.where(targets > 0, -logits, logits))
