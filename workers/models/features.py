"""What the layers of a network make of an image, pooled over its area.

A foreign image is told by them; logits keep too little of it.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

MOST_LAYERS = 8
"""Evenly spread over the depth; more tell little more and cost more."""
_TOKENS_NDIM = 3


def feature_layers(network: nn.Module, image: Tensor) -> tuple[str, ...]:
    """Return the names of the layers whose pooled outputs describe an image.

    They are the outermost members of the network's sequences of layers, such as the blocks of a
    residual network or of a transformer, which give maps or tokens. One layer alone is not enough:
    the last one keeps what tells the classes apart, not what tells foreign images (Lee et al. 2018,
    section 2.2, combine layers for that).

    Args:
        network: in evaluation mode.
        image: one prepared image (1, 1, rows, columns), to see what each layer gives.
    """
    found = list(_outermost(network, image))
    count = min(MOST_LAYERS, len(found))
    return tuple(found[(at + 1) * len(found) // count - 1] for at in range(count))


def map_layers(network: nn.Module, image: Tensor) -> tuple[str, ...]:
    """Return the names of those layers, in the order of the network, that keep a map of places."""
    return tuple(
        name
        for name, shape in _outermost(network, image).items()
        if len(shape) > _TOKENS_NDIM and min(shape[2:]) > 1
    )


class FeatureTap:
    """Takes note of the pooled outputs of layers in every forward pass, until it is closed."""

    def __init__(self, network: nn.Module, layers: Sequence[str]) -> None:
        """Listen to the layers.

        Raises:
            AttributeError: the network has no such layer.
        """
        self._noted: dict[str, list[Tensor]] = {layer: [] for layer in layers}
        self._hooks = [
            network.get_submodule(layer).register_forward_hook(self._note(layer))
            for layer in layers
        ]

    def take(self) -> dict[str, Tensor]:
        """Return the features (n, channels) of each layer in the last pass, and forget them.

        Where a layer was run several times, as on the image and its mirror image, their mean.
        """
        taken = {layer: torch.stack(outputs).mean(dim=0) for layer, outputs in self._noted.items()}
        self.forget()
        return taken

    def forget(self) -> None:
        """Forget what was noted, as after a pass that failed."""
        for outputs in self._noted.values():
            outputs.clear()

    def close(self) -> None:
        """Listen no more."""
        for hook in self._hooks:
            hook.remove()

    def _note(self, layer: str) -> "_Hook":
        return _Hook(self._noted[layer])


class _Hook:
    def __init__(self, noted: list[Tensor]) -> None:
        self._noted = noted

    def __call__(self, module: nn.Module, inputs: object, output: Tensor) -> None:
        del module, inputs
        self._noted.append(_pooled(output))


def _pooled(output: Tensor) -> Tensor:
    """Average maps (n, channels, ...) over their area, tokens (n, tokens, channels) over tokens."""
    if output.ndim == _TOKENS_NDIM:
        return output.mean(dim=1)
    return output.flatten(start_dim=2).mean(dim=-1)


def _outermost(network: nn.Module, image: Tensor) -> dict[str, tuple[int, ...]]:
    """Return the members of sequences that give maps or tokens, with the shape of what they give.

    A member inside of another one that does is left out.
    """
    candidates = [
        f"{name}.{at}" if name else at
        for name, module in network.named_modules()
        if isinstance(module, (nn.Sequential, nn.ModuleList))
        for at, _ in module.named_children()
    ]
    shapes = _shapes(network, candidates, image)
    found = [name for name in candidates if len(shapes.get(name, ())) >= _TOKENS_NDIM]
    return {
        name: shapes[name]
        for name in found
        if not any(name.startswith(f"{other}.") for other in found)
    }


def _shapes(network: nn.Module, layers: Sequence[str], image: Tensor) -> dict[str, tuple[int, ...]]:
    """Return the shape of the output of each layer that gives a tensor when it is run."""
    shapes: dict[str, tuple[int, ...]] = {}

    def look(layer: str, output: object) -> None:
        shapes[layer] = tuple(output.shape) if isinstance(output, Tensor) else ()

    hooks = [
        network.get_submodule(layer).register_forward_hook(
            lambda _module, _inputs, output, layer=layer: look(layer, output)
        )
        for layer in layers
    ]
    try:
        with torch.inference_mode():
            network(image)
    finally:
        for hook in hooks:
            hook.remove()
    return shapes
