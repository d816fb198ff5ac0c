"""Labelled images from wherever they are, fitted to the size of the model by the queue's code."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medqueue.errors import ConfigurationError, UndecodableError, WorkError
from schemas.manifest import ImagePreparation
from schemas.preparation import Attribute
from workers.preprocess.decoding import read_header
from workers.preprocess.pictures import fitted_picture
from workers.preprocess.pixels import fit, fitted_frames
from workers.preprocess.tabular import read_row
from workers.training import data as npz
from workers.training.data import LabelledImages
from workers.training.folder import SPLITS, Entry, Fault, csv_of, digest_of, read_entries
from workers.training.image_data import ImageData

MAX_PIXEL_BYTES = 8 * 1024**3
"""Of all prepared images together: they are held in memory, a byte a pixel."""
_FAULTS_TOLD = 20
_LAST_SEEN = ("test", "val", "train")
_PREFIX_AT, _PREFIX = 128, b"DICM"


@dataclass(frozen=True, slots=True)
class Source:
    """All labelled images that there are."""

    splits: dict[str, LabelledImages]
    faults: tuple[str, ...] = ()
    """Rows that cannot be used: file, line, what is wrong, what to do."""


def read_source(data: ImageData, label: str, preparation: ImagePreparation) -> Source:
    """Read every split. What to do about the faults is left to the caller."""
    if not data.path.is_dir():
        found = {
            split: _of_npz(data, split, preparation)
            for split in SPLITS
            if npz.has_split(data.path, split)
        }
        return Source(found)
    entries, faults = read_entries(data, label)
    images, kept, unreadable = _of_entries(entries, preparation)
    splits = [
        entry.split or _by_chance(entry, patient, data)
        for entry, patient in zip(kept, images.patients, strict=True)
    ]
    return Source(
        {
            split: images.select(np.array([one == split for one in splits], dtype=np.bool_))
            for split in SPLITS
            if split in splits
        },
        _told(data, [*faults, *unreadable]),
    )


def read_last_seen(
    data: ImageData, label: str, preparation: ImagePreparation
) -> tuple[str | None, LabelledImages]:
    """Return what a finished model is best measured on: the test split, else val, else train.

    A folder whose CSV has no splits is measured as a whole, and the split is None.
    """
    if not data.path.is_dir():
        split = npz.split_of(data.path, _LAST_SEEN)
        return split, _of_npz(data, split, preparation)
    entries, faults = read_entries(data, label)
    there = {entry.split for entry in entries}
    chosen = next((split for split in _LAST_SEEN if split in there), None)
    images, _, unreadable = _of_entries(
        [entry for entry in entries if entry.split == chosen], preparation
    )
    require_faultless(_told(data, [*faults, *unreadable]), data)
    return chosen, images


def require_faultless(faults: Sequence[str], data: ImageData) -> None:
    """Refuse data with unusable rows, unless they are to be dropped."""
    if not faults or data.cleaning.bad_rows == "drop":
        return
    advice = 'mend them, or leave them out with data.cleaning.bad_rows = "drop"'
    lines = [f"rows that cannot be used: {len(faults)}; {advice}", *faults[:_FAULTS_TOLD]]
    if len(faults) > _FAULTS_TOLD:
        lines.append(f"and {len(faults) - _FAULTS_TOLD} more")
    raise ConfigurationError("\n".join(lines))


def _told(data: ImageData, faults: Sequence[Fault]) -> tuple[str, ...]:
    name = csv_of(data).name
    ordered = sorted(faults, key=lambda fault: fault.line)
    return tuple(f"{name} line {fault.line}: {fault.reason}" for fault in ordered)


def _of_npz(data: ImageData, split: str, preparation: ImagePreparation) -> LabelledImages:
    images = npz.read_split(data.path, split, data.positive_class)
    if images.pixels.shape[1:] == preparation.size:
        return images
    fitted = np.stack([fit(image, preparation) for image in images.pixels])
    return LabelledImages(fitted, images.targets)


def _of_entries(
    entries: Sequence[Entry], preparation: ImagePreparation
) -> tuple[LabelledImages, list[Entry], list[Fault]]:
    """Read the images of the rows; each frame of an object is an image with the row's label."""
    if preparation.takes == "volume":
        raise ConfigurationError("models of volumes are not trained from folders of images")
    if len(entries) * preparation.size[0] * preparation.size[1] > MAX_PIXEL_BYTES:
        raise ConfigurationError(
            f"{len(entries)} images of {preparation.size[0]} x {preparation.size[1]} are more than "
            f"{MAX_PIXEL_BYTES} bytes: take fewer, or a smaller preparation.size"
        )
    pixels: list[NDArray[np.uint8]] = []
    kept: list[Entry] = []
    patients: list[str | None] = []
    rows: list[dict[Attribute, str]] = []
    faults: list[Fault] = []
    for entry in entries:
        try:
            frames, patient, row = _read(entry, preparation)
        except WorkError as error:
            faults.append(Fault(entry.line, f"{error.detail}: mend the file, or take the row out"))
            continue
        for frame in frames:
            pixels.append(frame)
            kept.append(entry)
            patients.append(patient)
            rows.append(row)
    stacked = np.stack(pixels) if pixels else np.empty((0, *preparation.size), dtype=np.uint8)
    targets = np.array([entry.present for entry in kept], dtype=np.bool_)
    return LabelledImages(stacked, targets, tuple(patients), tuple(rows)), kept, faults


def _read(
    entry: Entry, preparation: ImagePreparation
) -> tuple[NDArray[np.uint8], str | None, dict[Attribute, str]]:
    try:
        if _is_dicom(entry.path):
            frames = fitted_frames(entry.path, preparation)
            named = str(read_header(entry.path, ("PatientID",)).get("PatientID") or "")
            return frames, entry.patient or digest_of(named), read_row(entry.path)
        picture = fitted_picture(entry.path, preparation)
    except OSError as error:
        raise UndecodableError(f"the file cannot be read ({type(error).__name__})") from error
    return picture[np.newaxis], entry.patient, dict(entry.row)


def _is_dicom(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(_PREFIX_AT + len(_PREFIX)).startswith(_PREFIX, _PREFIX_AT)


def _by_chance(entry: Entry, patient: str | None, data: ImageData) -> str:
    """Put an image into train or val, the same at each run, and all of a patient into one.

    Where the patient is not known, all frames of a file go together.
    """
    key = patient or entry.path.relative_to(data.path).as_posix()
    share = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8]) / 2**64
    return "val" if share < data.validation_share else "train"
