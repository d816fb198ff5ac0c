"""Networks made of others: an ensemble, an image network beside a table, exclusive classes."""

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


class ExclusiveClasses(nn.Module):
    """A network whose classes exclude each other, with logits that stand for each by itself.

    Such a network is made for the softmax over its scores z. Since softmax(z)_k is the sigmoid of
    z_k - log(sum of exp z_j over all j but k), these logits give the same probabilities by the
    sigmoid, which is what all models here end with.

    Args:
        network: Maps a batch to scores (n, classes).
        classes: At least two.
        background: The class, counted from 0, that says that nothing is found and has no label;
            None: each class has one.
    """

    def __init__(self, network: nn.Module, *, classes: int, background: int | None = None) -> None:
        super().__init__()
        if classes < 2:  # noqa: PLR2004 - one class excludes nothing
            raise ValueError("exclusive classes are two at least")
        if background is not None and not 0 <= background < classes:
            raise ValueError(f"background is a class from 0 to {classes - 1}, not {background}")
        self.network = network
        self._labelled = [at for at in range(classes) if at != background]

    def forward(self, inputs: Tensor) -> Tensor:
        """Map a batch to logits (n, labels)."""
        scores = self.network(inputs)
        itself = torch.eye(scores.shape[1], dtype=torch.bool, device=scores.device)
        others = scores.unsqueeze(1).masked_fill(itself, -torch.inf).logsumexp(dim=2)
        return cast("Tensor", (scores - others)[:, self._labelled])
