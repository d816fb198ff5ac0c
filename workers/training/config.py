"""What `medqueue train` reads: one TOML file that describes data, model and optimisation.

Everything that ends up in the package's manifest is described here, except what training finds out:
the temperature, the digest of the weights, and the day.
"""

import tomllib
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from medqueue.errors import ConfigurationError
from schemas.manifest import Accepts, ImagePreparation, Label, Name, Version

Share = Annotated[float, Field(ge=0, le=1)]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class DataConfig(_Strict):
    """The labelled images: an npz file in MedMNIST's form with a train and a val split."""

    path: Path
    """Relative to the folder that `medqueue train` is started in."""
    positive_class: int = 1
    """Which class of the file means that the label is present; in BreastMNIST it is 0."""


class PackageConfig(_Strict):
    """What the manifest says about the model; see `schemas.manifest.Manifest`."""

    name: Name
    version: Version
    architecture: str
    parameters: dict[str, int | float | str | bool] = {}
    preparation: ImagePreparation
    label: Label
    accepts: Accepts
    intended_use: str
    licence: str
    data_provenance: str


class Augmentation(_Strict):
    """How far a training image is bent; every amount is drawn anew for each image and epoch."""

    rotation_degrees: float = Field(default=10, ge=0, le=180)
    """Up to so many degrees either way."""
    translation: Share = 0.08
    """Up to this share of the image's side, along each axis."""
    scale: Share = 0.12
    """Zoom between 1 - scale and 1 + scale."""
    shear: Share = 0.05
    """Up to this tangent either way."""
    flip: Share = 0.5
    """Probability of mirroring left and right."""
    brightness: Share = 0.12
    """Up to this share of the full range is added or taken away."""
    contrast: Share = 0.3
    """Contrast between 1 - contrast and 1 + contrast, about the image's mean."""
    gamma: Share = 0.3
    """Exponent between exp(-gamma) and exp(gamma)."""
    noise: Share = 0.02
    """Standard deviation of added noise, up to this share of the full range."""


class Optimisation(_Strict):
    """The training loop: AdamW under a one-cycle learning rate (Smith and Topin 2018)."""

    seed: int = 0
    epochs: int = Field(default=20, gt=0)
    batch_size: int = Field(default=64, gt=1)
    learning_rate: float = Field(default=2e-3, gt=0)
    """The peak of the cycle."""
    weight_decay: float = Field(default=0.05, ge=0)
    label_smoothing: Share = 0.1
    ema_decay: float = Field(default=0.995, ge=0, lt=1)
    """Per step. The averaged weights are the ones that are kept."""


class TrainConfig(_Strict):
    """The whole file."""

    data: DataConfig
    package: PackageConfig
    augmentation: Augmentation = Augmentation()
    optimisation: Optimisation = Optimisation()


def read_config(path: Path) -> TrainConfig:
    """Read and check a training configuration; an unknown key is refused by name."""
    try:
        return TrainConfig.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigurationError(f"{path}: cannot be read as TOML: {error}") from error
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(str(part) for part in fault['loc'])}: {fault['msg']}"
            for fault in error.errors()
        )
        raise ConfigurationError(f"{path}: {faults}") from error
