"""A release and a rollback while studies stream in: workers follow, and nothing is lost between."""

import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from chest_images import a_uid, an_image
from medqueue.storage.packages import read_manifest
from waiting import wait_until
from whole_system import System, run, running_up
from workers.models.package import BUNDLED_FOLDER

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

NAME = "cxr-pneumonia"
SERVES_SECONDS = 5.0
"""From the end of the command to the result of the next study; with a load of 13 on two cores it
took 1.0 after the promotion and 1.7 after the rollback."""
_PAUSE_SECONDS = 0.5
"""Between studies: more of them would only make the feed long that the test reads."""


@pytest.fixture
def system(tmp_path: Path) -> Iterator[System]:
    with running_up(tmp_path / "up") as running:
        yield running


@pytest.fixture
def newer(tmp_path: Path) -> Path:
    folder = Path(shutil.copytree(BUNDLED_FOLDER / NAME, tmp_path / "newer"))
    manifest = folder / "manifest.toml"
    version = read_manifest(folder).version
    text = manifest.read_text().replace(f'\nversion = "{version}"', '\nversion = "9.0.0"')
    manifest.write_text(text, encoding="utf-8")
    return folder


@contextmanager
def studies_streaming_in(system: System, folder: Path) -> Iterator[list[str]]:
    """Push one study after the other in the background; yield those that were accepted."""
    stop, accepted = threading.Event(), list[str]()

    def push() -> None:
        while not stop.wait(_PAUSE_SECONDS):
            study = a_uid()
            system.push(an_image(folder, study=study))
            accepted.append(study)

    thread = threading.Thread(target=push)
    thread.start()
    try:
        wait_until(lambda: len(accepted) > 2, 20, what="first studies")
        yield accepted
    finally:
        stop.set()
        thread.join(20)


def next_study_is_served_by(system: System, folder: Path, version: str) -> float:
    """Push one study, and return after how many seconds this version has diagnosed it."""
    begin = time.monotonic()
    study = a_uid()
    system.push(an_image(folder, study=study))
    (result,) = system.wait_for_results(study_instance_uid=study)
    assert (result["status"], result["model"]["version"]) == ("final", version)
    return time.monotonic() - begin


def test_the_next_study_goes_to_the_promoted_version_and_after_a_rollback_to_the_one_before(
    system: System, newer: Path, tmp_path: Path
) -> None:
    bundled = read_manifest(BUNDLED_FOLDER / NAME).version
    pictures = tmp_path / "pictures"
    pictures.mkdir()

    with studies_streaming_in(system, pictures) as accepted:
        for words in (("add", str(newer)), ("promote", NAME, "9.0.0")):
            assert run(system, "models", *words).returncode == 0
        took = next_study_is_served_by(system, tmp_path, "9.0.0")
        assert run(system, "models", "rollback", NAME).returncode == 0
        took_back = next_study_is_served_by(system, tmp_path, bundled)
    assert max(took, took_back) < SERVES_SECONDS

    system.wait_until_all_is_done()
    results = [one for one in system.feed() if one["study_instance_uid"] in set(accepted)]
    assert sorted(one["study_instance_uid"] for one in results) == sorted(accepted)
    assert {one["status"] for one in results} == {"final"}
    assert {one["model"]["version"] for one in results} == {bundled, "9.0.0"}
