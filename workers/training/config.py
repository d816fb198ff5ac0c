"""What `medqueue train` reads: one TOML file that describes data, model and optimisation.

Everything that ends up in the package's manifest is described here, except what training finds out:
the temperature, the vocabulary, the digests of the files, and the day.
"""

import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from medqueue.errors import ConfigurationError
from schemas.manifest import Accepts, ImagePreparation, Label, Name, Version
from schemas.preparation import Column
from workers.training.image_data import ImageData
from workers.training.optimisation import Optimisation, Share
from workers.training.records import RecordForm
from workers.training.search import Search


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Generated(_Strict):
    """Texts that `workers.training.phrasebook` writes, instead of a file."""

    seed: int = 0
    train: int = Field(gt=0)
    val: int = Field(gt=0)
    """Texts of either split, shared out evenly among the model's languages."""


class TextData(RecordForm):
    """The labelled texts: JSON lines with a train and a val split, or generated ones."""

    path: Path | None = None
    """Relative to the folder that `medqueue train` is started in."""
    generated: Generated | None = None
    calibration_share: float = Field(default=0.1, gt=0, lt=1)
    """So much of the train split is kept out of training; the temperature is fitted on it."""

    @model_validator(mode="after")
    def _has_one_source(self) -> Self:
        if (self.path is None) == (self.generated is None):
            raise ValueError("give either path or generated")
        return self


class _PackageConfig(_Strict):
    """What the manifest says about any model; see `schemas.manifest.Manifest`."""

    name: Name
    version: Version
    architecture: str
    parameters: dict[str, int | float | str | bool] = {}
    accepts: Accepts
    candidate: bool = False
    intended_use: str
    licence: str
    data_provenance: str


class ImagePackage(_PackageConfig):
    """An image model has one label."""

    preparation: ImagePreparation
    table: tuple[Column, ...] = ()
    """What the model is told beside the pixels; for networks such as `image-table`."""
    label: Label


class TextPackage(_PackageConfig):
    """A text model has any number; its network learns the size of its vocabulary by itself."""

    labels: tuple[Label, ...] = Field(min_length=1)
    max_tokens: int = Field(default=256, gt=0)
    min_count: int = Field(default=2, gt=0)
    """A word that comes less often in the training texts is unknown."""


PackageConfig = ImagePackage | TextPackage


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
    aspect: Share = 0
    """Ratio of width to height between exp(-2 aspect) and exp(2 aspect), the area kept."""
    flip: Share = 0.5
    """Probability of mirroring left and right."""
    brightness: Share = 0.12
    """Up to this share of the full range is added or taken away."""
    contrast: Share = 0.3
    """Contrast between 1 - contrast and 1 + contrast, about the image's mean."""
    gamma: Share = 0.3
    """Exponent between exp(-gamma) and exp(gamma)."""
    sharpness: Share = 0
    """From blurred to sharpened by up to this share of the detail that a small blur removes: how
    sharp an image is depends on the device, and must not be what a finding is told by."""
    noise: Share = 0.02
    """Standard deviation of added noise, up to this share of the full range."""


class TextAugmentation(_Strict):
    """What is done to a training text; drawn anew for each text and epoch."""

    unknown: Share = 0.05
    """So many of its words are made unknown, as words of other hospitals are."""


class ImageTraining(_Strict):
    """The whole file, for a model of images."""

    kind: Literal["image"] = "image"
    data: ImageData
    package: ImagePackage
    augmentation: Augmentation = Augmentation()
    optimisation: Optimisation = Optimisation()
    tune: Search | None = None


class TextTraining(_Strict):
    """The whole file, for a model of texts."""

    kind: Literal["text"]
    data: TextData
    package: TextPackage
    augmentation: TextAugmentation = TextAugmentation()
    optimisation: Optimisation = Optimisation()
    tune: Search | None = None


TrainConfig = Annotated[ImageTraining | TextTraining, Field(discriminator="kind")]
_ADAPTER: TypeAdapter[ImageTraining | TextTraining] = TypeAdapter(TrainConfig)


def read_config(path: Path) -> ImageTraining | TextTraining:
    """Read and check a training configuration; an unknown key is refused by name."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigurationError(f"{path}: cannot be read as TOML: {error}") from error
    return parse_config(table, path)


def parse_config(table: dict[str, Any], path: Path) -> ImageTraining | TextTraining:
    """Check the content of a training configuration; `path` is for the error."""
    try:
        return _ADAPTER.validate_python({"kind": "image"} | table)
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(str(part) for part in fault['loc'])}: {fault['msg']}"
            for fault in error.errors()
        )
        raise ConfigurationError(f"{path}: {faults}") from error
