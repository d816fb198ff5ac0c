"""A PACS pushes studies, as real PACS tools do, and another system reads the results."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import (
    BasicTextSRStorage,
    CTImageStorage,
    DigitalXRayImageStorageForPresentation,
)

from chest_images import a_picture, a_uid, an_image
from medqueue.operate import sender
from waiting import wait_until
from whole_system import System, run, statuses
from workers.inference.session import Session
from workers.models.calibration import calibrated_probabilities
from workers.models.package import bundled_packages, load_package
from workers.training.data import read_split
from workers.training.evaluate import logits_of_images

pytestmark = pytest.mark.acceptance

SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "data"
STORESCU = Path("/usr/bin/storescu")
NO_PIXELS = dict.fromkeys(
    (
        "PixelData",
        "Rows",
        "Columns",
        "SamplesPerPixel",
        "PhotometricInterpretation",
        "BitsAllocated",
        "BitsStored",
        "HighBit",
        "PixelRepresentation",
    )
)

needs_shared_data = pytest.mark.skipif(
    not SHARED.is_dir(), reason=f"needs {SHARED}, which is not in the project"
)


@pytest.fixture(scope="module")
def storescu() -> str:
    """The sender of dcmtk."""
    found = shutil.which("storescu") or str(STORESCU)
    if Path(found).exists():
        return found
    if os.environ.get("CI") == "true":  # noqa: TID251 - not a setting of medqueue
        pytest.fail("no storescu in CI: apt-get install dcmtk", pytrace=False)
    pytest.skip("no storescu: apt-get install dcmtk")


def push_with(storescu: str, system: System, *words: str) -> None:
    settings = system.settings
    called = ["-aec", settings.ae_title, settings.bind, str(settings.dimse_port)]
    ended = subprocess.run(
        [storescu, *called[:2], *words[:-1], *called[2:], words[-1]], check=False
    )
    assert ended.returncode == 0


def assert_view_agrees(system: System, study: str, results: list[dict[str, Any]]) -> None:
    """The view `results_feed` says what `GET /results` says, and which model said it."""
    rows = system.rows_of_view(study)
    assert len(rows) == len(results)
    for row, result in zip(rows, results, strict=True):
        for name in ("seq", "id", "status", "series_instance_uid", "model", "findings", "error"):
            expected = result[name]
            assert (row[name] or None) == (expected or None), name
        assert row["model"]["version"]
        assert len(bytes.fromhex(row["model"]["sha256"])) == 32


@pytest.mark.shared_data
@needs_shared_data
def test_a_compressed_inverted_image_that_storescu_pushes_is_diagnosed_once(
    system: System, storescu: str
) -> None:
    path = SHARED / "dicom" / "chest_CR_RG1_J2KI_mono1.dcm"
    image = dcmread(path, stop_before_pixels=True)
    study = image.StudyInstanceUID

    push_with(storescu, system, "-xw", str(path))

    (result,) = system.wait_for_results(study_instance_uid=study)
    assert (result["status"], result["error"]) == ("final", None)
    assert result["series_instance_uid"] == image.SeriesInstanceUID
    assert result["sop_instance_uids"] == [image.SOPInstanceUID]
    assert result["model"]["name"] == "cxr-pneumonia"
    assert 0 <= result["findings"][0]["probability"] <= 1
    assert_view_agrees(system, study, [result])

    push_with(storescu, system, "-xw", str(path))
    wait_until(lambda: system.study(study)["duplicates"] == 1)
    system.wait_until_all_is_done()
    assert system.results_of(study_instance_uid=study) == [result]


def test_every_series_of_a_study_gets_its_result(
    system: System, storescu: str, tmp_path: Path
) -> None:
    study, series = a_uid(), {name: a_uid() for name in ("frontal", "lateral", "ct", "two")}
    an_image(tmp_path, study=study, series=series["frontal"])
    an_image(tmp_path, study=study, series=series["lateral"], ViewPosition="LL")
    for number in (1, 2, 3):
        attributes = {"Modality": "CT", "SOPClassUID": CTImageStorage, "ViewPosition": None}
        an_image(tmp_path, study=study, series=series["ct"], number=number, **attributes)
    for number in (1, 2):
        an_image(tmp_path, study=study, series=series["two"], number=number)

    push_with(storescu, system, "+sd", str(tmp_path))

    results = system.wait_for_results(4, study_instance_uid=study)
    assert {result["series_instance_uid"]: result["status"] for result in results} == {
        series["frontal"]: "final",
        series["lateral"]: "skipped",
        series["ct"]: "skipped",
        series["two"]: "final",
    }
    images = {result["series_instance_uid"]: result["sop_instance_uids"] for result in results}
    assert len(images[series["two"]]) == 2
    assert_view_agrees(system, study, results)

    push_with(storescu, system, "+sd", str(tmp_path))
    wait_until(lambda: system.study(study)["duplicates"] == 7)
    system.wait_until_all_is_done()
    assert system.results_of(study_instance_uid=study) == results


def test_a_late_image_reopens_its_study_and_amends_the_result(
    system: System, tmp_path: Path
) -> None:
    study, series = a_uid(), a_uid()
    system.push(an_image(tmp_path, study=study, series=series))
    (first,) = system.wait_for_results(study_instance_uid=study)

    late = an_image(tmp_path, study=study, series=series, number=2)
    system.push(late)

    _, second = system.wait_for_results(2, study_instance_uid=study)
    assert (first["status"], second["status"]) == ("final", "amended")
    assert second["sop_instance_uids"] == [*first["sop_instance_uids"], late.stem]


def test_other_content_under_a_known_uid_is_flagged_and_changes_nothing(
    system: System, tmp_path: Path
) -> None:
    study, series, instance = a_uid(), a_uid(), a_uid()
    system.push(an_image(tmp_path, study=study, series=series, SOPInstanceUID=instance))
    (result,) = system.wait_for_results(study_instance_uid=study)
    other = a_picture()[::-1].copy()

    system.push(
        an_image(tmp_path, study=study, series=series, SOPInstanceUID=instance, pixels=other)
    )

    wait_until(lambda: system.study(study)["instances"] == {"kept": 1, "conflict": 1})
    system.wait_until_all_is_done()
    assert system.results_of(study_instance_uid=study) == [result]


def test_what_no_model_takes_is_skipped_with_the_reason_and_hurts_no_process(
    system: System, tmp_path: Path
) -> None:
    pids = system.pids()
    ct, report = a_uid(), a_uid()
    slice_ = {"Modality": "CT", "SOPClassUID": CTImageStorage, "ViewPosition": None}
    system.push(an_image(tmp_path, study=ct, **slice_))
    document = {"Modality": "SR", "SOPClassUID": BasicTextSRStorage, "ViewPosition": None}
    system.push(an_image(tmp_path, study=report, BodyPartExamined=None, **document, **NO_PIXELS))

    for study, modality in ((ct, "CT"), (report, "SR")):
        (result,) = system.wait_for_results(study_instance_uid=study)
        assert (result["status"], result["error"]["code"]) == ("skipped", "no-model-applies")
        assert modality in result["error"]["detail"]
        assert "cxr-pneumonia" in result["error"]["detail"]
        assert system.study(study)["progress"] == "done"
    assert system.pids() == pids


def test_half_an_image_fails_with_the_reason_and_hurts_no_process(
    system: System, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pids = system.pids()
    half, cut = a_uid(), a_uid()
    system.push(an_image(tmp_path, study=half, PixelData=b"\0" * 1000))
    path = an_image(tmp_path, study=cut)
    path.write_bytes(path.read_bytes()[:-2000])
    # Other senders do not look whether what they send is whole.
    monkeypatch.setattr(sender, "require_whole", lambda *_: None)
    system.push(path)

    for study in (half, cut):
        (result,) = system.wait_for_results(study_instance_uid=study)
        assert (result["status"], result["error"]["code"]) == ("failed", "undecodable")
        assert result["error"]["detail"]
        assert system.study(study)["progress"] == "failed"
    listed = run(system, "failures", "list", "--json")
    assert listed.stdout.count("undecodable") >= 2
    assert system.pids() == pids


def test_what_is_no_dicom_file_is_named_by_the_sender_and_the_rest_is_sent(
    system: System, tmp_path: Path
) -> None:
    pids = system.pids()
    study = a_uid()
    an_image(tmp_path, study=study)
    (tmp_path / "notes.txt").write_text("This is no DICOM file.")
    cut = an_image(tmp_path)
    cut.write_bytes(cut.read_bytes()[:-2000])

    ended = run(system, "send", str(tmp_path))

    assert ended.returncode == 1
    assert "1 of 3 accepted, 2 not" in ended.stdout
    assert "notes.txt: not a DICOM file" in ended.stderr
    assert cut.name in ended.stderr
    assert statuses(system.wait_for_results(study_instance_uid=study)) == ["final"]
    assert system.pids() == pids


@pytest.mark.shared_data
@needs_shared_data
def test_the_whole_path_gives_the_probabilities_of_the_training_code(
    system: System, tmp_path: Path
) -> None:
    pictures = read_split(SHARED / "pneumoniamnist_trainval.npz", "val", 1).pixels[:4]
    study, series = a_uid(), [a_uid() for _ in pictures]
    attributes = {"Modality": "DX", "SOPClassUID": DigitalXRayImageStorageForPresentation}
    files = [
        an_image(tmp_path, study=study, series=uid, pixels=pixels, **attributes)
        for uid, pixels in zip(series, pictures, strict=True)
    ]
    system.push(*files)

    results = system.wait_for_results(len(series), study_instance_uid=study)
    found = {
        result["series_instance_uid"]: result["findings"][0]["probability"] for result in results
    }
    assert [found[uid] for uid in series] == pytest.approx(trained_on(pictures), abs=1e-4)


def trained_on(pictures: np.ndarray) -> list[float]:
    """The probabilities that the training code gives."""
    folder = next(folder for folder in bundled_packages() if folder.name == "cxr-pneumonia")
    package = load_package(folder)
    session, preparation = Session(package), package.manifest.preparation
    assert preparation is not None
    logits = logits_of_images(session._network.cpu(), pictures, preparation)
    probabilities = calibrated_probabilities(logits, package.manifest.temperatures)
    return [float(probability) for probability in probabilities[:, 0]]
