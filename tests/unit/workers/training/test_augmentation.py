"""How training images are bent in sharpness and in shape; the amounts are off unless asked for."""

import torch

from workers.training.augmentation import augment
from workers.training.config import Augmentation

STILL = Augmentation(
    rotation_degrees=0,
    translation=0,
    scale=0,
    shear=0,
    flip=0,
    brightness=0,
    contrast=0,
    gamma=0,
    noise=0,
)


def bent(images: torch.Tensor, **amounts: float) -> torch.Tensor:
    how = STILL.model_copy(update=amounts)
    return augment(images, how, torch.Generator().manual_seed(3))


def test_sharpness_blurs_some_images_and_sharpens_others() -> None:
    dot = torch.full((1, 1, 9, 9), 0.25)
    dot[..., 4, 4] = 0.5
    dots = dot.repeat(16, 1, 1, 1)

    changed = bent(dots, sharpness=0.8)[..., 4, 4]

    assert changed.min() < 0.45
    assert changed.max() > 0.55


def test_aspect_widens_some_images_and_narrows_others_about_their_centre() -> None:
    square = torch.zeros(16, 1, 31, 31)
    square[..., 8:23, 8:23] = 1

    shapes = bent(square, aspect=0.3)

    widths, heights = shapes[:, 0, 15].sum(dim=-1), shapes[:, 0, :, 15].sum(dim=-1)
    assert widths.min() < 13
    assert widths.max() > 17
    torch.testing.assert_close(widths * heights, torch.full((16,), 225.0), rtol=0.05, atol=0)
