"""From logits to probabilities: the one place where training and queue turn one into the other."""

import torch
from torch import Tensor


def calibrated_probabilities(logits: Tensor, temperature: float) -> Tensor:
    """Divide logits by the temperature, then take the sigmoid of each label by itself.

    Temperature scaling (Guo et al. 2017, 'On Calibration of Modern Neural Networks') keeps the
    order of the inputs and the decision at 0.5. Labels are not exclusive, so there is no softmax.

    Args:
        logits: (n, labels), any float type.
        temperature: Above 0; above 1 makes the model less sure.

    Returns:
        (n, labels) float32, 0..1.
    """
    return torch.sigmoid(logits.float() / temperature)
