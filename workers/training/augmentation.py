"""Random but seeded bending of training images, a batch at a time."""

import math

import torch
from torch import Tensor
from torch.nn import functional

from workers.training.config import Augmentation

_BLUR = torch.tensor([[[[1.0, 2.0, 1.0], [2.0, 4.0, 2.0], [1.0, 2.0, 1.0]]]]) / 16
"""The binomial filter of three by three."""


def augment(images: Tensor, how: Augmentation, generator: torch.Generator) -> Tensor:
    """Bend each image its own way: mirror, affine map, sharpness, gamma, contrast, light, noise.

    Takes and returns (n, 1, rows, columns) with values 0..1, before normalisation, so that the
    amounts in the configuration mean the same whatever the mean and deviation are.
    """
    bent = _affine(images, how, generator)
    if how.sharpness:
        bent = _sharpened(bent, how, generator)
    return _intensity(bent, how, generator)


def _between(count: int, limit: float, generator: torch.Generator) -> Tensor:
    return (torch.rand(count, generator=generator) * 2 - 1) * limit


def _affine(images: Tensor, how: Augmentation, generator: torch.Generator) -> Tensor:
    count = len(images)
    angle = _between(count, math.radians(how.rotation_degrees), generator)
    zoom = 1 + _between(count, how.scale, generator)
    shear = _between(count, how.shear, generator)
    mirror = torch.where(torch.rand(count, generator=generator) < how.flip, -1.0, 1.0)
    cosine, sine = torch.cos(angle) / zoom, torch.sin(angle) / zoom
    # affine_grid maps output to input, in units of half the side.
    theta = torch.stack(
        [
            torch.stack(
                [mirror * cosine, shear - sine, _between(count, how.translation * 2, generator)], 1
            ),
            torch.stack(
                [mirror * sine, cosine, _between(count, how.translation * 2, generator)], 1
            ),
        ],
        dim=1,
    )
    if how.aspect:
        wider = torch.exp(_between(count, how.aspect, generator))
        theta[:, :, :2] *= torch.stack([wider, 1 / wider], dim=1).unsqueeze(1)
    grid = functional.affine_grid(theta, list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, padding_mode="border", align_corners=False)


def _sharpened(images: Tensor, how: Augmentation, generator: torch.Generator) -> Tensor:
    """Add to each image, or take from it, a share of its difference from its blur."""
    share = _between(len(images), how.sharpness, generator).view(-1, 1, 1, 1)
    blurred = functional.conv2d(functional.pad(images, (1, 1, 1, 1), mode="replicate"), _BLUR)
    return images + share * (images - blurred)


def _intensity(images: Tensor, how: Augmentation, generator: torch.Generator) -> Tensor:
    count = len(images)

    def per_image(limit: float) -> Tensor:
        return _between(count, limit, generator).view(-1, 1, 1, 1)

    images = images.clamp(0, 1) ** torch.exp(per_image(how.gamma))
    mean = images.mean(dim=(1, 2, 3), keepdim=True)
    images = (images - mean) * (1 + per_image(how.contrast)) + mean + per_image(how.brightness)
    noise = torch.randn(images.shape, generator=generator) * per_image(how.noise).abs()
    return (images + noise).clamp(0, 1)
