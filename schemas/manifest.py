"""The manifest of a model package: what it is, what it takes, and how it is prepared."""

import re
from collections.abc import Iterator
from datetime import date
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)

from schemas.finding import Code, Finding, Presence
from schemas.preparation import TablePreparation
from schemas.result import ModelReference, ResultKind
from schemas.validation import Calibration, Conformal, LabelledData, Reference

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
Temperatures = tuple[float, float]
"""Of logits below zero, and of those above."""
Version = Annotated[str, StringConstraints(pattern=r"^[0-9]+\.[0-9]+\.[0-9]+([-+][0-9A-Za-z.]+)?$")]
_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


def _without_path(name: str) -> str:
    if _FILE_NAME.fullmatch(name) is None:
        raise ValueError("must be the name of a file inside the package, without a path")
    return name


FileName = Annotated[str, AfterValidator(_without_path)]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class NamedFile(_Strict):
    """A file of the package. A table of the manifest that needs one has this as base or field."""

    file: FileName
    """File name inside the package folder, without a path."""
    sha256: Sha256
    """Of that file."""


class Accepts(_Strict):
    """Which inputs the model was made for; anything else is skipped with the reason."""

    modalities: tuple[str, ...] = ()
    sop_classes: tuple[str, ...] = ()
    body_parts: tuple[str, ...] = ()
    """Body Part Examined values; an input without one passes, since many senders leave it out."""
    body_part_required: bool = False
    """An input without one does not pass either: where the modality alone says too little, as an
    ultrasound of any organ does."""
    excluded_views: tuple[str, ...] = ()
    """View Position values that the model has never seen, such as `LL` for a chest model."""
    languages: tuple[str, ...] = ()


class ImagePreparation(_Strict):
    """Pixels to tensor. Part of the model: another way of resizing loses images."""

    modality_lut: bool = True
    voi: Literal["header-or-range", "range"] = "header-or-range"
    invert_monochrome1: bool = True
    takes: Literal["single-frame", "frames", "volume"] = "single-frame"
    """What the model was made for: objects of one frame, every frame of each object, or every slice
    of a series that is one whole volume, in the order of space. Anything else is skipped."""
    colour: Literal["skip", "as-grey"] = "skip"
    """What becomes of a colour image: its luminance by ITU-R BT.601 is taken, or none of it."""
    window: tuple[float, float] | None = None
    """Centre and width in the units of the Modality LUT, Hounsfield units for CT; it replaces the
    header's. A volume needs one: windows of a header are of its slice."""
    crop: Literal["centre-square", "none"] = "centre-square"
    size: tuple[int, int]
    """Rows, columns."""
    interpolation: Literal["bicubic", "bilinear"] = "bicubic"
    mean: float
    std: float
    """Of 8-bit values scaled to 0..1: tensor = (value / 255 - mean) / std."""

    @model_validator(mode="after")
    def _require_window(self) -> Self:
        if self.takes == "volume" and self.window is None:
            raise ValueError('a model that takes = "volume" needs a window')
        if self.window is not None and self.window[1] <= 0:
            raise ValueError("the width of the window must be above zero")
        return self


class Tokenization(NamedFile):
    """Text to token numbers. Part of the model: other numbers are other words to it.

    The file is the vocabulary.
    """

    max_tokens: int = Field(gt=0, le=10_000)
    """What the network reads at once; a longer text is read in pieces of whole sentences."""


class CheckSet(NamedFile):
    """Inputs with the outputs that they must give: whether this machine runs what its maker made.

    The file of an image model is safetensors with `images` (n, 1, rows, columns), as prepared, and
    `probabilities` (n, labels); that of a text model is JSON lines with `text`, `language` and
    `probabilities`. The inputs travel with the package, so they are made up or may be given away.
    """

    tolerance: float = Field(default=1e-4, gt=0, le=0.1)
    """The greatest difference of a probability that is let pass."""


class Gate(NamedFile):
    """Levels of the distance by which an image differs from those that the model was trained on.

    The file is safetensors: what is usual in each layer of the network (`workers.models.gate`).
    """

    mark_beyond: float = Field(gt=0)
    """An image beyond it is scored, and its result carries a caution."""
    refuse_beyond: float | None = Field(default=None, gt=0)
    """An image beyond it is foreign: its series is skipped. None: images are only marked."""
    cases: int = Field(gt=0)
    """Images of the validation split that `mark_beyond` is of."""
    passed: float = Field(ge=0, le=1)
    """Share of the other images of the validation split that lie within `mark_beyond`."""
    seed: int
    """Of the parting of that split."""

    @model_validator(mode="after")
    def _mark_before_refusing(self) -> Self:
        if self.refuse_beyond is not None and self.refuse_beyond < self.mark_beyond:
            raise ValueError("refuse_beyond must not be below mark_beyond")
        return self


