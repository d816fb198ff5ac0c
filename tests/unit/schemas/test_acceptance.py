"""Acceptance: which inputs a model was made for, and a reason that shows no patient data."""

from typing import Any

import pytest

from schemas.acceptance import image_refusal, text_refusal
from schemas.manifest import Accepts
from schemas.result import ResultError

CR, CT = "1.2.840.10008.5.1.4.1.1.1", "1.2.840.10008.5.1.4.1.1.2"
CHEST = Accepts(
    modalities=("CR", "DX"), sop_classes=(CR,), body_parts=("CHEST",), excluded_views=("LL", "RL")
)


def judge(accepts: Accepts = CHEST, **changes: Any) -> ResultError | None:
    image = {"modality": "CR", "sop_class_uid": CR, "body_part": "CHEST", "view_position": "PA"}
    return image_refusal(accepts, **{**image, **changes})


@pytest.mark.parametrize(
    "changes",
    [{}, {"modality": "DX"}, {"body_part": None}, {"view_position": None}, {"view_position": "AP"}],
    ids=repr,
)
def test_an_image_the_model_was_made_for_passes(changes: dict[str, Any]) -> None:
    assert judge(**changes) is None


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"modality": "CT"}, "modality-not-accepted"),
        ({"modality": None}, "modality-not-accepted"),
        ({"sop_class_uid": CT}, "sop-class-not-accepted"),
        ({"body_part": "HAND"}, "body-part-not-accepted"),
        ({"view_position": "LL"}, "view-not-accepted"),
    ],
    ids=repr,
)
def test_any_other_image_is_refused_with_a_stable_code(changes: dict[str, Any], code: str) -> None:
    refusal = judge(**changes)
    assert refusal is not None
    assert refusal.code == code


@pytest.mark.parametrize(
    ("body_part", "passes"), [("BREAST", True), (None, False), ("", False), ("ABDOMEN", False)]
)
def test_a_model_can_require_the_body_part(body_part: str | None, *, passes: bool) -> None:
    accepts = Accepts(modalities=("CR",), body_parts=("BREAST",), body_part_required=True)

    refusal = judge(accepts, body_part=body_part)

    assert (refusal is None) is passes
    assert refusal is None or refusal.code == "body-part-not-accepted"


def test_a_model_without_limits_takes_everything() -> None:
    assert judge(Accepts(), modality=None, body_part="HAND", view_position="LL") is None


def test_the_reason_repeats_codes_but_not_what_may_be_a_name() -> None:
    shown = judge(modality="CT")
    hidden = judge(body_part="Doe^Jane, 7 May")
    assert shown is not None
    assert shown.detail == "modality CT is not among CR, DX"
    assert hidden is not None
    assert hidden.detail == "body part (not a code) is not among CHEST"


@pytest.mark.parametrize(("language", "passes"), [("en", True), ("en-GB", True), ("zh", False)])
def test_a_text_passes_in_the_languages_of_the_model(language: str, *, passes: bool) -> None:
    assert (text_refusal(Accepts(languages=("en",)), language=language) is None) is passes
