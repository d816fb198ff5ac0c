"""The gate: how far an image is from those that the model was trained on.

The distance is that of Mahalanobis in the pooled features of several layers, as in Lee et al. 2018,
'A Simple Unified Framework for Detecting Out-of-Distribution Samples and Adversarial Attacks',
though about one mean and not one for each class, so that it needs no labels.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from medqueue.errors import PackageError

SHRINKAGE = 0.1
"""Share of a multiple of the identity in the covariance (Ledoit and Wolf 2004): a few hundred
images leave it singular. Less of it refuses images of other hospitals and devices; more of it lets
foreign ones pass (tried from 0.01 to 0.1 on the validation splits)."""
_MEAN, _WHITENING = "mean/", "whitening/"


@dataclass(frozen=True, slots=True)
class Gate:
    """What is usual in each layer. Made by `fit`, kept in the package as safetensors."""

    means: Mapping[str, Tensor]
    """(channels,) of each layer."""
    whitenings: Mapping[str, Tensor]
    """(channels, channels): features less their mean, times this, have covariance one."""

    @property
    def layers(self) -> tuple[str, ...]:
        """The names of the layers that it looks at."""
        return tuple(self.means)

    def distances(self, features: Mapping[str, Tensor]) -> Tensor:
        """Return how unusual each image is (n,): about 1 for those of the training split.

        It is the root of the mean, over the layers, of the squared distance for each channel.

        Args:
            features: of each layer, (n, channels).
        """
        squared = [
            ((features[layer] - mean) @ self.whitenings[layer]).square().mean(dim=1)
            for layer, mean in self.means.items()
        ]
        return torch.stack(squared).mean(dim=0).sqrt()

    def to(self, device: torch.device) -> "Gate":
        """Return it with its tensors on a device."""
        return Gate(
            {layer: mean.to(device) for layer, mean in self.means.items()},
            {layer: whitening.to(device) for layer, whitening in self.whitenings.items()},
        )


def fit(features: Mapping[str, Tensor], shrinkage: float = SHRINKAGE) -> Gate:
    """Find mean and covariance of each layer's features (n, channels) of training images."""
    means = {layer: values.double().mean(dim=0).float() for layer, values in features.items()}
    whitenings = {
        layer: _whitening(values.double(), shrinkage).float() for layer, values in features.items()
    }
    return Gate(means, whitenings)


def write_gate(gate: Gate) -> bytes:
    """Return the content of the file that `parse_gate` reads."""
    return save(
        {_MEAN + layer: mean for layer, mean in gate.means.items()}
        | {_WHITENING + layer: matrix for layer, matrix in gate.whitenings.items()}
    )


def parse_gate(content: bytes) -> Gate:
    """Read the statistics of a package.

    Raises:
        PackageError: it is no safetensors file of means and matrices.
    """
    try:
        tensors = load(content)
    except SafetensorError as error:
        raise PackageError(f"the file of the gate is not safetensors: {error}") from error
    means = {
        name.removeprefix(_MEAN): value for name, value in tensors.items() if name.startswith(_MEAN)
    }
    try:
        whitenings = {layer: tensors[_WHITENING + layer] for layer in means}
    except KeyError as error:
        raise PackageError(f"the file of the gate lacks {error}") from error
    fits = all(
        whitenings[layer].shape == (len(mean), len(mean)) and mean.isfinite().all()
        for layer, mean in means.items()
    )
    if not means or not fits:
        raise PackageError("the file of the gate does not hold a mean and a matrix for each layer")
    return Gate(means, whitenings)


def _whitening(values: Tensor, shrinkage: float) -> Tensor:
    covariance = torch.cov(values.T).reshape(values.shape[1], values.shape[1])
    usual = covariance.diagonal().mean().clamp_min(torch.finfo(torch.float32).tiny)
    identity = torch.eye(len(covariance), dtype=covariance.dtype)
    shrunk = (1 - shrinkage) * covariance + shrinkage * usual * identity
    whitening: Tensor = torch.linalg.cholesky(torch.linalg.inv(shrunk))
    return whitening.contiguous()
