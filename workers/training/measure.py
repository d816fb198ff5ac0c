"""Measuring a finished package on labelled data, as `medqueue evaluate` does."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medqueue.errors import ConfigurationError
from schemas.manifest import ImagePreparation, Label
from workers.models.calibration import calibrated_probabilities
from workers.models.network import build_network
from workers.models.package import Package
from workers.models.tokenizer import parse_tokenizer
from workers.preprocess.tabular import Row
from workers.training import records
from workers.training.config import ImageTraining, TextTraining, read_config
from workers.training.evaluate import (
    Evaluation,
    evaluate_logits,
    logits_of_images,
    logits_of_texts,
)
from workers.training.image_data import ImageData
from workers.training.preparing import told
from workers.training.records import Record, RecordForm
from workers.training.sources import read_last_seen

SPLITS = ("test", "val", "train")
"""In order of preference: what the model has never seen comes first."""
CONFIG_NAME = "train.toml"
"""The configuration that a package was trained with lies beside its weights."""


@dataclass(frozen=True, slots=True)
class Measured:
    """Figures, and what they were computed from."""

    split: str | None
    """None where the data have no splits."""
    evaluation: Evaluation
    labels: tuple[Label, ...]
    """Those that the data speak of."""
    probabilities: NDArray[np.float32]
    """(n, labels), calibrated."""
    targets: NDArray[np.bool_]
    """(n, labels)."""
    rows: tuple[Row, ...] = ()
    """What is known of each image beside its pixels; or nothing."""
    pixels: NDArray[np.uint8] | None = None
    """(n, rows, columns) of an image model, in the size that it takes."""
    features: NDArray[np.float32] | None = None
    """(n, features) of a model that is told more than pixels."""


def measure(
    package: Package, data: Path, *, positive_class: int | None, config: Path | None
) -> Measured:
    """Measure an image model on an npz file or a folder with a CSV, a text model on JSON lines.

    Args:
        package: The model.
        data: The file or folder; its test split is used, else val, else train.
        positive_class: The class number that means present; by default the package says it.
        config: A training configuration whose [data] says how to read the data; by default the
            one in the package.
    """
    if package.manifest.tokenization is not None:
        return _measure_texts(package, data, form_of(package, config))
    read = _config_of(package, config)
    fields = read.data.model_dump() if isinstance(read, ImageTraining) else {}
    if package.manifest.data is not None and config is None:
        fields["positive_class"] = package.manifest.data.positive_class
    if positive_class is not None:
        fields["positive_class"] = positive_class
    return _measure_images(package, ImageData.model_validate(fields | {"path": data}))


def form_of(package: Package, config: Path | None) -> RecordForm:
    """Return how texts are read: as a training configuration says, else in the plain form."""
    read = _config_of(package, config)
    return read.data if isinstance(read, TextTraining) else RecordForm()


def _config_of(package: Package, config: Path | None) -> ImageTraining | TextTraining | None:
    own = package.folder / CONFIG_NAME
    chosen = config or (own if own.is_file() else None)
    return read_config(chosen) if chosen else None


def _measure_images(package: Package, data: ImageData) -> Measured:
    manifest = package.manifest
    preparation = _preparation_of(package)
    (label,) = manifest.labels
    split, images = read_last_seen(data, label.name, preparation)
    if manifest.table is not None:
        images = told(images, manifest.table)
    logits = logits_of_images(build_network(package), images.pixels, preparation, images.features)
    targets = images.targets[:, np.newaxis]
    return Measured(
        split,
        evaluate_logits(logits, targets, manifest.labels, manifest.temperatures),
        manifest.labels,
        calibrated_probabilities(logits, manifest.temperatures).numpy(),
        targets,
        images.rows,
        images.pixels,
        images.features,
    )


def _preparation_of(package: Package) -> ImagePreparation:
    manifest = package.manifest
    if manifest.preparation is None:
        raise ConfigurationError(f"{manifest.name}: no trained model; rules have tests instead")
    if len(manifest.labels) != 1:
        raise ConfigurationError(
            f"{manifest.name}: has {len(manifest.labels)} labels; image models of one are measured"
        )
    return manifest.preparation


def _measure_texts(package: Package, data: Path, form: RecordForm) -> Measured:
    manifest = package.manifest
    if manifest.tokenization is None:
        raise ConfigurationError(f"{manifest.name}: is no text model")
    if data.is_dir():
        raise ConfigurationError(f"{data}: is a folder; a text model is measured on JSON lines")
    found = records.read_records(data, form)
    split, chosen = _last_seen(found)
    names = tuple(label.name for label in manifest.labels)
    texts = records.label_records(chosen, names, form.terms)
    logits = logits_of_texts(
        build_network(package),
        texts.documents,
        parse_tokenizer(package.read(manifest.tokenization)),
        max_tokens=manifest.tokenization.max_tokens,
        labels=len(names),
    )
    known = records.known_labels(found, names, form.terms)
    columns = [names.index(name) for name in known]
    logits, targets = logits[:, columns], texts.targets[:, columns]
    labels = tuple(manifest.labels[at] for at in columns)
    return Measured(
        split,
        evaluate_logits(logits, targets, labels, manifest.temperatures),
        labels,
        calibrated_probabilities(logits, manifest.temperatures).numpy(),
        targets,
    )


def _last_seen(found: list[Record]) -> tuple[str | None, list[Record]]:
    for split in SPLITS:
        chosen = [record for record in found if record.split == split]
        if chosen:
            return split, chosen
    return None, found
