"""Fitting the temperature that makes a network's probabilities mean what they say."""

import math

from torch import Tensor
from torch.nn import functional

LOWEST, HIGHEST = 0.05, 20.0
"""A temperature at either end means that the network has not learnt: sure and wrong, or blind."""
_GOLDEN = (math.sqrt(5) - 1) / 2
_STEPS = 60


def fit_temperature(logits: Tensor, targets: Tensor) -> float:
    """Return the temperature with the least cross-entropy, by golden-section search.

    One number is fitted, and the loss has a single minimum in it (Guo et al. 2017), so the search
    needs no gradient, no starting point and no step size, and always ends in the same place.

    Args:
        logits: (n,) or (n, labels), of data that the network was not trained on.
        targets: Of the same shape, 0 or 1.
    """
    precise, wanted = logits.double(), targets.double()

    def loss(log_temperature: float) -> float:
        scaled = precise / math.exp(log_temperature)
        return float(functional.binary_cross_entropy_with_logits(scaled, wanted))

    low, high = math.log(LOWEST), math.log(HIGHEST)
    for _ in range(_STEPS):
        left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
        if loss(left) < loss(right):
            high = right
        else:
            low = left
    return round(math.exp((low + high) / 2), 4)
