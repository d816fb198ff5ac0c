"""How attributes of a DICOM header become numbers for a model: as declared, and as fitted.

Fitted means that the figures of the training split are in it. It is plain data and travels in the
manifest, so that training and queue prepare a row of the table by the same figures.
"""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

NumberAttribute = Literal["PatientAge", "PatientSize", "PatientWeight", "KVP"]
"""By DICOM keyword. Age is in years, size in metres, weight in kilograms."""
CategoryAttribute = Literal[
    "PatientSex",
    "ViewPosition",
    "Laterality",
    "Modality",
    "BodyPartExamined",
    "Manufacturer",
    "ManufacturerModelName",
]
Attribute = NumberAttribute | CategoryAttribute
"""What a model may be told beside the pixels. None of it names a patient."""


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class NumberColumn(_Strict):
    """A number, as a training configuration declares it."""

    attribute: NumberAttribute
    missing: Literal["drop", "mean", "median", "mode", "constant"] = "median"
    """What stands for a value that is not there; `drop` trains without such an image, and skips it
    in the queue."""
    constant: float | None = None
    """With `missing = "constant"`: in the attribute's unit."""
    scale: Literal["none", "min-max", "z-score", "robust"] = "z-score"
    """`robust`: median to 0 and the range from the first to the third quartile to 1."""

    @model_validator(mode="after")
    def _give_the_constant(self) -> Self:
        _require_constant(self.missing, self.constant)
        return self


class CategoryColumn(_Strict):
    """One of several words, as a training configuration declares it."""

    attribute: CategoryAttribute
    missing: Literal["drop", "mode", "constant"] = "mode"
    """As for numbers."""
    constant: str | None = None
    encode: Literal["one-hot", "label"] = "one-hot"
    """`label`: the words in order of the alphabet are 1, 2, 3 and so on."""
    unknown: Literal["ignore", "refuse"] = "ignore"
    """A word that training has not seen is nothing (all 0); or the input is skipped."""
    min_count: int = Field(default=1, gt=0)
    """A word that comes less often in the train split counts as not seen, so that the model learns
    what to make of such."""

    @model_validator(mode="after")
    def _give_the_constant(self) -> Self:
        _require_constant(self.missing, self.constant)
        return self


Column = Annotated[NumberColumn | CategoryColumn, Field(discriminator="attribute")]


class FittedNumber(_Strict):
    """One feature: (value - centre) / spread."""

    attribute: NumberAttribute
    fill: float | None = None
    """Stands for a missing value; None where such an input is skipped."""
    centre: float
    spread: float = Field(gt=0)

    @property
    def features(self) -> tuple[str, ...]:
        """Name its one number."""
        return (self.attribute,)


class FittedCategory(_Strict):
    """A feature for each known word, or one feature with the number of the word."""

    attribute: CategoryAttribute
    words: tuple[str, ...] = Field(min_length=1, max_length=1000)
    encode: Literal["one-hot", "label"]
    unknown: Literal["ignore", "refuse"]
    fill: str | None = None

    @property
    def features(self) -> tuple[str, ...]:
        """Name its numbers."""
        if self.encode == "label":
            return (self.attribute,)
        return tuple(f"{self.attribute}={word}" for word in self.words)


FittedColumn = Annotated[FittedNumber | FittedCategory, Field(discriminator="attribute")]


class TablePreparation(_Strict):
    """`[table]` of a manifest: from attributes of a header to the row that a network takes."""

    columns: tuple[FittedColumn, ...] = Field(min_length=1)

    @property
    def features(self) -> tuple[str, ...]:
        """Name each number of a prepared row, in order."""
        return tuple(name for column in self.columns for name in column.features)


def _require_constant(missing: str, constant: object) -> None:
    if (missing == "constant") != (constant is not None):
        raise ValueError('missing = "constant" and constant = ... go together')