class Label(_Strict):
    """One output of the model."""

    name: str
    code: Code | None = None
    threshold: float = Field(default=0.5, ge=0, le=1)
    sums_up: bool = False
    """Such as 'any finding': it speaks of the others and is left out of averages over labels."""

    def judge(self, probability: float) -> Finding:
        """Return the finding of a probability, present from the threshold on."""
        return Finding(
            code=self.code,
            label=self.name,
            probability=probability,
            threshold=self.threshold,
            presence=Presence.PRESENT if probability >= self.threshold else Presence.ABSENT,
        )


class Engine(StrEnum):
    """How the weights are run."""

    TORCH = "torch"
    ONNX = "onnx"
    """Image networks, by ONNX Runtime on the CPU."""
    RULES = "rules"
    COMPARISON = "comparison"
    """Compares the results of others; see `medqueue.ledger.cross_checks`."""


class Saliency(StrEnum):
    """How it is shown where in an image a finding was seen."""

    GRAD_CAM = "grad-cam"
    INTEGRATED_GRADIENTS = "integrated-gradients"
    OFF = "off"
    """No pictures are made."""


class Resources(_Strict):
    """What the model needs while it is loaded."""

    memory_mib: int = Field(default=64, gt=0)
    max_batch: int = Field(default=32, gt=0)


class Manifest(_Strict):
    """`manifest.toml` of a model package."""

    name: Name
    version: Version
    """A version never changes: other weights, or another manifest, need another one."""
    kind: ResultKind
    """`image` or `text`."""
    engine: Engine
    """`torch`, `onnx`, `rules` or `comparison`."""
    architecture: str
    """Name in the registry of architectures, or of the rule labeler."""
    parameters: dict[str, int | float | str | bool] = {}
    """That the network is built with."""
    weights: FileName
    """File name inside the package folder, without a path."""
    sha256: Sha256
    """Of the weights file."""
    accepts: Accepts
    preparation: ImagePreparation | None = None
    table: TablePreparation | None = None
    """What an image model is told beside the pixels."""
    tokenization: Tokenization | None = None
    check: CheckSet | None = None
    gate: Gate | None = None
    drift: Reference | None = None
    saliency: Saliency = Saliency.GRAD_CAM
    """Of an image model: the picture that each finding which is present comes with."""
    labels: tuple[Label, ...] = ()
    temperature: float = Field(default=1.0, gt=0)
    """Logits are divided by it before the sigmoid (Guo et al. 2017)."""
    temperature_above: float | None = Field(default=None, gt=0)
    """Where logits above zero have one of their own; `temperature` is then of those below."""
    calibration: Calibration | None = None
    conformal: Conformal | None = None
    data: LabelledData | None = None
    resources: Resources = Resources()
    intended_use: str
    """Stands in every result."""
    cleared_for_clinical_use: bool = False
    licence: str
    data_provenance: str
    released: date
    candidate: bool = False
    """Its first version too waits for `medqueue models promote`."""

    @model_validator(mode="after")
    def _name_each_file_once(self) -> Self:
        self.named_files()
        return self

    @model_validator(mode="after")
    def _check_probabilities_only(self) -> Self:
        if self.check is not None and self.engine not in (Engine.TORCH, Engine.ONNX):
            raise ValueError("a check set holds probabilities, and its engine gives none")
        return self

    @model_validator(mode="after")
    def _ask_onnx_for_logits_only(self) -> Self:
        if self.engine is not Engine.ONNX:
            return self
        if self.kind is not ResultKind.IMAGE:
            raise ValueError("onnx serves image models")
        if self.gate is not None or self.saliency is not Saliency.OFF:
            raise ValueError('onnx has no layers to look into: no gate, and saliency = "off"')
        return self

    def named_files(self) -> dict[str, str]:
        """Return the SHA-256 of every file of the package but the manifest itself, by its name.

        Raises:
            ValueError: one name has two digests.
        """
        files = {self.weights: self.sha256}
        for named in _named_in(self):
            if files.setdefault(named.file, named.sha256) != named.sha256:
                raise ValueError(f"{named.file} is named with two digests")
        return files

    @property
    def planes(self) -> int:
        """Return how many planes a prepared image has: the picture, and one a number of a row."""
        return 1 + (len(self.table.features) if self.table else 0)

    @property
    def temperatures(self) -> Temperatures:
        """Return the temperatures of logits below and above zero."""
        return self.temperature, self.temperature_above or self.temperature

    def reference(self) -> ModelReference:
        """Return what a result says about the model."""
        return ModelReference(
            name=self.name,
            version=self.version,
            sha256=self.sha256,
            intended_use=self.intended_use,
            cleared_for_clinical_use=self.cleared_for_clinical_use,
        )


def _named_in(table: BaseModel) -> Iterator[NamedFile]:
    """Yield the named files of a table and of the tables in it."""
    for field in type(table).model_fields:
        value = getattr(table, field)
        for one in value if isinstance(value, tuple) else (value,):
            if isinstance(one, NamedFile):
                yield one
            if isinstance(one, BaseModel):
                yield from _named_in(one)
