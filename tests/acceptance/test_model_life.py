"""An engineer brings data and leaves with a model that runs in the queue, by commands alone."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from chest_images import a_uid, an_image
from medqueue.storage.packages import read_manifest
from squares import CONFIG, write_squares
from waiting import wait_until
from whole_system import System, run, running_up
from workers.models.package import BUNDLED_FOLDER

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(300)]

SECONDS = 60.0
TAKES_CR = 'accepts = {{ modalities = ["CR"] }}'


@pytest.fixture
def system(tmp_path: Path) -> Iterator[System]:
    with running_up(tmp_path / "up") as running:
        yield running


def ran(system: System, *words: str) -> str:
    """What a command prints; it must succeed."""
    ended = run(system, *words)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def a_square(*, is_there: bool) -> NDArray[np.uint8]:
    """An image as those of the training, eight times as large."""
    pixels = np.random.default_rng(11).integers(0, 120, (12, 12), dtype=np.uint8)
    if is_there:
        pixels[4:8, 4:8] += 80
    return np.kron(pixels, np.ones((8, 8), dtype=np.uint8))


def result_of(system: System, folder: Path, pixels: NDArray[np.uint8]) -> dict[str, Any]:
    """Push an image and return what the model `squares` says of it."""
    study = a_uid()
    # With no window the full range is taken, which would stretch the noise.
    window = {"WindowCenter": 128, "WindowWidth": 256}
    system.push(an_image(folder, study=study, pixels=pixels, **window))
    found = system.wait_for_results(2, study_instance_uid=study, seconds=SECONDS)
    (mine,) = [one for one in found if one["model"]["name"] == "squares"]
    return mine


def test_from_labelled_images_to_results_that_can_be_derived_again(
    system: System, tmp_path: Path
) -> None:
    config, model = tmp_path / "train.toml", tmp_path / "model"
    text = CONFIG.replace("accepts = {{}}", TAKES_CR)
    config.write_text(text.format(data=write_squares(tmp_path).as_posix()))

    facts = tmp_path / "data.html"
    ran(system, "data-report", str(config), "--output", str(facts))
    assert "<html" in facts.read_text()

    ran(system, "train", str(config), "--output", str(model))
    page = tmp_path / "report.html"
    data = str(tmp_path / "squares.npz")
    words = ("evaluate", str(model), "--data", data, "--report", str(page), "--json")
    measured = json.loads(ran(system, *words))
    assert measured["n"] == 30
    assert measured["metrics"]["auroc"] > 0.9
    assert "<svg" in page.read_text() or "data:image" in page.read_text()

    ran(system, "models", "add", str(model))
    there = result_of(system, tmp_path, a_square(is_there=True))
    assert [one["presence"] for one in there["findings"]] == ["present"]
    picture = system.get(there["findings"][0]["explanation"])
    assert picture.headers["content-type"] == "image/png"
    not_there = result_of(system, tmp_path, a_square(is_there=False))
    assert [one["presence"] for one in not_there["findings"]] == ["absent"]
    assert json.loads(ran(system, "replay", there["id"], "--json"))

    newer = Path(shutil.copytree(model, tmp_path / "newer"))
    manifest = newer / "manifest.toml"
    manifest.write_text(manifest.read_text().replace('"1.0.0"', '"1.1.0"'))
    ran(system, "models", "add", str(newer))
    ran(system, "models", "promote", "squares", "1.1.0")
    assert result_of(system, tmp_path, a_square(is_there=True))["model"]["version"] == "1.1.0"
    ran(system, "models", "rollback", "squares")
    again = result_of(system, tmp_path, a_square(is_there=True))
    assert again["model"]["version"] == "1.0.0"
    assert again["findings"][0]["probability"] == there["findings"][0]["probability"]


def test_an_image_of_another_kind_gets_no_score(system: System, tmp_path: Path) -> None:
    config, model = tmp_path / "train.toml", tmp_path / "model"
    text = CONFIG.replace("accepts = {{}}", TAKES_CR)
    config.write_text(text.format(data=write_squares(tmp_path).as_posix()))
    ran(system, "train", str(config), "--output", str(model))
    ran(system, "models", "add", str(model))

    stripes = np.zeros((96, 96), dtype=np.uint8)
    stripes[::16] = stripes[:, ::16] = 255
    foreign = result_of(system, tmp_path, stripes)
    assert foreign["status"] == "skipped"
    assert foreign["findings"] == []


def test_a_shadow_sees_what_the_released_version_sees_and_nobody_sees_the_shadow(
    system: System, tmp_path: Path
) -> None:
    newer = Path(shutil.copytree(BUNDLED_FOLDER / "chest-rules-en", tmp_path / "newer"))
    manifest = newer / "manifest.toml"
    version = read_manifest(newer).version
    text = manifest.read_text()
    manifest.write_text(text.replace(f'\nversion = "{version}"', '\nversion = "9.0.0"'))
    ran(system, "models", "add", str(newer))
    ran(system, "models", "shadow", "chest-rules-en", "9.0.0")

    for _ in range(3):
        system.post_report("No pneumothorax. Small left effusion.", language="en")

    def compared() -> list[Any]:
        ended = run(system, "models", "compare", "chest-rules-en", "--json")
        return list(json.loads(ended.stdout)[0]["beside"]) if ended.returncode == 0 else []

    wait_until(lambda: [one["inputs"] for one in compared()] == [3], SECONDS, what="the shadow")
    (beside,) = compared()
    assert beside["version"] == version
    assert all(label["agreed"] == label["stated"] == 3 for label in beside["labels"])
    assert {one["model"]["version"] for one in system.feed()} == {version}
    assert ran(system, "audit")
    ran(system, "models", "shadow", "chest-rules-en", "--off")
    system.wait_until_all_is_done()
    (again,) = compared()
    assert again["inputs"] == 3
