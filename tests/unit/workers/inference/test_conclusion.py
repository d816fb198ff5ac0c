"""What is concluded of a reading: findings with pictures, cautions, and figures for drift."""

from io import BytesIO

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from builders import an_image_model, sha256
from medqueue.errors import ForeignImageError
from schemas.finding import Presence
from schemas.manifest import Gate, Label, Saliency
from workers.inference.conclusion import conclude
from workers.inference.reading import Explanation, Reading

GATE = Gate(
    file="g.safetensors",
    sha256=sha256(""),
    mark_beyond=1.2,
    refuse_beyond=1.5,
    cases=9,
    passed=1,
    seed=0,
)
MODEL = an_image_model(labels=(Label(name="nodule"), Label(name="effusion")), gate=GATE)
IMAGES = np.stack([np.full((1, 28, 28), value, dtype=np.float32) for value in (-2, 0, 2)])


class Model:
    """Says what it is told to, and remembers what it was asked to explain."""

    def __init__(
        self, *probabilities: tuple[float, float], distances: tuple[float, ...] = (1, 1, 1)
    ) -> None:
        self._reading = Reading(
            np.array(probabilities, dtype=np.float32), np.array(distances, dtype=np.float32)
        )
        self.asked: list[tuple[float, int]] = []
        self.explains = True

    def read(self, images: NDArray[np.float32]) -> Reading:
        assert images is IMAGES
        return self._reading

    def explain(self, image: NDArray[np.float32], label: int) -> Explanation | None:
        self.asked.append((float(image[0, 0, 0]), label))
        values = np.eye(28, dtype=np.float32)
        return Explanation(Saliency.GRAD_CAM, values) if self.explains else None


def test_a_finding_that_is_present_has_a_picture_of_the_image_that_shows_it_best() -> None:
    model = Model((0.2, 0.1), (0.6, 0.2), (0.9, 0.3))

    outcome = conclude(IMAGES, MODEL, model)

    nodule, effusion = outcome.findings
    (picture,) = outcome.pictures
    assert model.asked == [(2, 0)]
    assert nodule.explanation == picture.address == f"/explanations/{picture.id}"
    assert (effusion.presence, effusion.explanation) == (Presence.ABSENT, None)


def test_the_picture_is_a_png_with_the_image_and_a_legend_below() -> None:
    outcome = conclude(IMAGES, MODEL, Model((0.2, 0.1), (0.6, 0.2), (0.9, 0.3)))

    with Image.open(BytesIO(outcome.pictures[0].content)) as shown:
        pixels = np.asarray(shown)
        assert (shown.format, shown.mode, shown.info) == ("PNG", "RGB", {})

    assert pixels.shape[1] == 448 < pixels.shape[0]
    off_diagonal, on_diagonal = pixels[4, 440], pixels[4, 4]
    assert off_diagonal.tolist() == [255, 255, 255]
    assert on_diagonal.tolist() != [255, 255, 255]
    assert pixels[450:].max() == 255  # letters


def test_without_an_explanation_a_finding_stands_alone() -> None:
    model = Model((0.2, 0.1), (0.6, 0.2), (0.9, 0.3))
    model.explains = False

    outcome = conclude(IMAGES, MODEL, model)

    assert (outcome.pictures, outcome.findings[0].explanation) == ((), None)


def test_an_unusual_image_leaves_a_caution_beside_the_findings() -> None:
    outcome = conclude(IMAGES, MODEL, Model((0, 0), (0, 0), (0, 0), distances=(1, 1.3, 1)))

    assert [caution.code for caution in outcome.cautions] == ["unusual-image"]
    assert len(outcome.findings) == 2


def test_a_foreign_image_leaves_no_score_and_no_picture() -> None:
    model = Model((0.9, 0.9), (0, 0), (0, 0), distances=(1, 1, 2))

    with pytest.raises(ForeignImageError):
        conclude(IMAGES, MODEL, model)

    assert model.asked == []


def test_figures_say_what_the_images_were_like() -> None:
    outcome = conclude(IMAGES, MODEL, Model((0.2, 0.1), (0.6, 0.2), (0.9, 0.3)))

    assert outcome.figures is not None
    assert outcome.figures.model_dump() == {
        "intensity": pytest.approx(0.5),
        "contrast": pytest.approx(0),
        "score": pytest.approx(0.9),
        "distance": pytest.approx(1),
    }
