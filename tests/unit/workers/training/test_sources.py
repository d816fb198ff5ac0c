"""Folders of images with a CSV: what is read, what is refused and how, and that nothing leaks."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from chest_images import an_image
from medqueue.errors import ConfigurationError
from schemas.manifest import ImagePreparation
from workers.training import folder, sources
from workers.training.image_data import Cleaning, ImageData
from workers.training.sources import read_last_seen, read_source, require_faultless

PREPARATION = ImagePreparation(size=(8, 8), mean=0.0, std=1.0)
LABEL = "Pneumonia"


def a_picture(path: Path, shade: int) -> None:
    Image.fromarray(np.full((10, 10), shade, dtype=np.uint8)).save(path)


def a_folder(root: Path, *lines: str, heading: str = "path,label,split", pictures: int = 4) -> Path:
    """A folder with 0.png and so on, each of one shade, and a CSV."""
    for number in range(pictures):
        a_picture(root / f"{number}.png", number * 10 % 251)
    (root / "labels.csv").write_text("\n".join([heading, *lines]) + "\n", encoding="utf-8")
    return root


def faults_of(path: Path, **data: Any) -> list[str]:
    return list(read_source(ImageData(path=path, **data), LABEL, PREPARATION).faults)


def test_the_splits_of_a_csv_are_read(tmp_path: Path) -> None:
    path = a_folder(tmp_path, "0.png,0,train", "1.png,1,train", "2.png,1,val", "3.png,0,test")

    source = read_source(ImageData(path=path), LABEL, PREPARATION)

    assert {split: one.targets.tolist() for split, one in source.splits.items()} == {
        "train": [False, True],
        "val": [True],
        "test": [False],
    }
    assert source.splits["val"].pixels.tolist() == [[[20] * 8] * 8]
    assert source.faults == ()


@pytest.mark.parametrize(
    "heading",
    ["Path,Label", "filename,pneumonia", "image,target", "path;label", "\ufefffile,class", "x,y"],
)
def test_columns_are_found_by_their_usual_names_or_the_given_ones(
    tmp_path: Path, heading: str
) -> None:
    part = ";" if ";" in heading else ","
    path = a_folder(tmp_path, f"0.png{part}1", f"1.png{part}0.0", heading=heading)
    named = {"file": "x", "label": "y"} if heading == "x,y" else {}

    split, images = read_last_seen(ImageData(path=path, **named), LABEL, PREPARATION)

    assert split is None
    assert images.targets.tolist() == [True, False]


def test_what_was_never_seen_is_measured_first(tmp_path: Path) -> None:
    path = a_folder(tmp_path, "0.png,0,train", "1.png,1,val", "2.png,1,val")

    split, images = read_last_seen(ImageData(path=path), LABEL, PREPARATION)

    assert split == "val"
    assert len(images.pixels) == 2


@pytest.mark.parametrize(
    ("words", "data"),
    [
        (("present", "Absent"), {}),
        (("TRUE", "false"), {}),
        (("malignant", "Benign"), {"present": ("malignant",), "absent": ("benign", "normal")}),
        (("0", "1"), {"positive_class": 0}),
    ],
)
def test_labels_are_words_or_class_numbers(
    tmp_path: Path, words: tuple[str, str], data: dict[str, Any]
) -> None:
    path = a_folder(tmp_path, f"0.png,{words[0]},val", f"1.png,{words[1]},val")

    _, images = read_last_seen(ImageData(path=path, **data), LABEL, PREPARATION)

    assert images.targets.tolist() == [True, False]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("../secret.png,1,train", "leads out of the folder"),
        ("/etc/passwd,1,train", "leads out of the folder"),
        ("link.png,1,train", "leads out of the folder"),
        ("smith_john.png,1,train", "no such file"),
        (",1,train", "path is empty"),
        (f"{'x' * 300}.png,1,train", "no such file"),
        ("sub,1,train", "no such file"),
        ("0.png,,train", "label is empty"),
        ("0.png,perhaps,train", "neither a class number nor a word"),
        ("0.png,1,training", "split is none of"),
        ("0.png", "label is empty"),
        ("broken.png,1,train", "neither DICOM nor"),
        ("broken.dcm,1,train", "mend the file"),
        ("red.png,1,train", "as-grey"),
    ],
)
def test_a_row_that_cannot_be_used_is_told_by_file_and_line_without_its_content(
    tmp_path: Path, row: str, reason: str
) -> None:
    a_picture(tmp_path / "secret.png", 7)
    inside = tmp_path / "inside"
    (inside / "sub").mkdir(parents=True)
    (inside / "link.png").symlink_to(tmp_path / "secret.png")
    (inside / "broken.png").write_bytes(b"no picture")
    (inside / "broken.dcm").write_bytes(b"\0" * 128 + b"DICM" + b"\xff" * 40)
    Image.new("RGB", (9, 9), (255, 0, 0)).save(inside / "red.png")
    path = a_folder(inside, "1.png,0,train", "", row, "2.png,1,val")

    (fault,) = faults_of(path)

    assert fault.startswith("labels.csv line 4: ")
    assert reason in fault
    assert "smith" not in fault
    assert "perhaps" not in fault


def test_an_age_that_is_no_number_is_a_fault_and_none_is_a_gap(tmp_path: Path) -> None:
    path = a_folder(
        tmp_path, "0.png,1,train,old", "1.png,1,train,", "2.png,0,val,45",
        heading="path,label,split,age",
    )  # fmt: skip

    source = read_source(ImageData(path=path), LABEL, PREPARATION)

    assert source.faults[0].startswith("labels.csv line 2: PatientAge is no number")
    assert source.splits["train"].rows == ({},)
    assert source.splits["val"].rows == ({"PatientAge": "45"},)


def test_unusable_rows_stop_training_unless_they_are_to_be_dropped() -> None:
    data = ImageData(path=Path("here"))
    many = tuple(f"labels.csv line {number}: wrong" for number in range(2, 27))

    with pytest.raises(ConfigurationError, match=r"used: 25(?s:.*)line 21(?s:.*)and 5 more"):
        require_faultless(many, data)
    require_faultless((), data)
    require_faultless(many, data.model_copy(update={"cleaning": Cleaning(bad_rows="drop")}))


def test_a_dicom_file_speaks_for_itself(tmp_path: Path) -> None:
    made = [
        an_image(tmp_path, PatientID=patient, PatientSex="F", PatientAge="030Y")
        for patient in ("A", "A", "B")
    ]
    lines = [f"{path.name},1,train,M" for path in made]
    path = a_folder(tmp_path, *lines, heading="path,label,split,sex", pictures=0)

    images = read_source(ImageData(path=path), LABEL, PREPARATION).splits["train"]

    assert [row["PatientSex"] for row in images.rows] == ["F", "F", "F"]
    assert images.patients[0] == images.patients[1] != images.patients[2]
    assert "A" not in images.patients


def test_without_a_split_column_a_patient_is_on_one_side_only(tmp_path: Path) -> None:
    lines = [f"{number}.png,{number % 2},p{number // 2}" for number in range(200)]
    path = a_folder(tmp_path, *lines, heading="path,label,patient_id", pictures=200)
    data = ImageData(path=path, validation_share=0.3)

    splits = read_source(data, LABEL, PREPARATION).splits

    assert not set(splits["train"].patients) & set(splits["val"].patients)
    assert 20 < len(splits["val"].pixels) < 100
    again = read_source(data, LABEL, PREPARATION).splits
    np.testing.assert_array_equal(again["val"].pixels, splits["val"].pixels)


def test_every_frame_of_an_object_has_the_label_of_its_row(tmp_path: Path) -> None:
    frames = np.stack([np.full((9, 9), shade, dtype=np.uint8) for shade in (10, 20)])
    made = an_image(tmp_path, NumberOfFrames=2, PixelData=frames.tobytes(), Rows=9, Columns=9)
    path = a_folder(tmp_path, f"{made.name},1,val", pictures=0)
    several = PREPARATION.model_copy(update={"takes": "frames"})

    _, images = read_last_seen(ImageData(path=path), LABEL, several)

    assert images.targets.tolist() == [True, True]
    assert "several frames" in faults_of(path)[0]


def test_an_npz_file_is_brought_to_the_size_that_the_model_takes(tmp_path: Path) -> None:
    shades = np.random.default_rng(0).integers(0, 256, (3, 12, 12), dtype=np.uint8)
    np.savez(tmp_path / "d.npz", val_images=shades, val_labels=np.ones((3, 1), dtype=np.uint8))

    split, images = read_last_seen(ImageData(path=tmp_path / "d.npz"), LABEL, PREPARATION)

    assert split == "val"
    assert images.pixels.shape == (3, 8, 8)


@pytest.mark.parametrize(
    ("heading", "reason"),
    [("label,split", "path or file"), ("path,split", "Pneumonia or label"), ("", "no column")],
)
def test_a_csv_without_its_columns_is_refused(tmp_path: Path, heading: str, reason: str) -> None:
    path = a_folder(tmp_path, "0.png,1,train", heading=heading)

    with pytest.raises(ConfigurationError, match=reason):
        read_source(ImageData(path=path), LABEL, PREPARATION)


def test_which_csv_is_meant_must_be_clear(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no CSV"):
        read_source(ImageData(path=tmp_path), LABEL, PREPARATION)
    a_folder(tmp_path, "0.png,1,val")
    (tmp_path / "other.csv").write_text("path,label\n1.png,0\n", encoding="utf-8")
    with pytest.raises(ConfigurationError, match="more than one CSV"):
        read_source(ImageData(path=tmp_path), LABEL, PREPARATION)
    with pytest.raises(ConfigurationError, match="no path"):
        read_source(ImageData(path=tmp_path, csv="../other.csv"), LABEL, PREPARATION)

    _, images = read_last_seen(ImageData(path=tmp_path, csv="other.csv"), LABEL, PREPARATION)

    assert images.targets.tolist() == [False]


def test_a_csv_beyond_the_limits_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = a_folder(tmp_path, "0.png,1,val", "1.png,1,val", "2.png,1,val")
    monkeypatch.setattr(folder, "MAX_ROWS", 2)
    with pytest.raises(ConfigurationError, match="more than 2 rows"):
        read_source(ImageData(path=path), LABEL, PREPARATION)
    (path / "labels.csv").write_text("path,label\n" + "x" * 200_000, encoding="utf-8")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read_source(ImageData(path=path), LABEL, PREPARATION)
    (path / "labels.csv").write_bytes(b"path,label\n\xff\xfe,1\n")
    with pytest.raises(ConfigurationError, match="UTF-8"):
        read_source(ImageData(path=path), LABEL, PREPARATION)


def test_more_pixels_than_memory_holds_are_refused_before_they_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = a_folder(tmp_path, "0.png,1,val", "1.png,1,val")
    monkeypatch.setattr(sources, "MAX_PIXEL_BYTES", 100)

    with pytest.raises(ConfigurationError, match=r"preparation\.size"):
        read_source(ImageData(path=path), LABEL, PREPARATION)


def test_without_a_split_column_the_frames_of_a_file_stay_together(tmp_path: Path) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (20, 9, 9), dtype=np.uint8)
    made = [
        an_image(
            tmp_path,
            NumberOfFrames=20,
            PixelData=frames.tobytes(),
            Rows=9,
            Columns=9,
            PatientID="",
            SOPInstanceUID=f"1.2.{number}",
        )
        for number in range(6)
    ]
    lines = [f"{path.name},1" for path in made]
    path = a_folder(tmp_path, *lines, heading="path,label", pictures=0)
    several = PREPARATION.model_copy(update={"takes": "frames"})

    splits = read_source(ImageData(path=path, validation_share=0.5), LABEL, several).splits

    assert {len(images.pixels) % 20 for images in splits.values()} == {0}
    assert len(splits) == 2
