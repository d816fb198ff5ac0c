"""Manifests and results: strict, so that a typo or a foreign field is an error, not a default."""

from typing import Any

import pytest
from pydantic import ValidationError

from builders import a_text_model, an_image_model
from schemas.finding import Finding, Presence
from schemas.manifest import Accepts, ImagePreparation, Label, Manifest


def test_a_manifest_survives_json() -> None:
    for manifest in (an_image_model(), a_text_model()):
        assert Manifest.model_validate_json(manifest.model_dump_json()) == manifest
        assert Manifest.model_validate(manifest.model_dump(mode="json")) == manifest


def test_a_result_says_which_model_gave_it_and_what_it_may_be_used_for() -> None:
    manifest = an_image_model()
    reference = manifest.reference()
    assert (reference.name, reference.version, reference.sha256) == (
        "chest",
        "1.0.0",
        manifest.sha256,
    )
    assert reference.intended_use == manifest.intended_use
    assert reference.cleared_for_clinical_use is False


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "../chest"},
        {"name": "Chest"},
        {"name": "c" * 64},
        {"version": "1.0"},
        {"version": "latest"},
        {"sha256": "A" * 64},
        {"sha256": ""},
        {"temperature": 0},
        {"engine": "pickle"},
        {"labels": ({"name": "x", "threshold": 1.5},)},
        {"treshold": 0.5},
        {"weights": "../weights.safetensors"},
        {"engine": "onnx"},  # with saliency, which needs layers to look into
        {"engine": "rules", "check": {"file": "check.jsonl", "sha256": "0" * 64}},
        {"tokenization": {"file": "a/b", "sha256": "0" * 64, "max_tokens": 1}},
        {"tokenization": {"file": "weights.safetensors", "sha256": "1" * 64, "max_tokens": 1}},
    ],
    ids=repr,
)
def test_a_manifest_with_a_fault_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        an_image_model(**changes)


def test_the_files_of_a_package_are_those_that_any_of_its_tables_names() -> None:
    vocabulary = {"file": "words.json", "sha256": "1" * 64, "max_tokens": 1}
    manifest = a_text_model(tokenization=vocabulary)
    assert manifest.named_files() == {
        manifest.weights: manifest.sha256,
        "words.json": "1" * 64,
    }


@pytest.mark.parametrize("model", [Accepts, ImagePreparation])
def test_a_misspelt_field_is_refused(model: type[Accepts] | type[ImagePreparation]) -> None:
    with pytest.raises(ValidationError, match="extra_forbidden"):
        model.model_validate({"size": (1, 1), "mean": 0, "std": 1, "modalites": ["CR"]})


@pytest.mark.parametrize("probability", [-0.01, 1.01, float("nan")])
def test_a_probability_is_between_nought_and_one(probability: float) -> None:
    with pytest.raises(ValidationError):
        Finding(label="x", probability=probability, presence=Presence.PRESENT)


def test_a_rule_gives_no_probability() -> None:
    assert Finding(label="x", presence=Presence.ABSENT).probability is None


@pytest.mark.parametrize(
    ("probability", "presence"), [(0.29, Presence.ABSENT), (0.3, Presence.PRESENT)]
)
def test_a_finding_is_present_from_its_threshold_on(probability: float, presence: Presence) -> None:
    finding = Label(name="effusion", threshold=0.3).judge(probability)
    assert (finding.presence, finding.probability, finding.threshold) == (
        presence,
        probability,
        0.3,
    )
