"""Where in an image a network saw what it found, by captum: for people to doubt a result with.

A map says what moved the score, not that the network is right, nor where a disease ends.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from captum.attr import IntegratedGradients, LayerAttribution, LayerGradCam
from numpy.typing import NDArray
from torch import Tensor, nn

from schemas.manifest import Saliency
from workers.models.compound import Ensemble
from workers.models.features import map_layers

_STEPS = 32
"""Of the integral from a black image to this one; captum's default of 50 changes little here."""
_PASSES = 8
"""Images that go through the network at once on that way."""


class Explainer:
    """Explains one network.

    Attributes:
        method: Grad-CAM (Selvaraju et al. 2017) on the last maps of the network, or of each member
            of an ensemble; or integrated gradients (Sundararajan et al. 2017) from a black image,
            without their sign. A network without maps is explained by these, whatever was wanted.
    """

    def __init__(self, network: nn.Module, wanted: Saliency, image: Tensor, black: float) -> None:
        """Look for the layers to explain by.

        Args:
            network: in evaluation mode; its parameters need no gradients.
            wanted: the method of the manifest.
            image: any prepared one (1, channels, rows, columns).
            black: the value that black has in a prepared image.
        """
        self._network = network
        self._black = black
        members: Sequence[nn.Module] = (
            list(network.members) if isinstance(network, Ensemble) else [network]
        )
        self._layers = {member: map_layers(member, image)[-1:] for member in members}
        has_maps = all(self._layers.values())
        self.method = wanted if has_maps else Saliency.INTEGRATED_GRADIENTS

    def explain(self, image: Tensor, label: int) -> NDArray[np.float32]:
        """Return how much each place of a prepared image speaks for a label.

        Args:
            image: (1, channels, rows, columns).
            label: which logit.

        Returns:
            (rows, columns), 0..1; all 0 where nothing speaks for the label.
        """
        with torch.inference_mode(mode=False), torch.enable_grad():
            given = image.clone().requires_grad_()
            if self.method is Saliency.GRAD_CAM:
                values = self._grad_cam(given, label)
            else:
                values = _integrated(self._network, given, label, self._black)
        values = values.detach()[0, 0]  # beside a picture there may be planes of a table
        highest = values.max()
        shown = values / highest if highest > 0 else torch.zeros_like(values)
        return np.asarray(shown.cpu().numpy(), dtype=np.float32)

    def _grad_cam(self, image: Tensor, label: int) -> Tensor:
        with _unmirrored(self._network) as is_mirrored:
            maps = [_cam(*member, image, label) for member in self._layers.items()]
            if is_mirrored:  # the logit is the mean of both, and so is the map
                flipped = image.detach().flip(-1).requires_grad_()
                maps += [_cam(*member, flipped, label).flip(-1) for member in self._layers.items()]
        return torch.stack(maps).mean(dim=0)


def _integrated(network: nn.Module, image: Tensor, label: int, black: float) -> Tensor:
    method = IntegratedGradients(network)
    found: Tensor = method.attribute(
        image,
        baselines=torch.full_like(image, black),
        target=label,
        n_steps=_STEPS,
        internal_batch_size=_PASSES,
    )
    return found.abs()


def _cam(network: nn.Module, layers: tuple[str, ...], image: Tensor, label: int) -> Tensor:
    method = LayerGradCam(network, network.get_submodule(layers[-1]))
    found = method.attribute(image, target=label, relu_attributions=True)
    grown: Tensor = LayerAttribution.interpolate(found, image.shape[-2:], "bilinear")
    return grown.detach()


@contextmanager
def _unmirrored(network: nn.Module) -> Iterator[bool]:
    """Let a network look at an image without its mirror image: captum sees the last look only."""
    mirrored: list[Any] = [
        module for module in network.modules() if getattr(module, "mirror", False) is True
    ]
    for module in mirrored:
        module.mirror = False
    try:
        yield bool(mirrored)
    finally:
        for module in mirrored:
            module.mirror = True
