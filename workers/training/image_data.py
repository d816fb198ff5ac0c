"""`[data]` of a training configuration for images: where they are, and how they are cleaned."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from schemas.preparation import Attribute


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


Policy = Literal["drop", "keep", "refuse"]


class Cleaning(_Strict):
    """What becomes of bad rows and of copies; whatever is done is counted in the data report.

    Only the train split ever loses an image: what is measured on stays as it is.
    """

    bad_rows: Literal["drop", "refuse"] = "refuse"
    """Rows of a CSV that cannot be used: no such file, no label, a damaged image."""
    exact: Policy = "drop"
    """Training images whose prepared pixels come once more in the data, in whatever split."""
    near: Policy = "keep"
    """Training images that look like another one; see `correlation`."""
    correlation: float = Field(default=0.99, gt=0, lt=1)
    """From this correlation of small thumbnails on, two images look alike."""
    patients: Policy = "refuse"
    """Training images of patients who are in another split too."""


class ImageData(_Strict):
    """The labelled images: an npz file in MedMNIST's form, or a folder with files and a CSV.

    In a CSV a column that is not named here is looked for under its usual names.
    """

    path: Path
    """Relative to the folder that `medqueue train` is started in."""
    positive_class: int = 1
    """Which class number means that the label is present; in BreastMNIST it is 0."""
    csv: str | None = None
    """File name inside the folder; by default its only .csv."""
    file: str | None = None
    """Column with the path of the image, inside the folder."""
    label: str | None = None
    """Column with the label: a class number, or a word."""
    present: tuple[str, ...] = ()
    """Words that mean that the label is present; by default present, true, yes."""
    absent: tuple[str, ...] = ()
    """Words that mean that it is absent; by default absent, false, no."""
    split: str | None = None
    """Column with train, val or test."""
    patient: str | None = None
    """Column with what tells patients apart. By default Patient ID of a DICOM file."""
    attributes: dict[Attribute, str] = {}
    """Columns for pictures that have no DICOM header. A DICOM file speaks for itself, as in the
    queue."""
    validation_share: Annotated[float, Field(gt=0, lt=1)] = 0.2
    """Without a split column so many patients are kept for val, by a digest of their ids."""
    cleaning: Cleaning = Cleaning()

    @model_validator(mode="after")
    def _name_both_words(self) -> Self:
        if bool(self.present) != bool(self.absent):
            raise ValueError("give both present and absent: a word in neither is refused")
        return self
