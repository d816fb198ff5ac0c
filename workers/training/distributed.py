"""Several processes that train one network together, by PyTorch's own DDP."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from tempfile import TemporaryDirectory

import torch
from torch import Tensor, distributed, nn
from torch.multiprocessing.spawn import spawn
from torch.nn.parallel import DistributedDataParallel


@dataclass(frozen=True, slots=True)
class Team:
    """The processes of a training; by default one alone, on the CPU.

    Each process draws the same batch and computes its own part of it, so the network sees what one
    process alone would show it. Batch statistics are those of the part, but on GPUs of the whole.
    """

    rank: int = 0
    size: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    def join(self, network: nn.Module) -> nn.Module:
        """Return the network as it is to be called in training."""
        if self.size == 1:
            return network
        if self.device.type == "cuda":
            network = nn.SyncBatchNorm.convert_sync_batchnorm(network)  # type: ignore[no-untyped-call]
        return DistributedDataParallel(network)

    def part(self, inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor, float]:
        """Return this process's part of a batch, on its device, and how much its mean counts."""
        count = len(targets)
        # A batch smaller than the team is computed by each process as a whole.
        mine = slice(self.rank, None, self.size) if count >= self.size else slice(None)
        here = inputs[mine].to(self.device), targets[mine].to(self.device)
        weight = len(here[1]) * self.size / count if count >= self.size else 1.0
        return *here, weight

    def mean(self, figure: float) -> float:
        """Return the mean of a figure over the processes."""
        if self.size == 1:
            return figure
        return float(torch.stack(self.each(torch.tensor(figure, dtype=torch.float64))).mean())

    def each(self, value: Tensor) -> list[Tensor]:
        """Return the value that each process has, by rank."""
        if self.size == 1:
            return [value]
        here = value.to(self.device)
        found = [torch.empty_like(here) for _ in range(self.size)]
        distributed.all_gather(found, here)
        return [one.to(value.device) for one in found]

    def of_first(self, figures: Callable[[], Sequence[float]], count: int) -> list[float]:
        """Return the figures, so many, that the first process finds; the others wait for it."""
        if self.size == 1:
            return list(figures())
        found = torch.zeros(count, dtype=torch.float64)
        if self.rank == 0:
            found += torch.tensor(list(figures()), dtype=torch.float64)
        found = found.to(self.device)
        distributed.broadcast(found, src=0)
        return [float(figure) for figure in found]


def in_team(size: int, device: str, work: Callable[[Team], None]) -> None:
    """Run `work` in so many processes that see each other; return when all have ended.

    Args:
        size: 1 runs it in this process.
        device: `cpu` or `cuda`; each process of a team on GPUs has one of its own.
        work: A function of a module, or a partial of one: it is sent to the new processes.
    """
    if size == 1:
        work(Team(device=torch.device(device)))
        return
    with TemporaryDirectory() as folder:
        meeting = f"file://{folder}/meeting"
        spawn(_member, (size, device, meeting, work), size)  # type: ignore[no-untyped-call]


def _member(rank: int, size: int, device: str, meeting: str, work: Callable[[Team], None]) -> None:
    on_gpu = device == "cuda"
    place = torch.device(device, rank) if on_gpu else torch.device(device)
    distributed.init_process_group(
        "nccl" if on_gpu else "gloo", init_method=meeting, rank=rank, world_size=size
    )
    try:
        work(Team(rank, size, place))
    finally:
        distributed.destroy_process_group()
