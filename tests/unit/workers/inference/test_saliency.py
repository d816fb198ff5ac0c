"""Saliency maps: where the network looks, and that they depend on what it has learnt."""

import copy

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from schemas.manifest import Saliency
from workers.inference.saliency import Explainer
from workers.models.registry import build

MAPPED = [Saliency.GRAD_CAM, Saliency.INTEGRATED_GRADIENTS]
ARCHITECTURES = [
    ("residual-cnn", {"width": 8, "blocks": 1, "mirror": False}),
    ("residual-cnn", {"width": 8, "blocks": 1, "mirror": True}),
    (
        "ensemble",
        {"member": "residual-cnn", "members": 2, "width": 8, "blocks": 1, "mirror": True},
    ),
]


def squares(count: int) -> tuple[Tensor, Tensor]:
    """Noise, and in every other image a bright square in its upper left quarter."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(count, 1, 28, 28, generator=generator) * 0.2
    present = torch.arange(count) % 2 == 0
    images[present, :, 4:12, 4:12] += 2
    return images, present.float().unsqueeze(1)


def trained(architecture: str, parameters: dict[str, int | float | str | bool]) -> nn.Module:
    torch.manual_seed(0)
    network = build(architecture, 1, parameters)
    optimiser = torch.optim.Adam(network.parameters(), lr=0.01)
    images, targets = squares(64)
    for _ in range(20):
        logits = network.train()(images)
        loss = nn.functional.binary_cross_entropy_with_logits(logits, targets.expand_as(logits))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return network.eval().requires_grad_(requires_grad=False)


def explained(network: nn.Module, method: Saliency, image: Tensor) -> NDArray[np.float32]:
    return Explainer(network, method, torch.zeros(1, 1, 28, 28), 0.0).explain(image, 0)


@pytest.mark.parametrize("method", MAPPED)
@pytest.mark.parametrize(("architecture", "parameters"), ARCHITECTURES)
def test_a_map_shows_where_the_finding_is(
    architecture: str, parameters: dict[str, int | float | str | bool], method: Saliency
) -> None:
    network = trained(architecture, parameters)
    image = squares(2)[0][:1]

    values = explained(network, method, image)

    assert values.shape == (28, 28)
    assert (values.min(), values.max()) == (pytest.approx(0, abs=0.3), pytest.approx(1))
    assert values[2:14, 2:14].mean() > 2 * values[14:, 14:].mean()


@pytest.mark.parametrize(
    ("method", "most"), [(Saliency.GRAD_CAM, 0.5), (Saliency.INTEGRATED_GRADIENTS, 0.8)]
)
def test_a_map_changes_when_the_weights_are_randomised(method: Saliency, most: float) -> None:
    """The sanity check of Adebayo et al. 2018: a map that does not shows edges, not the model.

    Integrated gradients are weighed with the image itself, so they keep some likeness to it.
    """
    network = trained(*ARCHITECTURES[1])
    image = squares(2)[0][:1]
    learnt = explained(network, method, image)

    correlations = []
    for seed in range(3):
        torch.manual_seed(seed)
        randomised = copy.deepcopy(network)
        for module in randomised.modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                module.reset_parameters()
        correlations.append(_correlation(learnt, explained(randomised, method, image)))

    assert np.mean(correlations) < most
    assert _correlation(learnt, explained(network, method, image)) == pytest.approx(1)


def _correlation(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    if other.std() == 0:  # nothing speaks for the label any more
        return 0.0
    return float(np.corrcoef(one.ravel(), other.ravel())[0, 1])


def test_a_network_that_was_explained_gives_the_same_logits_as_before() -> None:
    network = trained(*ARCHITECTURES[1])
    image = squares(2)[0][:1]
    before = network(image)

    explained(network, Saliency.GRAD_CAM, image)

    torch.testing.assert_close(network(image), before, rtol=0, atol=0)


def test_a_network_without_maps_is_explained_by_its_gradients() -> None:
    flat = nn.Sequential(nn.Flatten(), nn.Linear(28 * 28, 1)).eval()
    nn.init.zeros_(flat[1].weight[:, 28:])  # type: ignore[index,arg-type]
    explainer = Explainer(flat, Saliency.GRAD_CAM, torch.zeros(1, 1, 28, 28), 0.0)

    values = explainer.explain(torch.ones(1, 1, 28, 28), 0)

    assert explainer.method is Saliency.INTEGRATED_GRADIENTS
    assert values[0].max() == 1
    assert not values[1:].any()


def test_where_nothing_speaks_for_a_label_the_map_is_empty() -> None:
    network = build("residual-cnn", 1, {"width": 4, "blocks": 1, "mirror": False}).eval()
    nn.init.zeros_(network.head.weight)  # type: ignore[union-attr,arg-type]

    assert not explained(network, Saliency.GRAD_CAM, torch.ones(1, 1, 28, 28)).any()
