"""Networks made of other networks: an ensemble, and an image network beside a table."""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from workers.models.attention import TextNetwork


class Ensemble(nn.Module):
    """Several networks of one architecture; the answer is the mean of their logits.

    They differ by the weights that they start from, which is what makes them disagree usefully
    (Lakshminarayanan et al. 2017; Fort et al. 2019). In training each learns by itself: `forward`
    then gives the logits of each, (members, n, labels), and a loss is taken of them all.

    Args:
        members: At least one.
    """

    def __init__(self, members: Sequence[nn.Module]) -> None:
        super().__init__()
        if not members:
            raise ValueError("an ensemble has at least one member")
        self.members = nn.ModuleList(members)

    def forward(self, inputs: Tensor) -> Tensor:
        """Map a batch to logits (n, labels); in training (members, n, labels)."""
        logits = torch.stack([member(inputs) for member in self.members])
        return logits if self.training else logits.mean(dim=0)

    def attend(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Give the means of the logits and of the attention, if the members read texts."""
        answers = [cast("TextNetwork", member).attend(tokens) for member in self.members]
        logits, attention = (torch.stack(parts) for parts in zip(*answers, strict=True))
        return logits.mean(dim=0), attention.mean(dim=0)


class ImageTableFusion(nn.Module):
    """An image network and a layer for a row of a table, joined before the last layer.

    Args:
        image: Maps a batch of images to `features` numbers each.
        features: Numbers that either side is told in.
        columns: Numbers in a prepared row of the table.
        labels: Number of logits.
    """

    def __init__(self, image: nn.Module, *, features: int, columns: int, labels: int) -> None:
        super().__init__()
        self.image = image
        self.table = nn.Linear(columns, features)
        self.head = nn.Linear(2 * features, labels)

    def forward(self, inputs: Tensor) -> Tensor:
        """Map images with their rows behind them (n, 1 + columns, ...) to logits (n, labels).

        A number of a row is a plane of its own, all of it that number.
        """
        images, table = inputs[:, :1], inputs[:, 1:].flatten(start_dim=2)[..., 0]
        both = torch.cat([self.image(images), self.table(table)], dim=1)
        return cast("Tensor", self.head(functional.relu(both)))
