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
    candidates = [
        f"{name}.{at}" if name else at
        for name, module in network.named_modules()
        if isinstance(module, (nn.Sequential, nn.ModuleList))
        for at, _ in module.named_children()
    ]
    found = _giving_maps(network, candidates, image)
    outermost = [name for name in found if not any(name.startswith(f"{other}.") for other in found)]
    count = min(MOST_LAYERS, len(outermost))
    return tuple(outermost[(at + 1) * len(outermost) // count - 1] for at in range(count))


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


def _giving_maps(network: nn.Module, layers: Sequence[str], image: Tensor) -> list[str]:
    """Return those of the layers that give maps or tokens whenever they are run."""
    flat, run = set[str](), set[str]()

    def look(layer: str, output: object) -> None:
        run.add(layer)
        if not isinstance(output, Tensor) or output.ndim < _TOKENS_NDIM:
            flat.add(layer)

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
    return [layer for layer in layers if layer in run - flat]
