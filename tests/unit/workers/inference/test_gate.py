"""The gate: an image that the model was not made for is skipped with a stable code."""

from pathlib import Path

import pytest

from schemas.manifest import Accepts, Manifest
from workers.inference.gate import refusal
from workers.models.package import bundled_packages, read_manifest

CR = "1.2.840.10008.5.1.4.1.1.1"
CT = "1.2.840.10008.5.1.4.1.1.2"


def chest_model() -> Manifest:
    folders: dict[str, Path] = {folder.name: folder for folder in bundled_packages()}
    return read_manifest(folders["cxr-pneumonia"])


def code_for(
    *,
    modality: str | None = "CR",
    sop_class_uid: str = CR,
    body_part: str | None = "CHEST",
    view_position: str | None = "AP",
) -> str | None:
    refused = refusal(
        chest_model(),
        modality=modality,
        sop_class_uid=sop_class_uid,
        body_part=body_part,
        view_position=view_position,
    )
    return refused.code if refused else None


@pytest.mark.parametrize("body_part", ["CHEST", "chest ", "THORAX", "LUNG", None, ""])
@pytest.mark.parametrize("view_position", ["AP", "PA", None, ""])
def test_a_frontal_chest_radiograph_passes(
    body_part: str | None, view_position: str | None
) -> None:
    assert code_for(body_part=body_part, view_position=view_position) is None


@pytest.mark.parametrize("modality", ["CT", "MR", None, ""])
def test_another_modality_is_refused(modality: str | None) -> None:
    assert code_for(modality=modality) == "modality-not-accepted"


def test_another_sop_class_is_refused() -> None:
    assert code_for(sop_class_uid=CT) == "sop-class-not-accepted"


def test_another_body_part_is_refused() -> None:
    assert code_for(body_part="HAND") == "body-part-not-accepted"


@pytest.mark.parametrize("view", ["LL", "RL", "LATERAL", "ll"])
def test_a_lateral_view_is_refused(view: str) -> None:
    assert code_for(view_position=view) == "view-not-accepted"


def test_the_reason_quotes_the_manifest_and_not_the_sender() -> None:
    refused = refusal(
        chest_model(),
        modality="CR",
        sop_class_uid=CR,
        body_part="DOE^JOHN",
        view_position=None,
    )

    assert refused is not None
    assert "CHEST" in refused.detail
    assert "DOE" not in refused.detail


def test_a_manifest_that_names_nothing_accepts_everything() -> None:
    manifest = chest_model().model_copy(update={"accepts": Accepts()})

    refused = refusal(
        manifest, modality=None, sop_class_uid=CT, body_part="HAND", view_position="LL"
    )

    assert refused is None
