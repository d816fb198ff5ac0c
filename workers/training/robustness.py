"""How a model bears images that are bent, blurred, noisy, or attacked.

Every strength means the same whatever the model: images are bent as values 0..1, before they are
normalised. The attacks know the network and its gradient: FGSM (Goodfellow et al. 2015) goes one
step, PGD (Madry et al. 2018) several from a random start, each within so much of every pixel.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from torchmetrics.functional import classification as metrics

from schemas.manifest import ImagePreparation

SEED = 0
MOST_CASES = 256
"""PGD alone costs thirty passes and as many gradients; of more cases so many are drawn by chance,
the same for every change."""
_BATCH = 64
_PGD_STEPS = 10
_PGD_STEP = 0.25
"""Of the strength: ten such steps reach any corner of the box from any start."""

Forward = Callable[[Tensor], Tensor]
"""From images (n, 1, rows, columns) of 0..1 to logits (n,)."""

Bend = Callable[[Forward, Tensor, Tensor], Tensor]
"""Takes images as above and targets (n,), returns bent images."""


@dataclass(frozen=True, slots=True)
class Endured:
    """Figures under one kind of change at one strength."""

    kind: str
    strength: str
    cases: int
    accuracy: float
    auroc: float


def endure(
    network: nn.Module,
    pixels: NDArray[np.uint8],
    targets: NDArray[np.bool_],
    preparation: ImagePreparation,
    threshold_logit: float,
    *,
    features: NDArray[np.float32] | None = None,
    attacked: bool = True,
) -> list[Endured]:
    """Measure a network on bent images; the first row is of the images as they are.

    Args:
        network: With one logit, in evaluation mode.
        pixels: (n, rows, columns), in the size that it takes.
        targets: (n,), of both classes.
        preparation: Whose mean and deviation the images are normalised by.
        threshold_logit: From this logit on a case is called present.
        features: (n, features), the rows of a model that is told more than pixels.
        attacked: Whether the network has gradients to attack it by.
    """
    drawn = torch.randperm(len(pixels), generator=_chance())[:MOST_CASES]
    images = torch.from_numpy(pixels)[drawn].unsqueeze(1).float() / 255
    wanted = torch.from_numpy(targets)[drawn]
    rest = None if features is None else _planes(torch.from_numpy(features)[drawn], images)

    def logits_of(batch: Tensor, chosen: slice) -> Tensor:
        prepared = (batch - preparation.mean) / preparation.std
        if rest is not None:
            prepared = torch.cat([prepared, rest[chosen]], dim=1)
        logits: Tensor = network(prepared)
        return logits[:, 0]

    rows = []
    batches = [slice(at, at + _BATCH) for at in range(0, len(images), _BATCH)]
    for kind, strength, bend in [*_changes(), *(_attacks() if attacked else ())]:
        parts = []
        for chosen in batches:
            forward = partial(logits_of, chosen=chosen)
            with torch.no_grad():
                parts.append(forward(bend(forward, images[chosen], wanted[chosen])))
        logits = torch.cat(parts)
        accuracy = ((logits >= threshold_logit) == wanted).float().mean()
        # By rank: a sigmoid would make equal what lies far out.
        ranks = torch.unique(logits, return_inverse=True)[1] / len(logits)
        auroc = metrics.binary_auroc(ranks, wanted.long())
        rows.append(Endured(kind, strength, len(images), float(accuracy), float(auroc)))
    return rows


def _changes() -> Iterator[tuple[str, str, Bend]]:
    yield "as it is", "", _plain(lambda images: images)
    for sigma in (0.02, 0.05, 0.1):
        yield "noise", f"deviation {sigma:g}", _plain(partial(noise, sigma=sigma))
    for sigma in (0.5, 1.0, 2.0):
        yield "blur", f"{sigma:g} px", _plain(partial(blur, sigma=sigma))
    for shift in (-0.2, -0.1, 0.1, 0.2):
        yield "brightness", f"{shift:+g}", _plain(partial(brightness, shift=shift))
    for factor in (0.5, 0.75, 1.33, 2.0):
        yield "contrast", f"x {factor:g}", _plain(partial(contrast, factor=factor))
    for degrees in (-20, -10, 10, 20):
        yield "rotation", f"{degrees:+d}°", _plain(partial(moved, degrees=degrees))
    for share in (0.05, 0.1):
        yield "shift", f"{share:.0%} of the side", _plain(partial(moved, shift=share))


def _attacks() -> Iterator[tuple[str, str, Bend]]:
    for steps in (1, 2, 4):
        yield "FGSM", f"{steps}/255", partial(fgsm, strength=steps / 255)
    for steps in (1, 2, 4):
        yield "PGD", f"{steps}/255", partial(pgd, strength=steps / 255)


def _plain(bend: Callable[[Tensor], Tensor]) -> Bend:
    return lambda _, images, __: bend(images)


def _planes(features: Tensor, images: Tensor) -> Tensor:
    """Return rows (n, features) as planes behind the images, as the queue puts them."""
    return features[:, :, None, None].expand(-1, -1, *images.shape[2:])


def noise(images: Tensor, *, sigma: float) -> Tensor:
    """Add normal noise."""
    drawn = torch.randn(images.shape, generator=_chance())
    return (images + sigma * drawn).clamp(0, 1)


def blur(images: Tensor, *, sigma: float) -> Tensor:
    """Convolve with a Gaussian, whose deviation is in pixels of the prepared image."""
    reach = math.ceil(3 * sigma)
    offsets = torch.arange(-reach, reach + 1)
    kernel = torch.exp(-(offsets**2) / (2 * sigma**2))
    kernel = kernel / kernel.sum()
    padded = functional.pad(images, (reach, reach, reach, reach), mode="replicate")
    along = functional.conv2d(padded, kernel.view(1, 1, 1, -1))
    return functional.conv2d(along, kernel.view(1, 1, -1, 1))


def brightness(images: Tensor, *, shift: float) -> Tensor:
    """Add a share of the full range."""
    return (images + shift).clamp(0, 1)


def contrast(images: Tensor, *, factor: float) -> Tensor:
    """Multiply about the image's mean."""
    mean = images.mean(dim=(1, 2, 3), keepdim=True)
    return ((images - mean) * factor + mean).clamp(0, 1)


