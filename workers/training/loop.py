"""The training loop: forward, loss, backward, step, and an average of the weights over time.

All that changes while it runs is its state, which can be put down after any step and taken up by
another process: on the CPU the weights at the end are then the same to the bit.
"""

import hashlib
import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from medqueue.errors import ConfigurationError, TrainingDivergedError
from workers.training.batches import Batches
from workers.training.chance import chance_state, restore_chance, seed_everything
from workers.training.checkpoint import Checkpoint
from workers.training.distributed import Team
from workers.training.losses import class_weights, loss_of
from workers.training.optimisation import Optimisation
from workers.training.optimisers import Schedule, build_optimiser
from workers.training.progress import Epoch, Start, Unwatched, Watch
from workers.training.validation import FIGURES, Measure


@dataclass(frozen=True, slots=True)
class Run:
    """Where a training runs, what keeps it, and who is told of it."""

    watch: Watch = field(default_factory=Unwatched)
    checkpoint: Checkpoint | None = None
    team: Team = field(default_factory=Team)


def train_network(
    build: Callable[[], nn.Module],
    batches: Batches,
    how: Optimisation,
    measure: Measure,
    run: Run,
) -> nn.Module:
    """Train a network and return the averaged one, in evaluation mode.

    Args:
        build: Makes the untrained network, once chance is seeded.
        batches: The training data.
        how: Of the optimisation.
        measure: Looks at the averaged network after every epoch.
        run: Whose checkpoint, if there is one, is gone on from.
    """
    training = Training(build, batches, how, run.team)
    found = run.checkpoint.load() if run.checkpoint else None
    if found is None:
        training.put_down(run.checkpoint)
    else:
        training.restore(found)
    run.watch.begin(Start(tuple(training.epochs), how.epochs, batches.steps))
    while not training.is_over:
        training.epoch(measure, run)
    return training.result()


