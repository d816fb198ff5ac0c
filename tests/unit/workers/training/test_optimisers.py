"""Optimisers and schedules: what a configuration names is what happens to the learning rate."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import nn
from torch.optim import SGD, Adam, AdamW

from workers.training.optimisation import Optimisation
from workers.training.optimisers import Schedule, build_optimiser

STEPS = 10


def rates(*, epochs: int = 4, losses: Sequence[float] = (), **values: Any) -> list[float]:
    """Return the learning rate of every step."""
    how = Optimisation(epochs=epochs, learning_rate=1.0, **values)
    optimiser = build_optimiser(nn.Linear(2, 1), how)
    schedule = Schedule(optimiser, how, STEPS)
    found = []
    for epoch in range(epochs):
        for _ in range(STEPS):
            found.append(schedule.rate)
            optimiser.step()
            schedule.after_step()
        schedule.after_epoch(losses[epoch] if losses else 0.0)
    return found


def test_constant_stays() -> None:
    assert set(rates(schedule="constant")) == {1.0}


def test_step_falls_every_so_many_epochs() -> None:
    found = rates(schedule="step", step_epochs=2, step_factor=0.1)

    assert found == pytest.approx([1.0] * 20 + [0.1] * 20)


def test_cosine_falls_from_the_top_to_nearly_nothing() -> None:
    found = rates(schedule="cosine")

    assert (found[0], found[20]) == pytest.approx((1.0, 0.5))
    assert found == sorted(found, reverse=True)
    assert 0 < found[-1] < 0.01


def test_one_cycle_rises_and_falls() -> None:
    found = rates(schedule="one-cycle")

    assert max(found) == pytest.approx(1.0, rel=0.02)
    assert found[0] == pytest.approx(1 / 25)
    assert found[-1] < 1e-4


def test_a_plateau_lowers_the_rate() -> None:
    found = rates(schedule="plateau", plateau_epochs=1, step_factor=0.5, losses=[1, 1, 1, 1])

    assert found == pytest.approx([1.0] * 30 + [0.5] * 10)


@pytest.mark.parametrize("schedule", ["constant", "step", "cosine"])
def test_warm_up_rises_in_a_line_to_the_highest_rate(schedule: str) -> None:
    found = rates(schedule=schedule, warm_up=0.1)

    assert found[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert max(found) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, AdamW),
        ({"optimiser": "adam"}, Adam),
        ({"optimiser": "sgd", "momentum": 0.8, "nesterov": True, "schedule": "constant"}, SGD),
    ],
)
def test_the_named_optimiser_is_made(values: dict[str, Any], expected: type) -> None:
    optimiser = build_optimiser(nn.Linear(2, 1), Optimisation(**values))

    assert type(optimiser) is expected
    if expected is SGD:
        assert optimiser.param_groups[0]["momentum"] == 0.8
        assert optimiser.param_groups[0]["nesterov"]


def test_biases_do_not_decay() -> None:
    network = nn.Linear(2, 1)
    optimiser = build_optimiser(network, Optimisation(weight_decay=0.1))

    decays = {
        id(value): group["weight_decay"]
        for group in optimiser.param_groups
        for value in group["params"]
    }

    assert (decays[id(network.weight)], decays[id(network.bias)]) == (0.1, 0.0)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"nesterov": True}, "sgd"),
        ({"optimiser": "sgd", "momentum": 0, "nesterov": True}, "momentum"),
        ({"warm_up": 0.1}, "one-cycle"),
        ({"warm_up": 0.1, "schedule": "plateau"}, "plateau"),
        ({"optimizer": "sgd"}, "optimizer"),
        ({"loss": "hinge"}, "loss"),
    ],
)
def test_what_does_not_go_together_is_refused(values: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Optimisation(**values)


def test_a_schedule_goes_on_where_another_was() -> None:
    how = Optimisation(epochs=2, schedule="cosine")
    pairs = []
    for _ in range(2):
        optimiser = build_optimiser(nn.Linear(2, 1), how)
        pairs.append((optimiser, Schedule(optimiser, how, STEPS)))
    (first, before), (second, after) = pairs
    for _ in range(7):
        first.step()
        before.after_step()

    second.load_state_dict(first.state_dict())
    after.load_state_dict(before.state_dict())

    for optimiser, schedule in pairs:
        optimiser.step()
        schedule.after_step()
    assert after.rate == before.rate
    assert not torch.tensor(after.rate).isclose(torch.tensor(how.learning_rate))
