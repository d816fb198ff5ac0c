"""From logits to probabilities: the one place where training and queue turn one into the other."""

import torch
from torch import Tensor

from schemas.manifest import Temperatures


def calibrated_probabilities(logits: Tensor, temperatures: Temperatures) -> Tensor:
    """Divide logits by their temperature, then take the sigmoid of each label by itself.

    Labels are not exclusive, so there is no softmax.

    Args:
        logits: (n, labels), any float type.
        temperatures: Of the manifest; see `tempered`.

    Returns:
        (n, labels) float32, 0..1.
    """
    return torch.sigmoid(tempered(logits.float(), temperatures))


def tempered(logits: Tensor, temperatures: Temperatures) -> Tensor:
    """Divide logits below zero by the first temperature, the others by the second.

    Temperature scaling (Guo et al. 2017, 'On Calibration of Modern Neural Networks') keeps the
    order of the inputs and the decision at 0.5, and so it does with one for either side; above 1
    makes the model less sure.
    """
    below, above = temperatures
    return torch.where(logits < 0, logits / below, logits / above)