def moved(images: Tensor, *, degrees: float = 0, shift: float = 0) -> Tensor:
    """Turn about the middle, and move down and right by a share of the side."""
    angle = math.radians(degrees)
    # affine_grid maps output to input, in units of half the side.
    theta = torch.tensor(
        [
            [math.cos(angle), -math.sin(angle), -2 * shift],
            [math.sin(angle), math.cos(angle), -2 * shift],
        ]
    ).expand(len(images), 2, 3)
    grid = functional.affine_grid(theta, list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, padding_mode="border", align_corners=False)


def fgsm(forward: Forward, images: Tensor, targets: Tensor, *, strength: float) -> Tensor:
    """Move every pixel by the strength, to where the loss grows."""
    step = strength * _gradient(forward, images, targets).sign()
    return (images + step).clamp(0, 1)


def pgd(forward: Forward, images: Tensor, targets: Tensor, *, strength: float) -> Tensor:
    """Climb the loss in small steps, and never leave the box around the image."""
    start = (torch.rand(images.shape, generator=_chance()) * 2 - 1) * strength
    attacked = (images + start).clamp(0, 1)
    for _ in range(_PGD_STEPS):
        step = _PGD_STEP * strength * _gradient(forward, attacked, targets).sign()
        attacked = (images + (attacked + step - images).clamp(-strength, strength)).clamp(0, 1)
    return attacked


def _gradient(forward: Forward, images: Tensor, targets: Tensor) -> Tensor:
    watched = images.detach().requires_grad_()
    with torch.enable_grad():
        loss = functional.binary_cross_entropy_with_logits(
            forward(watched), targets.float(), reduction="sum"
        )
        (gradient,) = torch.autograd.grad(loss, watched)
    return gradient


def _chance() -> torch.Generator:
    return torch.Generator().manual_seed(SEED)
