"""The `[optimisation]` table of a training configuration: how a network learns."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Share = Annotated[float, Field(ge=0, le=1)]
ScheduleName = Literal["constant", "step", "cosine", "one-cycle", "plateau"]
Monitor = Literal["loss", "auroc"]


class Optimisation(BaseModel):
    """The training loop; the defaults are AdamW under one cycle of the learning rate."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int = 0
    epochs: int = Field(default=20, gt=0)
    batch_size: int = Field(default=64, gt=1)
    accumulate: int = Field(default=1, gt=0)
    """Batches whose gradients are added up for one step of the optimiser."""

    loss: Literal["binary-cross-entropy", "focal"] = "binary-cross-entropy"
    """Of each label by itself; focal as in Lin et al. 2017."""
    focal_gamma: float = Field(default=2.0, ge=0)
    """How much less a case counts that is already right; 0 is cross-entropy."""
    label_smoothing: Share = 0.1
    balance: Share = 1.0
    """1 lets present and absent count alike however rare a label is; 0 each case as it comes."""

    optimiser: Literal["adamw", "adam", "sgd"] = "adamw"
    learning_rate: float = Field(default=2e-3, gt=0)
    """Its highest value, whatever the schedule."""
    weight_decay: float = Field(default=0.05, ge=0)
    momentum: float = Field(default=0.9, ge=0, lt=1)
    """Of SGD."""
    nesterov: bool = False
    """Of SGD."""
    clip_norm: float | None = Field(default=None, gt=0)
    """A gradient whose norm is greater is shortened to it."""

    schedule: ScheduleName = "one-cycle"
    warm_up: Share = 0.0
    """Share of all steps in which the rate rises from zero; `one-cycle` has its own."""
    step_epochs: int = Field(default=10, gt=0)
    """Of `step`: the rate falls every so many epochs."""
    step_factor: float = Field(default=0.1, gt=0, lt=1)
    """Of `step` and `plateau`: the rate is multiplied by it."""
    plateau_epochs: int = Field(default=3, gt=0)
    """Of `plateau`: the rate falls after so many epochs without a lower validation loss."""

    ema_decay: float = Field(default=0.995, ge=0, lt=1)
    """Per step. The averaged weights are the ones that are kept."""
    patience: int | None = Field(default=None, gt=0)
    """Stop after so many epochs without a better validation figure, and keep the best epoch's
    weights; unset, all epochs are run and the last weights are kept."""
    monitor: Monitor = "loss"
    """The validation figure that `patience` looks at."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """`bfloat16` computes in mixed precision; a GPU only."""

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.warm_up and self.schedule in {"one-cycle", "plateau"}:
            raise ValueError(f"warm_up goes with constant, step and cosine, not {self.schedule}")
        if self.nesterov and (self.optimiser != "sgd" or self.momentum == 0):
            raise ValueError("nesterov needs optimiser = 'sgd' with a momentum")
        return self
