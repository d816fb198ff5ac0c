"""The optimiser of a network, and the schedule of its learning rate."""

import math
from collections.abc import Callable
from typing import Any

from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR, ReduceLROnPlateau

from workers.training.optimisation import Optimisation


def build_optimiser(network: nn.Module, how: Optimisation) -> Optimizer:
    """Make the optimiser of all weights that are to be learnt."""
    groups, rate = _decay_groups(network, how.weight_decay), how.learning_rate
    if how.optimiser == "sgd":
        return SGD(groups, lr=rate, momentum=how.momentum, nesterov=how.nesterov)
    return (AdamW if how.optimiser == "adamw" else Adam)(groups, lr=rate)


class Schedule:
    """The learning rate over time. It is told of every step, and of every epoch's validation.

    Args:
        optimiser: Whose rate it sets.
        how: Which schedule.
        steps: Of the optimiser in an epoch.
    """

    def __init__(self, optimiser: Optimizer, how: Optimisation, steps: int) -> None:
        self._optimiser = optimiser
        self._schedule: LRScheduler
        if how.schedule == "one-cycle":
            self._schedule = OneCycleLR(
                optimiser, max_lr=how.learning_rate, total_steps=steps * how.epochs
            )
        elif how.schedule == "plateau":
            self._schedule = ReduceLROnPlateau(
                optimiser, factor=how.step_factor, patience=how.plateau_epochs
            )
        else:
            self._schedule = LambdaLR(optimiser, rate_factor(how, steps))

    @property
    def rate(self) -> float:
        """The learning rate of the next step."""
        return float(self._optimiser.param_groups[0]["lr"])

    def after_step(self) -> None:
        """Set the rate of the next step."""
        if not isinstance(self._schedule, ReduceLROnPlateau):
            self._schedule.step()

    def after_epoch(self, validation_loss: float) -> None:
        """Lower the rate if validation has not become better for long."""
        if isinstance(self._schedule, ReduceLROnPlateau):
            self._schedule.step(validation_loss)

    def state_dict(self) -> dict[str, Any]:
        """Return all that changes over time."""
        return self._schedule.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where another was."""
        self._schedule.load_state_dict(state)


def rate_factor(how: Optimisation, steps: int) -> Callable[[int], float]:
    """Return what the learning rate is multiplied by at a step, counted from zero."""
    total = steps * how.epochs
    rising = round(total * how.warm_up)

    def factor(step: int) -> float:
        if step < rising:
            return (step + 1) / (rising + 1)
        if how.schedule == "step":
            return how.step_factor ** (step // (steps * how.step_epochs))
        if how.schedule == "cosine":
            # As in Loshchilov and Hutter 2017, equation 5, without restarts.
            return (1 + math.cos(math.pi * (step - rising) / max(1, total - rising))) / 2
        return 1.0

    return factor


def _decay_groups(network: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Decay weights of convolutions and layers only: biases and norms do not overfit by size."""
    matrices = [value for value in network.parameters() if value.ndim > 1]
    vectors = [value for value in network.parameters() if value.ndim <= 1]
    return [
        {"params": matrices, "weight_decay": weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
