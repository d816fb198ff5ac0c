"""The loop: its state is all there is to it, it stops in time, and it says what went wrong."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from medqueue.errors import ConfigurationError, TrainingDivergedError
from points import Points, unmoved
from workers.training.checkpoint import Checkpoint
from workers.training.loop import Run, Training, train_network
from workers.training.optimisation import Optimisation
from workers.training.progress import Epoch, Start

torch.set_num_threads(1)


class Told:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.starts: list[Start] = []
        self.batches: list[int] = []
        self.epochs: list[Epoch] = []

    def begin(self, start: Start) -> None:
        self.starts.append(start)

    def batch(self, done: int) -> None:
        self.batches.append(done)

    def epoch(self, epoch: Epoch) -> None:
        self.epochs.append(epoch)


def network() -> nn.Module:
    return nn.Sequential(nn.Linear(2, 8), nn.Dropout(0.3), nn.ReLU(), nn.Linear(8, 1))


def train(how: Optimisation, **run: Any) -> nn.Module:
    return train_network(network, Points(), how, run.pop("measure", unmoved), Run(**run))


def weights(learnt: nn.Module) -> Tensor:
    return torch.cat([value.flatten() for value in learnt.parameters()])


def seen(figures: Sequence[float]) -> Any:
    """Return a measure that finds these validation losses, one after another."""
    left = iter(figures)
    return lambda _: {"loss": next(left), "auroc": 0.5, "accuracy": 0.5}


def test_who_watches_is_told_of_every_batch_and_epoch() -> None:
    told = Told()

    train(Optimisation(epochs=2), watch=told)

    assert told.starts == [Start((), 2, 4)]
    assert told.batches == [1, 2, 3, 4] * 2
    assert [(epoch.number, epoch.of, epoch.step) for epoch in told.epochs] == [(1, 2, 4), (2, 2, 8)]
    assert told.epochs[0].validation == unmoved(network())


def test_gradients_of_several_batches_make_one_step() -> None:
    """Two batches of eight added up are one of sixteen, where nothing is dropped."""
    how = Optimisation(epochs=3, optimiser="sgd", schedule="constant", balance=0, ema_decay=0)

    def build() -> nn.Module:
        return nn.Linear(2, 1)

    halves = train_network(
        build, Points(), how.model_copy(update={"accumulate": 2}), unmoved, Run()
    )
    wholes = train_network(build, Points(size=16), how, unmoved, Run())

    torch.testing.assert_close(weights(halves), weights(wholes))


def test_what_is_left_over_of_an_epoch_is_a_step_too() -> None:
    told = Told()

    train(Optimisation(epochs=1, accumulate=3), watch=told)

    assert told.batches == [3, 4]
    assert told.epochs[0].step == 2


def test_a_long_gradient_is_shortened() -> None:
    how = Optimisation(epochs=1, optimiser="sgd", schedule="constant", learning_rate=1, ema_decay=0)
    how = how.model_copy(update={"momentum": 0.0, "weight_decay": 0.0})
    begun = Training(network, Points(), how, Run().team).result()

    free = train(how)
    held = train(how.model_copy(update={"clip_norm": 1e-6}))

    assert (weights(free) - weights(begun)).norm() > 1e-3
    assert (weights(held) - weights(begun)).norm() < 1e-5


def test_it_stops_when_validation_gets_no_better_and_keeps_the_best() -> None:
    told = Told()
    how = Optimisation(epochs=9, patience=2, ema_decay=0)

    kept = train(how, watch=told, measure=seen([0.5, 0.3, 0.4, 0.3, 0.1]))
    best = train(how.model_copy(update={"patience": 1}), measure=seen([0.5, 0.3, 0.4]))

    assert len(told.epochs) == 4
    torch.testing.assert_close(weights(kept), weights(best), rtol=0, atol=0)


def test_without_patience_the_last_weights_are_kept() -> None:
    told = Told()

    last = train(Optimisation(epochs=3), watch=told, measure=seen([0.1, 0.2, 0.3]))
    patient = train(Optimisation(epochs=3, patience=3), measure=seen([0.3, 0.2, 0.1]))

    assert len(told.epochs) == 3
    torch.testing.assert_close(weights(last), weights(patient), rtol=0, atol=0)


def test_a_loss_that_is_no_number_ends_the_training_with_the_cure() -> None:
    def broken() -> nn.Module:
        layer = nn.Linear(2, 1)
        nn.init.constant_(layer.weight, float("inf"))
        return layer

    with pytest.raises(TrainingDivergedError, match="learning_rate"):
        train_network(broken, Points(), Optimisation(), unmoved, Run())


def test_too_few_cases_for_a_batch_are_refused_with_the_cure() -> None:
    with pytest.raises(ConfigurationError, match="batch_size"):
        train_network(network, Points(size=33), Optimisation(batch_size=33), unmoved, Run())


def test_mixed_precision_without_a_gpu_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="needs a GPU"):
        train(Optimisation(precision="bfloat16"))


def interrupted(folder: Path, batches: Points) -> Checkpoint:
    """Train until the third batch of the second epoch, and return what was put down."""
    checkpoint = Checkpoint(folder, {}, seconds=0)

    class Cut(Told):
        def batch(self, done: int) -> None:
            if self.epochs and done == 3:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_network(network, batches, Optimisation(epochs=3), unmoved, Run(Cut(), checkpoint))
    return checkpoint


def test_it_goes_on_in_the_middle_of_an_epoch(tmp_path: Path) -> None:
    told = Told()
    checkpoint = interrupted(tmp_path, Points())

    resumed = train(Optimisation(epochs=3), watch=told, checkpoint=checkpoint)

    assert [epoch.number for epoch in told.starts[0].epochs] == [1]
    assert told.batches == [3, 4, 1, 2, 3, 4]  # the third was done, but not yet put down
    torch.testing.assert_close(
        weights(resumed), weights(train(Optimisation(epochs=3))), rtol=0, atol=0
    )


@pytest.mark.parametrize(
    ("changed", "said"),
    [(Points(mirrored=True), "labels of the training data"), (Points(draws=2), "batches of")],
)
def test_it_does_not_go_on_with_other_data(tmp_path: Path, changed: Points, said: str) -> None:
    checkpoint = interrupted(tmp_path, Points())

    with pytest.raises(ConfigurationError, match=said):
        train_network(network, changed, Optimisation(epochs=3), unmoved, Run(checkpoint=checkpoint))
