"""Fitting the gate: levels from one half of the validation split, and real images told apart."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from schemas.manifest import ImagePreparation
from workers.models.gate import parse_gate
from workers.models.registry import build
from workers.training.gate import distances_of, fit_gate, level_of

PREPARATION = ImagePreparation(size=(28, 28), mean=0.5, std=0.25)


def network() -> nn.Module:
    torch.manual_seed(0)
    return build("residual-cnn", 1, {"width": 4, "blocks": 1, "mirror": True}).eval()


def blobs(count: int, seed: int) -> NDArray[np.uint8]:
    """Bright discs on dark ground, each at a place of its own."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:28, :28]
    centres = random.uniform(10, 18, (count, 2, 1, 1))
    return np.where(
        np.hypot(y - centres[:, 0], x - centres[:, 1]) < 6, 200, random.integers(20, 40)
    ).astype(np.uint8)


def test_real_images_pass_and_foreign_ones_are_beyond_the_levels() -> None:
    made = network()
    fitted = fit_gate(made, blobs(200, 0), blobs(100, 1), PREPARATION, seed=0)
    assert fitted is not None
    gate = parse_gate(fitted.content)
    noise = np.random.default_rng(2).integers(0, 256, (20, 28, 28)).astype(np.uint8)

    assert (distances_of(made, gate, noise, PREPARATION) > fitted.refuse_beyond).all()
    assert np.mean(distances_of(made, gate, blobs(100, 3), PREPARATION) > fitted.mark_beyond) < 0.1
    assert (fitted.cases, fitted.mark_beyond < fitted.refuse_beyond) == (50, True)
    assert fitted.passed >= 0.9


def test_the_same_seed_gives_the_same_gate() -> None:
    fitted = [
        fit_gate(network(), blobs(50, 0), blobs(20, 1), PREPARATION, seed=seed)
        for seed in (1, 1, 2)
    ]

    assert fitted[0] == fitted[1] != fitted[2]


def test_images_of_another_size_are_brought_to_the_model_s() -> None:
    larger = np.kron(blobs(20, 0), np.ones((2, 2), dtype=np.uint8))

    assert fit_gate(network(), larger, larger, PREPARATION, seed=0) is not None


def test_a_network_without_layers_of_maps_has_no_gate() -> None:
    flat = nn.Sequential(nn.Flatten(), nn.Linear(28 * 28, 1))

    assert fit_gate(flat, blobs(5, 0), blobs(5, 1), PREPARATION, seed=0) is None


@pytest.mark.parametrize(("count", "rank"), [(10, 10), (99, 99), (199, 198), (1000, 991)])
def test_the_level_is_the_order_statistic_that_a_further_image_is_within(
    count: int, rank: int
) -> None:
    distances = np.random.default_rng(0).permutation(np.arange(1, count + 1)).astype(np.float32)

    assert level_of(distances) == rank
