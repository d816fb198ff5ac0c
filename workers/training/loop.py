"""The training loop: forward, loss, backward, step, and an average of the weights over time."""

import random
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from schemas.manifest import ImagePreparation
from workers.models.registry import build
from workers.training.augmentation import augment
from workers.training.config import Optimisation, TrainConfig
from workers.training.data import LabelledImages


@dataclass(frozen=True, slots=True)
class Epoch:
    """What one pass over the training images came to."""

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
    config: TrainConfig, images: LabelledImages, report: Callable[[Epoch], None]
) -> nn.Module:
    """Train a network on labelled images and return the averaged one, in evaluation mode."""
    how = config.optimisation
    generator = seed_everything(how.seed)
    network = build(config.package.architecture, 1, config.package.parameters)
    # Batch statistics are averaged like the weights: otherwise they would belong to other weights.
    averaging = get_ema_multi_avg_fn(how.ema_decay)  # type: ignore[no-untyped-call]
    average = AveragedModel(network, multi_avg_fn=averaging, use_buffers=True)
    optimiser = torch.optim.AdamW(_decay_groups(network, how.weight_decay), lr=how.learning_rate)
    steps = len(images.pixels) // how.batch_size
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, max_lr=how.learning_rate, total_steps=steps * how.epochs
    )
    pixels = torch.from_numpy(images.pixels).unsqueeze(1)
    targets = torch.from_numpy(images.targets).float().unsqueeze(1)
    weights = class_weights(images.targets)
    for number in range(1, how.epochs + 1):
        network.train()
        order = torch.randperm(len(pixels), generator=generator)
        total = 0.0
        for step in range(steps):
            chosen = order[step * how.batch_size : (step + 1) * how.batch_size]
            batch = augment(pixels[chosen].float() / 255, config.augmentation, generator)
            logits = network(_normalised(batch, config.package.preparation))
            loss = smoothed_loss(logits, targets[chosen], weights, how)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
            average.update_parameters(network)
            total += loss.item()
        report(Epoch(number, how.epochs, total / steps))
    return average.module.eval()


def class_weights(targets: NDArray[np.bool_]) -> tuple[float, float]:
    """Weights (absent, present) under which both classes count the same and the mean is one."""
    present = float(np.mean(targets))
    return 0.5 / (1 - present), 0.5 / present


def smoothed_loss(
    logits: Tensor, targets: Tensor, weights: tuple[float, float], how: Optimisation
) -> Tensor:
    """Binary cross-entropy against targets drawn towards one half (Szegedy et al. 2016)."""
    smooth = targets * (1 - how.label_smoothing) + how.label_smoothing / 2
    weight = torch.where(targets > 0, weights[1], weights[0])
    return functional.binary_cross_entropy_with_logits(logits, smooth, weight=weight)


def _decay_groups(network: nn.Module, weight_decay: float) -> list[dict[str, object]]:
    """Decay weights of convolutions and layers only: biases and norms do not overfit by size."""
    matrices = [value for value in network.parameters() if value.ndim > 1]
    vectors = [value for value in network.parameters() if value.ndim <= 1]
    return [
        {"params": matrices, "weight_decay": weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]


def _normalised(images: Tensor, preparation: ImagePreparation) -> Tensor:
    return (images - preparation.mean) / preparation.std
