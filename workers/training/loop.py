"""The training loop: forward, loss, backward, step, and an average of the weights over time."""

import random
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from workers.training.batches import Batches
from workers.training.config import Optimisation


@dataclass(frozen=True, slots=True)
class Epoch:
    """What one pass over the training data came to."""

    number: int
    of: int
    loss: float


def seed_everything(seed: int) -> torch.Generator:
    """Seed every source of chance that torch and its layers use; return our own generator."""
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - libraries that torch calls draw from the old generator
    torch.manual_seed(seed)
    return torch.Generator().manual_seed(seed)


def train_network(
    build: Callable[[], nn.Module],
    batches: Batches,
    how: Optimisation,
    report: Callable[[Epoch], None],
) -> nn.Module:
    """Train a network and return the averaged one, in evaluation mode.

    Args:
        build: Makes the untrained network, once chance is seeded.
        batches: The training data.
        how: Of the optimisation.
        report: Is told of every epoch.
    """
    generator = seed_everything(how.seed)
    network = build()
    # Batch statistics are averaged like the weights: otherwise they would belong to other weights.
    averaging = get_ema_multi_avg_fn(how.ema_decay)  # type: ignore[no-untyped-call]
    average = AveragedModel(network, multi_avg_fn=averaging, use_buffers=True)
    optimiser = torch.optim.AdamW(_decay_groups(network, how.weight_decay), lr=how.learning_rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, max_lr=how.learning_rate, total_steps=batches.steps * how.epochs
    )
    weights = class_weights(batches.targets, how.balance)
    for number in range(1, how.epochs + 1):
        network.train()
        total = 0.0
        for inputs, targets in batches.epoch(generator):
            loss = smoothed_loss(network(inputs), targets, weights, how)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
            average.update_parameters(network)
            total += loss.item()
        report(Epoch(number, how.epochs, total / batches.steps))
    return average.module.eval()


def class_weights(targets: Tensor, balance: float) -> tuple[Tensor, Tensor]:
    """Return the weights (labels,) of absent and of present cases.

    At balance 1 both count alike for each label, and their mean is one; at 0 all weights are one.
    A label that all or none of the cases have keeps its weights at one.
    """
    present = targets.double().mean(dim=0)
    present = torch.where((present > 0) & (present < 1), present, 0.5)
    absent_weight, present_weight = (0.5 / (1 - present)) ** balance, (0.5 / present) ** balance
    return absent_weight.float(), present_weight.float()


def smoothed_loss(
    logits: Tensor, targets: Tensor, weights: tuple[Tensor, Tensor], how: Optimisation
) -> Tensor:
    """Binary cross-entropy against targets drawn towards one half (Szegedy et al. 2016).

    Logits are (n, labels), or (members, n, labels) of an ensemble in training.
    """
    smooth = targets * (1 - how.label_smoothing) + how.label_smoothing / 2
    weight = torch.where(targets > 0, weights[1], weights[0])
    return functional.binary_cross_entropy_with_logits(
        logits, smooth.expand_as(logits), weight=weight
    )


def _decay_groups(network: nn.Module, weight_decay: float) -> list[dict[str, object]]:
    """Decay weights of convolutions and layers only: biases and norms do not overfit by size."""
    matrices = [value for value in network.parameters() if value.ndim > 1]
    vectors = [value for value in network.parameters() if value.ndim <= 1]
    return [
        {"params": matrices, "weight_decay": weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
