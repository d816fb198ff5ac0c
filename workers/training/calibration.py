"""Fitting the temperatures that make a network's probabilities mean what they say."""

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from schemas.manifest import Temperatures
from schemas.validation import Calibration
from workers.models.calibration import calibrated_probabilities, tempered
from workers.training.reliability import error_by_chance, reliability

LOWEST, HIGHEST = 0.05, 20.0
"""A temperature at either end means that the network has not learnt: sure and wrong, or blind."""
_DOUBT = 0.1
"""Of one case with either answer is added: a network without a mistake in a small validation split
would be certain for ever. More makes all less sure than they may be."""
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
    low, high = math.log(LOWEST), math.log(HIGHEST)
    for _ in range(_STEPS):
        left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
        if _loss(logits, targets, math.exp(left)) < _loss(logits, targets, math.exp(right)):
            high = right
        else:
            low = left
    return round(math.exp((low + high) / 2), 4)


def fit_temperatures(logits: Tensor, targets: Tensor) -> Temperatures:
    """Return one temperature for logits below zero and one for those above.

    A network that was trained with both classes weighed alike is more often right on one side than
    on the other. Platt's bias would mend that, and move the decision at 0.5 with it to the classes'
    shares in the validation data, which another hospital does not have; two temperatures mend it
    and move no decision. A side that no case is on is trusted least.
    """
    below, above = (
        fit_temperature(logits[side], _doubted(targets[side])) if side.any() else HIGHEST
        for side in (logits < 0, logits >= 0)
    )
    return below, above


def calibrate(
    logits: Tensor, targets: NDArray[np.bool_], seed: int
) -> tuple[Temperatures, Calibration]:
    """Fit one temperature or two, whichever does better on cases that it was not fitted on.

    The cases are parted into halves, each half is judged by what was fitted on the other, and the
    way with less cross-entropy is then fitted on all of them. The figures are those of the halves.

    Args:
        logits: (n, 1), of data that the network was not trained on.
        targets: (n, 1), True where the finding is.
        seed: Of the parting.
    """
    wanted = torch.from_numpy(targets)
    half = torch.from_numpy(halves(targets[:, 0], seed))
    judged = {
        fit: torch.where(
            half[:, None],
            tempered(logits, fit(logits[~half], wanted[~half])),
            tempered(logits, fit(logits[half], wanted[half])),
        )
        for fit in (_one_temperature, fit_temperatures)
    }
    best = min(judged, key=lambda fit: _loss(judged[fit], wanted, 1.0))
    before, after = (
        calibrated_probabilities(values, (1.0, 1.0))[:, 0].numpy()
        for values in (logits, judged[best])
    )
    return best(logits, wanted), Calibration(
        cases=len(targets),
        seed=seed,
        ece_before=round(reliability(before, targets[:, 0]).error, 4),
        ece=round(reliability(after, targets[:, 0]).error, 4),
        ece_by_chance=round(error_by_chance(after), 4),
    )


def halves(targets: NDArray[np.bool_], seed: int) -> NDArray[np.bool_]:
    """Part cases (n,) into two halves with as many present and absent; True is the first half."""
    chance = np.random.default_rng(seed)
    first = np.zeros(len(targets), dtype=np.bool_)
    for group in (np.flatnonzero(targets), np.flatnonzero(~targets)):
        first[chance.permutation(group)[: (len(group) + 1) // 2]] = True
    return first


def _doubted(targets: Tensor) -> Tensor:
    """Give either answer a little more weight than it had, as Platt 1999 does."""
    share = _DOUBT / (len(targets) + 2 * _DOUBT)
    return targets.double() * (1 - 2 * share) + share


def _one_temperature(logits: Tensor, targets: Tensor) -> Temperatures:
    temperature = fit_temperature(logits, _doubted(targets))
    return temperature, temperature


def _loss(logits: Tensor, targets: Tensor, temperature: float) -> float:
    scaled = logits.double() / temperature
    return float(functional.binary_cross_entropy_with_logits(scaled, targets.double()))
