"""Judging distances: usual images pass, unusual ones are marked, foreign ones refused."""

import numpy as np
import pytest

from builders import an_image_model, sha256
from medqueue.errors import ForeignImageError, ModelError
from schemas.manifest import Gate
from workers.inference.gate import UNUSUAL, cautions_on


def gate(**changes: float | None) -> Gate:
    levels = {"mark_beyond": 1.2, "refuse_beyond": 1.5} | changes
    return Gate(file="g.safetensors", sha256=sha256(""), cases=9, passed=1, seed=0, **levels)


MODEL = an_image_model(gate=gate())


def distances(*values: float) -> np.ndarray:
    return np.array(values, dtype=np.float32)


def test_usual_images_need_no_caution() -> None:
    assert cautions_on(MODEL, distances(0.7, 1.19)) == ()


def test_an_unusual_image_is_marked_with_its_distance() -> None:
    (caution,) = cautions_on(MODEL, distances(1.0, 1.31, 0.9))

    assert caution.code == UNUSUAL
    assert "image 2 of 3" in caution.detail
    assert "distance 1.31" in caution.detail


def test_a_foreign_image_refuses_its_whole_series() -> None:
    with pytest.raises(ForeignImageError, match=r"image 3 of 3 .* distance 1\.62 .* beyond 1\.50"):
        cautions_on(MODEL, distances(1.0, 0.9, 1.62))


def test_a_distance_that_is_no_number_is_foreign() -> None:
    with pytest.raises(ForeignImageError):
        cautions_on(MODEL, distances(1.0, float("nan")))


def test_a_package_may_have_foreign_images_only_marked() -> None:
    lenient = an_image_model(gate=gate(refuse_beyond=None))

    assert [one.code for one in cautions_on(lenient, distances(9))] == [UNUSUAL]


def test_a_model_without_a_gate_judges_nothing() -> None:
    assert cautions_on(an_image_model(), None) == ()


def test_an_engine_that_measures_no_distance_cannot_pass_a_gate() -> None:
    with pytest.raises(ModelError, match="measures no distance"):
        cautions_on(MODEL, None)


def test_levels_in_the_wrong_order_are_refused() -> None:
    with pytest.raises(ValueError, match="refuse_beyond"):
        gate(refuse_beyond=1.0)