class Training:
    """A network in training, with all that changes while it learns.

    Attributes:
        epochs: That are done.
    """

    def __init__(
        self, build: Callable[[], nn.Module], batches: Batches, how: Optimisation, team: Team
    ) -> None:
        if how.precision != "float32" and team.device.type != "cuda":
            raise ConfigurationError(
                f"optimisation.precision: {how.precision} needs a GPU; here it would only be slower"
            )
        if batches.steps == 0:
            raise ConfigurationError(
                f"the train split does not fill one batch of {how.batch_size}: "
                "lower optimisation.batch_size"
            )
        self._how, self._batches, self._team = how, batches, team
        self._generator = seed_everything(how.seed)
        self._network = build().to(team.device)
        averaging = get_ema_multi_avg_fn(how.ema_decay)  # type: ignore[no-untyped-call]
        # Batch statistics are averaged like the weights: else they would belong to other weights.
        self._average = AveragedModel(self._network, multi_avg_fn=averaging, use_buffers=True)
        self._optimiser = build_optimiser(self._network, how)
        self._steps = math.ceil(batches.steps / how.accumulate)
        self._schedule = Schedule(self._optimiser, how, self._steps)
        weights = class_weights(batches.targets, how.balance)
        self._weights = weights[0].to(team.device), weights[1].to(team.device)
        self._called = team.join(self._network)
        if team.rank:
            torch.manual_seed(how.seed + team.rank)  # other units are dropped in each part
        self.epochs: list[Epoch] = []
        self._best: dict[str, Any] | None = None
        self._done, self._total = 0, 0.0
        self._began = self._generator.get_state()
        self._left_at: Tensor | None = None
        self._cases = hashlib.sha256(batches.targets.numpy().tobytes()).hexdigest()

    @property
    def is_over(self) -> bool:
        """Whether all epochs are done, or the last ones brought nothing."""
        if self._best is None or self._how.patience is None:
            return len(self.epochs) >= self._how.epochs
        waited = len(self.epochs) - int(self._best["epoch"])
        return len(self.epochs) >= self._how.epochs or waited >= self._how.patience

    def epoch(self, measure: Measure, run: Run) -> None:
        """Run one epoch, or what is left of it."""
        self._called.train()
        drawn = self._drawn()
        while group := list(islice(drawn, self._how.accumulate)):
            self._step(group)
            run.watch.batch(self._done)
            # A team puts its state down together, so at the end of an epoch only.
            if run.checkpoint and self._team.size == 1 and run.checkpoint.is_due:
                run.checkpoint.save(self.state())
        self._end_epoch(measure)
        self.put_down(run.checkpoint)
        run.watch.epoch(self.epochs[-1])

    def result(self) -> nn.Module:
        """Return the averaged network on the CPU; with `patience`, that of the best epoch."""
        if self._best is not None:
            self._average.module.load_state_dict(self._best["weights"])
        network: nn.Module = self._average.module
        return network.eval().cpu()

    def put_down(self, checkpoint: Checkpoint | None) -> None:
        """Save the state; every process of a team is asked, and the first one writes."""
        if checkpoint is None:
            return
        state = self.state()
        if self._team.rank == 0:
            checkpoint.save(state)

    def state(self) -> dict[str, Any]:
        """Return all that a process needs to go on from here; every process of a team is asked."""
        chance = chance_state()
        return {
            "network": self._network.state_dict(),
            "average": self._average.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "schedule": self._schedule.state_dict(),
            "best": self._best,
            "epochs": [asdict(epoch) for epoch in self.epochs],
            "chance": chance | {"torch": self._team.each(chance["torch"])},
            "cases": self._cases,
            "began": self._began,
            "generator": self._generator.get_state(),
            "done": self._done,
            "total": self._total,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a state of the same training.

        Raises:
            ConfigurationError: the data have changed since.
        """
        if state["cases"] != self._cases:
            raise ConfigurationError(
                "the labels of the training data are not those that the checkpoint was made with; "
                "put them back, or name another output folder"
            )
        self._network.load_state_dict(state["network"])
        self._average.load_state_dict(state["average"])
        self._optimiser.load_state_dict(state["optimiser"])
        self._schedule.load_state_dict(state["schedule"])
        self._best = state["best"]
        self.epochs = [Epoch(**epoch) for epoch in state["epochs"]]
        chance = state["chance"]
        restore_chance(chance | {"torch": chance["torch"][self._team.rank]})
        self._generator.set_state(state["began"])
        self._done, self._total = state["done"], state["total"]
        self._left_at = state["generator"]

    def _drawn(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Return the batches of the epoch; those that were learnt before are drawn again."""
        self._began = self._generator.get_state()
        drawn = self._batches.epoch(self._generator)
        for _ in islice(drawn, self._done):
            pass
        if self._left_at is not None and not self._generator.get_state().equal(self._left_at):
            raise ConfigurationError(
                "the batches of the training data are not those of the checkpoint: "
                "go on with the version of medqueue that wrote it, or name another output folder"
            )
        self._left_at = None
        return drawn

    def _step(self, group: list[tuple[Tensor, Tensor]]) -> None:
        self._optimiser.zero_grad(set_to_none=True)
        for inputs, targets in group:
            loss = self._loss(inputs, targets)
            (loss / len(group)).backward()  # type: ignore[no-untyped-call]
            self._total += self._finite(loss)
        if self._how.clip_norm is not None:
            clip_grad_norm_(self._network.parameters(), self._how.clip_norm)
        self._optimiser.step()
        self._schedule.after_step()
        self._average.update_parameters(self._network)
        self._done += len(group)

    def _loss(self, inputs: Tensor, targets: Tensor) -> Tensor:
        mine, wanted, counts = self._team.part(inputs, targets)
        mixed = self._how.precision == "bfloat16"
        with torch.autocast(self._team.device.type, torch.bfloat16, enabled=mixed):
            logits = self._called(mine)
        return loss_of(logits.float(), wanted, self._weights, self._how) * counts

    def _finite(self, loss: Tensor) -> float:
        value = loss.item()
        if not math.isfinite(value):
            raise TrainingDivergedError(
                f"the loss is no finite number in epoch {len(self.epochs) + 1}: "
                "lower optimisation.learning_rate, or set optimisation.clip_norm"
            )
        return value

    def _end_epoch(self, measure: Measure) -> None:
        figures = self._team.of_first(self._measured(measure), len(FIGURES))
        validation = dict(zip(FIGURES, figures, strict=True))
        number = len(self.epochs) + 1
        loss = self._team.mean(self._total) / self._batches.steps
        epoch = Epoch(
            number, self._how.epochs, number * self._steps, loss, self._schedule.rate, validation
        )
        self.epochs.append(epoch)
        self._schedule.after_epoch(validation["loss"])
        if self._how.patience is not None:
            self._keep_if_best(epoch)
        self._done, self._total = 0, 0.0
        self._began = self._generator.get_state()

    def _measured(self, measure: Measure) -> Callable[[], list[float]]:
        def figures() -> list[float]:
            found = measure(self._average.module.eval())
            return [found[name] for name in FIGURES]

        return figures

    def _keep_if_best(self, epoch: Epoch) -> None:
        value = epoch.validation[self._how.monitor]
        figure = -value if self._how.monitor == "loss" else value
        if self._best is None or figure > self._best["figure"]:
            kept = {
                name: tensor.detach().clone()
                for name, tensor in self._average.module.state_dict().items()
            }
            self._best = {"figure": figure, "epoch": epoch.number, "weights": kept}
