"""Robustness: changes do what their names say, and attacks stay within their strength."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from schemas.manifest import ImagePreparation
from workers.training.robustness import blur, brightness, contrast, endure, fgsm, moved, noise, pgd

PREPARATION = ImagePreparation(size=(8, 8), mean=0.5, std=0.5)


class Brightness(nn.Module):
    """Calls an image present by its mean value alone."""

    def forward(self, images: Tensor) -> Tensor:
        """Return one logit for each image."""
        return images.mean(dim=(1, 2, 3))[:, None] * 10


def of_images(images: Tensor) -> Tensor:
    return Brightness()(images - 0.5)[:, 0]


@pytest.mark.parametrize("attack", [fgsm, pgd])
def test_an_attack_stays_within_its_strength_and_raises_the_loss(attack: object) -> None:
    images = torch.rand(4, 1, 8, 8) * 0.5 + 0.25
    targets = torch.tensor([1, 0, 1, 0])

    attacked = attack(of_images, images, targets, strength=0.1)  # type: ignore[operator]

    assert (attacked - images).abs().max() <= 0.1 + 1e-6
    moved_by = of_images(attacked) - of_images(images)
    assert torch.allclose(moved_by, torch.tensor([-1.0, 1.0, -1.0, 1.0]), atol=1e-4)


def test_a_model_that_is_told_more_than_pixels_keeps_its_rows() -> None:
    class Told(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return images[:, 1:].mean(dim=(1, 2, 3))[:, None]

    targets = np.arange(100) % 3 == 0
    rows = endure(
        Told(),
        np.zeros((100, 8, 8), np.uint8),
        targets,
        PREPARATION,
        threshold_logit=0.0,
        features=np.where(targets, 1.0, -1.0).astype(np.float32)[:, np.newaxis],
        attacked=False,
    )

    assert {row.accuracy for row in rows} == {1.0}
    assert {"FGSM", "PGD"}.isdisjoint(row.kind for row in rows)


def test_nothing_changes_at_strength_nothing() -> None:
    images = torch.rand(2, 1, 8, 8)

    for changed in (noise(images, sigma=0), brightness(images, shift=0), moved(images)):
        torch.testing.assert_close(changed, images, atol=1e-5, rtol=0)
    torch.testing.assert_close(contrast(images, factor=1), images)


def test_blur_spreads_a_point_and_keeps_its_sum() -> None:
    image = torch.zeros(1, 1, 9, 9)
    image[0, 0, 4, 4] = 1

    blurred = blur(image, sigma=1)

    assert blurred[0, 0, 4, 4] == pytest.approx(0.159, abs=2e-3)
    assert blurred.sum() == pytest.approx(1, abs=1e-4)


def test_a_shift_moves_down_and_right_and_a_quarter_turn_turns() -> None:
    image = torch.zeros(1, 1, 8, 8)
    image[0, 0, 1, 2] = 1

    assert moved(image, shift=1 / 8)[0, 0, 2, 3] == pytest.approx(1, abs=1e-4)
    assert moved(image, degrees=90).sum() == pytest.approx(1, abs=1e-4)


def test_the_first_row_is_of_the_images_as_they_are_and_attacks_cost_most() -> None:
    chance = np.random.default_rng(0)
    targets = np.arange(40) % 2 == 0
    pixels = chance.integers(90, 120, (40, 8, 8)).astype(np.uint8)
    pixels[targets] += 50

    rows = endure(Brightness(), pixels, targets, PREPARATION, threshold_logit=0.0)

    assert (rows[0].kind, rows[0].accuracy, rows[0].auroc) == ("as it is", 1, 1)
    by_name = {(row.kind, row.strength): row for row in rows}
    assert by_name["brightness", "+0.2"].accuracy == pytest.approx(0.5)
    assert by_name["brightness", "+0.2"].auroc == 1
    assert {row.cases for row in rows} == {40}
