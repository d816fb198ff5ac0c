"""A loaded text model: findings of a document, with the words that it looked at."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from medqueue.errors import ModelError, PackageError
from schemas.finding import Presence
from workers.inference.reader import TextReader
from workers.models.package import Package, bundled_packages, load_package
from workers.models.rnn import BiGru
from workers.models.tokenizer import PADDING_TOKEN, UNKNOWN_TOKEN
from workers.preprocess.text import split
from workers.training.packaging import toml_of

WORDS = [PADDING_TOKEN, UNKNOWN_TOKEN, "effusion", "edema", ";"]


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def a_package(folder: Path, *, max_tokens: int = 50, words: Sequence[str] = WORDS) -> Package:
    """A network made by hand: each label attends to its own word, and is present where it is."""
    network = BiGru(2, vocabulary=len(WORDS), embedding=2, width=2)
    state = {name: torch.zeros_like(value) for name, value in network.state_dict().items()}
    state["embedding.weight"][2:4] = torch.eye(2) * 3
    for direction in ("", "_reverse"):
        # Update gates shut out the past: a state is what its own word says.
        state[f"gru.bias_ih_l0{direction}"][2:4] = -20.0
        state[f"gru.weight_ih_l0{direction}"][4:6] = torch.eye(2) * 3
    both_ways = torch.cat([torch.eye(2), torch.eye(2)], dim=1)
    state["head.queries.weight"] = both_ways * 10
    state["head.outputs.weight"] = both_ways * 10
    state["head.outputs.bias"] = torch.full((2,), -5.0)
    folder.mkdir()
    save_file(state, folder / "weights.safetensors")
    tokens = json.dumps({"form": "words-and-han-1", "tokens": list(words)})
    (folder / "tokenizer.json").write_text(tokens, encoding="utf-8")
    manifest = {
        "name": "by-hand",
        "version": "1.0.0",
        "kind": "text",
        "engine": "torch",
        "architecture": "bi-gru",
        "parameters": {"vocabulary": len(WORDS), "embedding": 2, "width": 2},
        "weights": "weights.safetensors",
        "sha256": sha256(folder / "weights.safetensors"),
        "accepts": {"languages": ["en"]},
        "tokenization": {
            "file": "tokenizer.json",
            "sha256": sha256(folder / "tokenizer.json"),
            "max_tokens": max_tokens,
        },
        "labels": [{"name": "effusion"}, {"name": "edema"}],
        "intended_use": "Tests.",
        "licence": "none",
        "data_provenance": "made up",
        "released": "2026-01-01",
    }
    (folder / "manifest.toml").write_text(toml_of(manifest), encoding="utf-8")
    return load_package(folder)


def test_each_label_points_at_the_words_that_decided_it(tmp_path: Path) -> None:
    text = "FINDINGS: Some Effusion, and then much later\nEDEMA."

    effusion, edema = TextReader(a_package(tmp_path / "p")).label(split(text))

    assert (effusion.presence, edema.presence) == (Presence.PRESENT, Presence.PRESENT)
    assert [span.text for span in effusion.evidence] == ["Effusion"]
    assert [span.text for span in edema.evidence] == ["EDEMA"]
    assert text[edema.evidence[0].start : edema.evidence[0].end] == "EDEMA"


def test_what_is_absent_has_a_probability_and_no_evidence(tmp_path: Path) -> None:
    _, edema = TextReader(a_package(tmp_path / "p")).label(split("Small effusion."))

    assert edema.presence is Presence.ABSENT
    assert edema.probability is not None
    assert edema.probability < 0.5
    assert edema.evidence == ()


def test_a_text_in_several_pieces_says_what_any_piece_says(tmp_path: Path) -> None:
    text = "Nothing of note here. " * 5 + "An effusion. " + "Nothing of note here. " * 5

    effusion, edema = TextReader(a_package(tmp_path / "p", max_tokens=6)).label(split(text))

    assert (effusion.presence, edema.presence) == (Presence.PRESENT, Presence.ABSENT)
    assert text[effusion.evidence[0].start :].startswith("effusion. Nothing")


def test_a_text_that_says_nothing_of_its_study_has_no_findings(tmp_path: Path) -> None:
    reader = TextReader(a_package(tmp_path / "p"))

    assert reader.label(split("INDICATION: effusion?")) == ()
    assert reader.label(split("   ")) == ()


def test_an_image_package_is_refused() -> None:
    chest = {folder.name: folder for folder in bundled_packages()}["cxr-pneumonia"]

    with pytest.raises(PackageError, match="tokenization"):
        TextReader(load_package(chest))


def test_numbers_that_are_no_numbers_are_an_error_of_the_model(tmp_path: Path) -> None:
    reader = TextReader(a_package(tmp_path / "p"))
    with torch.no_grad():
        reader._network.head.outputs.bias.fill_(float("nan"))

    with pytest.raises(ModelError, match="finite"):
        reader.label(split("Effusion."))


def test_a_vocabulary_longer_than_the_network_s_is_an_error_of_the_model(tmp_path: Path) -> None:
    reader = TextReader(a_package(tmp_path / "p", words=[*WORDS, "mass"]))

    with pytest.raises(ModelError, match="IndexError"):
        reader.label(split("Mass."))
