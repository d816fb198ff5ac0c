"""The data report: the facts are counted right, and the page says them in plain words."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from chest_images import an_image
from workers.training.data_report_command import data_report

CONFIG = """
[data]
path = "{path}"
{data}
[package]
name = "squares"
version = "1.0.0"
architecture = "residual-cnn"
intended_use = "a test"
licence = "none"
data_provenance = "made up"
accepts = {{}}
[package.preparation]
size = [16, 16]
mean = 0.4
std = 0.2
[package.label]
name = "Square <b>"
"""
TEXTS = """
kind = "text"
[data]
path = "{path}"
[package]
name = "letters"
version = "1.0.0"
architecture = "bi-gru"
intended_use = "a test"
licence = "none"
data_provenance = "made up"
accepts = {{}}
labels = [{{ name = "effusion" }}, {{ name = "edema" }}]
"""


def write_config(folder: Path, path: Path, data: str = "") -> Path:
    config = folder / "train.toml"
    config.write_text(CONFIG.format(path=path.as_posix(), data=data), encoding="utf-8")
    return config


def write_npz(folder: Path, **changed: Any) -> Path:
    """120 training images of which two are copies of val, and one of train; 60 for val."""
    shades = np.random.default_rng(4).integers(0, 256, (180, 16, 16), dtype=np.uint8)
    train, val = shades[:120].copy(), shades[120:]
    train[0], train[1], train[2] = val[0], val[1], train[3]
    labels = np.arange(180) % 2
    arrays = {
        "train_images": train,
        "train_labels": labels[:120],
        "val_images": val,
        "val_labels": labels[120:],
    }
    path = folder / "squares.npz"
    np.savez(path, **(arrays | changed))
    return path


def write_folder(folder: Path) -> Path:
    """DICOM and PNG beside each other, a patient in two splits, gaps, and a row that is wrong."""
    root = folder / "chest"
    root.mkdir()
    lines = ["path,label,split,patient,age"]
    for number in range(12):
        shades = np.random.default_rng(number).integers(0, 256, (20, 20), dtype=np.uint8)
        split = ("train", "train", "val")[number % 3]
        if number % 2:
            Image.fromarray(shades).save(root / f"{number}.png")
            lines.append(f"{number}.png,{number // 2 % 2},{split},p{number // 3},")
        else:
            made = an_image(root, pixels=shades, PatientAge="060Y", PatientName="SECRET^NAME")
            lines.append(f"{made.name},{number // 2 % 2},{split},p{number // 3},")
    lines.append("gone_smith.png,1,train,p,")
    (root / "labels.csv").write_text("\n".join(lines), encoding="utf-8")
    return root


def run(config: Path, *options: str) -> Result:
    outcome = CliRunner().invoke(data_report, [str(config), *options], catch_exceptions=False)
    assert outcome.exit_code == 0
    return outcome


def facts_of(config: Path) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads(run(config, "--json").stdout)
    return facts


def texts_of(facts: dict[str, Any], level: str) -> str:
    return " ".join(one["text"] for one in facts["findings"] if one["level"] == level)


def test_counts_copies_and_balance_are_told(tmp_path: Path) -> None:
    facts = facts_of(write_config(tmp_path, write_npz(tmp_path)))

    assert facts["splits"] == {"train": 120, "val": 60}
    assert [(one["split"], one["n"], one["present"]) for one in facts["balance"]] == [
        ("train", 120, 60),
        ("val", 60, 30),
    ]
    assert facts["copies"]["exact"]["across"] == {"train in val": 2}
    assert facts["copies"]["exact"]["within"] == {"train": 1}
    assert facts["copies"]["dropped"] == {"exact": 3}
    assert sum(facts["grey"]["present"]) == pytest.approx(1)
    minded = texts_of(facts, "mind")
    assert "Pictures of train that are exact copies of pictures of val: 2." in minded
    assert "Left out of training" in minded
    assert "There is no test split" in minded
    assert "which patient" in minded
    assert "In val fewer than 50 cases" in minded


def test_the_page_is_one_file_that_needs_no_other(tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    run(write_config(tmp_path, write_npz(tmp_path)), "--output", str(page))

    text = page.read_text(encoding="utf-8")

    assert text.count("data:image/png;base64,") >= 16
    assert not re.search(r"https?://|<script|<link|src=\"(?!data:)", text)
    assert "Square &lt;b&gt;" in text
    assert "Square <b>" not in text
    assert "Not for clinical use" in text


def test_a_folder_tells_gaps_shared_patients_and_bad_rows_and_no_names(tmp_path: Path) -> None:
    config = write_config(tmp_path, write_folder(tmp_path))
    page = tmp_path / "report.html"

    facts = json.loads(run(config, "--json", "--output", str(page)).stdout)

    ages = {one["split"]: one for one in facts["attributes"] if one["attribute"] == "PatientAge"}
    assert (ages["train"]["missing"], ages["val"]["missing"]) == (4, 2)
    assert ages["train"]["summary"].startswith("median 60")
    assert facts["copies"]["patients"] == {"train in val": 8}
    assert "rows that cannot be used: 1" in texts_of(facts, "stop")
    assert "images of the train split whose patients are in another split too: 8" in texts_of(
        facts, "stop"
    )
    text = page.read_text(encoding="utf-8")
    assert "labels.csv line 14: there is no such file" in text
    assert "smith" not in text
    assert "SECRET" not in text


def test_splits_of_another_mix_and_a_single_class_are_told(tmp_path: Path) -> None:
    path = write_npz(tmp_path, val_labels=(np.arange(60) % 4 == 0).astype(int))
    assert "not of the same mix" in texts_of(facts_of(write_config(tmp_path, path)), "mind")

    path = write_npz(tmp_path, val_labels=np.ones(60, dtype=int))
    assert "the same label" in texts_of(facts_of(write_config(tmp_path, path)), "stop")


def test_a_policy_that_refuses_is_told_before_training_does(tmp_path: Path) -> None:
    config = write_config(tmp_path, write_npz(tmp_path), 'cleaning = { exact = "refuse" }')

    assert "exact copies of others: 3" in texts_of(facts_of(config), "stop")


def test_texts_are_counted_and_never_shown(tmp_path: Path) -> None:
    records = [
        {"text": "Small effusion.", "labels": ["effusion"], "split": "train"},
        {"text": "SMALL effusion", "labels": ["effusion"], "split": "train"},
        {"text": "Edema of smith.", "labels": ["edema"], "split": "train"},
        {"text": "", "labels": [], "split": "train"},
        {"text": "Edema of Smith", "labels": ["edema"], "split": "val"},
    ]
    path = tmp_path / "reports.jsonl"
    path.write_text("\n".join(map(json.dumps, records)), encoding="utf-8")
    config = tmp_path / "train.toml"
    config.write_text(TEXTS.format(path=path.as_posix()), encoding="utf-8")
    page = tmp_path / "report.html"

    facts = json.loads(run(config, "--json", "--output", str(page)).stdout)

    assert facts["texts"] == {"empty": 1, "repeated": 1, "train in val": 1}
    assert [one["present"] for one in facts["balance"]] == [2, 1, 0, 1]
    assert "smith" not in page.read_text(encoding="utf-8").casefold()
