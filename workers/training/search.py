"""The `[tune]` table of a training configuration: which of its values are searched, and where."""

import copy
from collections.abc import Mapping
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from medqueue.errors import ConfigurationError
from workers.training.optimisation import Monitor

Value = int | float | str | bool


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Choices(_Strict):
    """One of a few values."""

    choices: tuple[Value, ...] = Field(min_length=2)


class Range(_Strict):
    """A number between two, both included; a whole one if both are."""

    low: int | float
    high: int | float
    log: bool = False
    """Draw its logarithm evenly: for numbers that differ by factors, such as learning rates."""

    @model_validator(mode="after")
    def _is_a_range(self) -> Self:
        if self.low >= self.high or (self.log and self.low <= 0):
            raise ValueError("low is below high, and above 0 with log = true")
        return self


class Search(_Strict):
    """What `medqueue tune` does; `medqueue train` passes over it."""

    trials: int = Field(default=20, gt=0)
    """Trainings in all; those that were given up early count."""
    seed: int = 0
    """Of what is tried; each training has that of `[optimisation]`."""
    monitor: Monitor = "auroc"
    """The validation figure that is to be best."""
    prune: bool = True
    """Give a training up whose figure is below the median of the others at the same epoch."""
    space: dict[str, Choices | Range] = Field(min_length=1)
    """By the dotted name of a key in this file, such as `optimisation.learning_rate`."""


def with_values(table: Mapping[str, Any], values: Mapping[str, Value]) -> dict[str, Any]:
    """Return a configuration's table with other values at some dotted names, and no `[tune]`."""
    changed = copy.deepcopy({key: part for key, part in table.items() if key != "tune"})
    for name, value in values.items():
        *path, last = name.split(".")
        inner = changed
        for part in path:
            inner = inner.setdefault(part, {})
            if not isinstance(inner, dict):
                raise ConfigurationError(f"tune.space: {name}: {part} is no table")
        inner[last] = value
    return changed
