"""A checkpoint gives back what was put down, to the bit, and is never half there."""

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from medqueue.errors import ConfigurationError
from workers.training.chance import chance_state, restore_chance, seed_everything
from workers.training.checkpoint import CHECKPOINT_NAME, Checkpoint

STATE: dict[str, Any] = {
    "weights": {"a.b": torch.randn(2, 3), "count": torch.tensor(7)},
    "moments": {0: {"step": torch.tensor(1.0)}, 1: {"step": torch.tensor(2.0)}},
    "numbers": [0.1 + 0.2, float("inf"), None, True, "word", [1, [2]]],
}


def equal(one: Any, other: Any) -> bool:
    if isinstance(one, Tensor):
        return one.equal(other) and one.dtype == other.dtype
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(equal(one[key], other[key]) for key in one)
    return bool(one == other)


def test_what_was_put_down_is_taken_up_to_the_bit(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path, {"seed": 1}, seconds=0)

    checkpoint.save(STATE)

    assert equal(Checkpoint(tmp_path, {"seed": 1}, seconds=0).load(), STATE)


def test_where_there_is_none_there_is_nothing(tmp_path: Path) -> None:
    assert Checkpoint(tmp_path, {}, seconds=0).load() is None


def test_weights_that_two_layers_share_are_kept_for_both(tmp_path: Path) -> None:
    shared = torch.ones(3)
    checkpoint = Checkpoint(tmp_path, {}, seconds=0)

    checkpoint.save({"one": shared, "other": shared})

    assert equal(checkpoint.load(), {"one": shared, "other": shared})


def test_a_write_that_is_cut_off_leaves_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = Checkpoint(tmp_path, {}, seconds=0)
    checkpoint.save(STATE)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        checkpoint.save({"numbers": []})

    assert equal(checkpoint.load(), STATE)


def test_one_of_another_training_is_refused_with_what_differs(tmp_path: Path) -> None:
    Checkpoint(tmp_path, {"config": {"seed": 1, "rate": 2}}, seconds=0).save(STATE)

    with pytest.raises(ConfigurationError, match=r"other values of config\.new, config\.rate;"):
        Checkpoint(tmp_path, {"config": {"seed": 1, "rate": 3, "new": 0}}, seconds=0).load()


def test_it_is_due_when_the_time_has_come(tmp_path: Path) -> None:
    times = iter([100.0, 120.0, 130.0, 131.0, 132.0])
    checkpoint = Checkpoint(tmp_path, {}, seconds=30, clock=lambda: next(times))

    before, after = checkpoint.is_due, checkpoint.is_due
    checkpoint.save(STATE)

    assert (before, after, checkpoint.is_due) == (False, True, False)


def test_a_pickle_is_not_read(tmp_path: Path) -> None:
    torch.save({"weights": 1}, tmp_path / CHECKPOINT_NAME)

    with pytest.raises(ConfigurationError, match="no checkpoint of medqueue"):
        Checkpoint(tmp_path, {}, seconds=0).load()


def test_every_generator_goes_on_where_it_was(tmp_path: Path) -> None:
    def draw() -> list[float]:
        return [
            random.random(),  # noqa: S311 - it is the generator that is kept
            random.gauss(),
            np.random.random(),  # noqa: NPY002 - the old generator is the one that is kept
            np.random.standard_normal(),  # noqa: NPY002 - see above
            float(torch.rand(1)),
        ]

    seed_everything(5)
    draw()
    checkpoint = Checkpoint(tmp_path, {}, seconds=0)
    checkpoint.save(chance_state())
    expected = draw()

    seed_everything(6)
    restore_chance(checkpoint.load() or {})

    assert draw() == expected
