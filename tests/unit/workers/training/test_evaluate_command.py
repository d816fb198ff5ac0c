"""`medqueue evaluate`: the figures, the page, and whose word counts on what is present."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from chest_images import an_image
from medqueue.errors import NotFoundError
from squares import trained, write_config, write_squares
from workers.training.evaluate_command import evaluate


@pytest.fixture(scope="module")
def squares(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with squares.npz and a package that tells them, where class 0 is present."""
    folder = tmp_path_factory.mktemp("squares")
    data = write_squares(folder)
    with np.load(data) as file:
        arrays = {
            name: 1 - values if name.endswith("labels") else values for name, values in file.items()
        }
    np.savez(data, **arrays)
    config = write_config(folder, data)
    text = config.read_text(encoding="utf-8").replace("[package]", "positive_class = 0\n[package]")
    config.write_text(text, encoding="utf-8")
    trained(folder / "package", config)
    return folder


def evaluated(squares: Path, *options: str, data: str = "squares.npz") -> dict[str, Any]:
    outcome = CliRunner().invoke(
        evaluate,
        [str(squares / "package"), "--data", str(squares / data), "--json", *options],
        catch_exceptions=False,
    )
    assert outcome.exit_code == 0
    content: dict[str, Any] = json.loads(outcome.stdout)
    return content


def test_the_package_says_which_class_is_present(squares: Path) -> None:
    assert evaluated(squares)["metrics"]["auroc"] > 0.9
    assert evaluated(squares, "--positive-class", "1")["metrics"]["auroc"] < 0.1


def test_the_manifest_says_it_where_the_configuration_is_gone(
    squares: Path, tmp_path: Path
) -> None:
    package = tmp_path / "package"
    package.mkdir()
    for file in (squares / "package").iterdir():
        if file.is_file() and file.name != "train.toml":
            (package / file.name).write_bytes(file.read_bytes())
    (tmp_path / "squares.npz").write_bytes((squares / "squares.npz").read_bytes())

    assert evaluated(tmp_path)["metrics"]["auroc"] > 0.9


def test_every_figure_has_an_interval_around_it(squares: Path) -> None:
    content = evaluated(squares)

    assert content["intervals"].keys() == content["metrics"].keys()
    for name in ("auroc", "accuracy", "brier"):
        low, high = content["intervals"][name]
        assert low <= content["metrics"][name] <= high
    assert content["bootstrap"]["stratified_by_class"] is True
    assert [point["wanted"] for point in content["thresholds"]] == [0.8, 0.9, 0.95, 0.99]
    assert 0 <= content["conformal"]["covered"] <= 1


def test_a_data_file_with_a_test_split_alone_will_do(squares: Path) -> None:
    with np.load(squares / "squares.npz") as file:
        arrays = {name: file[name] for name in ("test_images", "test_labels")}
    np.savez(squares / "only.npz", **arrays)

    assert evaluated(squares, data="only.npz")["metrics"] == evaluated(squares)["metrics"]


def test_a_folder_with_a_csv_is_measured_by_groups(squares: Path) -> None:
    folder = squares / "folder"
    folder.mkdir()
    with np.load(squares / "squares.npz") as file:
        images, labels = file["test_images"], file["test_labels"].ravel()
    lines = ["path,label,sex,age"]
    for at, (image, label) in enumerate(zip(images, labels, strict=True)):
        Image.fromarray(image).save(folder / f"{at}.png")
        lines.append(f"{at}.png,{label},{'F' if at < 15 else 'M'},{30 + at}")
    (folder / "labels.csv").write_text("\n".join(lines), encoding="utf-8")

    content = evaluated(squares, data="folder")

    assert content["split"] is None
    assert content["metrics"]["auroc"] == pytest.approx(evaluated(squares)["metrics"]["auroc"])
    groups = {(group["attribute"], group["value"]): group for group in content["subgroups"]}
    assert groups["sex", "F"]["cases"] == groups["sex", "M"]["cases"] == 15
    assert groups["age", "18 to under 40"]["cases"] == 10


def test_dicom_headers_name_the_groups(squares: Path) -> None:
    folder = squares / "dicom"
    folder.mkdir()
    with np.load(squares / "squares.npz") as file:
        images, labels = file["test_images"], file["test_labels"].ravel()
    lines = ["path,label"]
    for at, (image, label) in enumerate(zip(images, labels, strict=True)):
        maker = "Acme" if at < 15 else "Other"
        path = an_image(folder, pixels=image, Manufacturer=maker, PatientSex="F")
        lines.append(f"{path.name},{label}")
    (folder / "labels.csv").write_text("\n".join(lines), encoding="utf-8")

    groups = evaluated(squares, data="dicom")["subgroups"]

    assert [(group["attribute"], group["value"], group["cases"]) for group in groups] == [
        ("sex", "F", 30),
        ("view", "PA", 30),
        ("manufacturer", "ACME", 15),
        ("manufacturer", "OTHER", 15),
    ]


def test_the_page_needs_no_network_and_says_what_the_model_is_for(
    squares: Path, tmp_path: Path
) -> None:
    report = tmp_path / "report.html"

    evaluated(squares, "--report", str(report), "--robustness")

    page = report.read_text(encoding="utf-8")
    assert "not for clinical use" in page
    assert "a test with &#34;quotes&#34;" in page
    assert re.search(r"Sensitivity \d+\.\d% \(\d+ of 15\)", page)
    assert "PGD" in page
    assert not re.findall(r'(?:src|href)="(?!#)', page)
    identifiers = re.findall(r'\bid="([^"]+)"', page)
    assert len(identifiers) == len(set(identifiers))


def test_the_curves_are_written_as_pictures(squares: Path, tmp_path: Path) -> None:
    evaluated(squares, "--pictures", str(tmp_path / "curves"))

    names = {path.name for path in (tmp_path / "curves").iterdir()}
    assert {"roc.png", "roc.svg", "precision-recall.png", "reliability.svg"} <= names


def test_an_unknown_name_is_told_how_to_find_one(
    monkeypatch: pytest.MonkeyPatch, squares: Path, tmp_path: Path
) -> None:
    monkeypatch.setenv("MEDQUEUE_DATA_DIR", str(tmp_path))

    with pytest.raises(NotFoundError, match="medqueue models list"):
        CliRunner().invoke(
            evaluate, ["nothing", "--data", str(squares / "squares.npz")], catch_exceptions=False
        )
