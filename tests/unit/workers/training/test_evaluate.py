"""Running a network over labelled data, whatever it is made of."""

import numpy as np
import torch
from torch import Tensor, nn

from schemas.manifest import ImagePreparation
from workers.training.evaluate import logits_of_images


def test_a_network_without_parameters_is_run_on_the_cpu() -> None:
    class Mean(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return images.mean(dim=(1, 2, 3))[:, None]

    preparation = ImagePreparation(size=(4, 4), mean=0.0, std=1.0)

    logits = logits_of_images(Mean(), np.full((3, 4, 4), 51, np.uint8), preparation)

    torch.testing.assert_close(logits, torch.full((3, 1), 0.2))
