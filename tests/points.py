"""The smallest data there are: points in the plane, present to the right."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from workers.training.distributed import Team
from workers.training.loop import Run, train_network
from workers.training.optimisation import Optimisation


class Points:
    """Batches of points in an order of chance."""

    def __init__(self, *, size: int = 8, mirrored: bool = False, draws: int = 1) -> None:
        generator = torch.Generator().manual_seed(4)
        self._points = torch.randn(32, 2, generator=generator)
        self.targets = (self._points[:, :1] < 0 if mirrored else self._points[:, :1] > 0).float()
        self._size, self._draws = size, draws
        self.steps = len(self._points) // size

    def epoch(self, generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
        for _ in range(self._draws):
            order = torch.randperm(len(self._points), generator=generator)
        for step in range(self.steps):
            chosen = order[step * self._size : (step + 1) * self._size]
            yield self._points[chosen], self.targets[chosen]


def unmoved(_: nn.Module) -> Mapping[str, float]:
    """Return the same figures for any network."""
    return {"loss": 0.5, "auroc": 0.5, "accuracy": 0.5}


def layers() -> nn.Module:
    """Build a network that drops nothing, so that each process does the same."""
    return nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 1))


def train_in(team: Team, *, to: Path) -> None:
    """Train as one of a team, and let the first write the weights. Sent to new processes."""
    torch.set_num_threads(1)
    # Adam would make much of the smallest gradients, and with them of how they were rounded.
    how = Optimisation(epochs=6, optimiser="sgd", schedule="cosine", clip_norm=1, batch_size=9)
    network = train_network(layers, Points(size=9), how, unmoved, Run(team=team))
    if team.rank == 0:
        save_file(network.state_dict(), to)
