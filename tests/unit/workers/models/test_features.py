"""Which layers of a network describe an image, and what is noted of them in a pass."""

import pytest
import torch
from torch import nn

from workers.models.features import MOST_LAYERS, FeatureTap, feature_layers
from workers.models.registry import build

IMAGE = torch.randn(1, 1, 28, 28, generator=torch.Generator().manual_seed(0))


def network(**parameters: float | bool) -> nn.Module:
    torch.manual_seed(0)
    return build("residual-cnn", 1, {"width": 4, "blocks": 1, "mirror": False} | parameters).eval()


def test_the_blocks_of_a_residual_network_describe_an_image() -> None:
    assert feature_layers(network(), IMAGE) == ("stages.0", "stages.1", "stages.2")


@pytest.mark.parametrize(
    ("architecture", "parameters"),
    [
        ("resnet", {}),
        ("densenet", {}),
        ("ensemble", {"member": "residual-cnn", "members": 3, "width": 4, "mirror": True}),
    ],
)
def test_networks_of_other_makes_have_such_layers_too(
    architecture: str, parameters: dict[str, int | float | str | bool]
) -> None:
    other = build(architecture, 1, parameters).eval()
    image = torch.zeros(1, 1, 64, 64)

    layers = feature_layers(other, image)

    assert 2 <= len(layers) <= MOST_LAYERS
    tap = FeatureTap(other, layers)
    other(image)
    assert all(features.shape[0] == 1 and features.ndim == 2 for features in tap.take().values())


def test_a_network_without_maps_has_none() -> None:
    flat = nn.Sequential(nn.Flatten(), nn.Linear(28 * 28, 1))

    assert feature_layers(flat, IMAGE) == ()


def test_features_of_a_mirrored_image_are_averaged_with_its_own() -> None:
    once, mirrored = network(), network(mirror=True)
    taps = [FeatureTap(each, ("stages.1",)) for each in (once, mirrored)]

    once(torch.cat([IMAGE, IMAGE.flip(-1)]))
    mirrored(IMAGE)

    both, mean = (tap.take()["stages.1"] for tap in taps)
    torch.testing.assert_close(mean[0], both.mean(dim=0))


def test_a_pass_that_failed_leaves_nothing_to_the_next() -> None:
    made = network()
    tap = FeatureTap(made, ("stages.0",))
    made(torch.cat([IMAGE, IMAGE]))

    tap.forget()
    made(IMAGE)

    assert tap.take()["stages.0"].shape == (1, 4)


def test_a_closed_tap_listens_no_more() -> None:
    made = network()
    tap = FeatureTap(made, ("stages.0",))

    tap.close()
    made(IMAGE)

    with pytest.raises(RuntimeError, match="non-empty"):
        tap.take()
