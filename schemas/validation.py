"""What a manifest says of how its model was trained and validated."""

from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Histogram(_Strict):
    """How a figure of the validation images is spread."""

    edges: tuple[float, ...]
    """Between the bins, rising; the first and the last bin are open."""
    shares: tuple[float, ...]
    """Of the images in each bin."""

    @model_validator(mode="after")
    def _one_share_a_bin(self) -> Self:
        if len(self.shares) != len(self.edges) + 1 or list(self.edges) != sorted(set(self.edges)):
            raise ValueError("needed are rising edges and one share more than edges")
        return self


class Reference(_Strict):
    """What inputs were like where the model was validated; drift is measured against it."""

    cases: int = Field(gt=0)
    intensity: Histogram
    contrast: Histogram
    score: Histogram


class Calibration(_Strict):
    """What the temperatures do to the expected calibration error, in 15 bins of equal width.

    Measured on the validation split, each half of it judged by what was fitted on the other half.
    """

    cases: int = Field(gt=0)
    seed: int
    """Of the parting into halves."""
    ece_before: float = Field(ge=0)
    ece: float = Field(ge=0)
    ece_by_chance: float = Field(ge=0)
    """What a perfectly calibrated model would show on so many cases; no error below it counts."""


class Conformal(_Strict):
    """From where to where the probability of one image rules out neither answer, or one.

    'present' is in its prediction set from `present_from` on, 'absent' up to `absent_up_to`. An
    image with both, or with neither, is uncertain. Results do not carry the set: their probability
    is the highest over a series' images, for which no coverage was measured.
    """

    coverage: float = Field(gt=0, lt=1)
    """Of cases with the finding, and of those without, so many are to keep the true answer."""
    present_from: float = Field(ge=0, le=1)
    absent_up_to: float = Field(ge=0, le=1)
    seed: int
    """Of the parting of the validation split into halves."""
    fitted_on: int = Field(gt=0)
    """Cases of the half that the cut-offs are from."""
    measured_on: int = Field(gt=0)
    """Cases of the other half, which the two shares below are of."""
    covered: float = Field(ge=0, le=1)
    uncertain: float = Field(ge=0, le=1)


class LabelledData(_Strict):
    """How data with labels are read that the model is measured on, and what it was trained on."""

    positive_class: int
    """Which class number means that the label is present; in BreastMNIST it is 0."""
    trained_on: int | None = Field(default=None, gt=0)
    """Images of the train split, after cleaning."""
    left_out: dict[str, int] = {}
    """Images of the train split that were not trained on, by reason."""
