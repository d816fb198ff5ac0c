"""Measuring a finished package on labelled data, as `medqueue evaluate` does."""

from dataclasses import dataclass
from pathlib import Path

from medqueue.errors import ConfigurationError
from workers.models.network import build_network
from workers.models.package import Package
from workers.models.tokenizer import parse_tokenizer
from workers.training import records
from workers.training.config import TextTraining, read_config
from workers.training.data import read_split, split_of
from workers.training.evaluate import (
    Evaluation,
    evaluate_logits,
    logits_of_images,
    logits_of_texts,
)
from workers.training.records import Record, RecordForm

SPLITS = ("test", "val", "train")
"""In order of preference: what the model has never seen comes first."""
CONFIG_NAME = "train.toml"
"""The configuration that a package was trained with lies beside its weights."""


@dataclass(frozen=True, slots=True)
class Measured:
    """Figures, and the split that they are of; None where the data have no splits."""

    split: str | None
    evaluation: Evaluation


def measure(package: Package, data: Path, *, positive_class: int, form: RecordForm) -> Measured:
    """Measure an image model on an npz file, a text model on JSON lines.

    Args:
        package: The model.
        data: The file; its test split is used, else val, else train.
        positive_class: Of an npz file; the class that means present.
        form: Of JSON lines; where a record holds what.
    """
    if package.manifest.tokenization is not None:
        return _measure_texts(package, data, form)
    return _measure_images(package, data, positive_class)


def form_of(package: Package, config: Path | None) -> RecordForm:
    """Return how records are read: as a training configuration says, else in the plain form."""
    own = package.folder / CONFIG_NAME
    chosen = config or (own if own.is_file() else None)
    read = read_config(chosen) if chosen else None
    return read.data if isinstance(read, TextTraining) else RecordForm()


def _measure_images(package: Package, data: Path, positive_class: int) -> Measured:
    manifest = package.manifest
    if manifest.preparation is None:
        raise ConfigurationError(f"{manifest.name}: no trained model; rules have tests instead")
    split = split_of(data, SPLITS)
    images = read_split(data, split, positive_class)
    logits = logits_of_images(build_network(package), images.pixels, manifest.preparation)
    evaluation = evaluate_logits(
        logits, images.targets[:, None], manifest.labels, manifest.temperatures
    )
    return Measured(split, evaluation)


def _measure_texts(package: Package, data: Path, form: RecordForm) -> Measured:
    manifest = package.manifest
    if manifest.tokenization is None:
        raise ConfigurationError(f"{manifest.name}: is no text model")
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
    evaluation = evaluate_logits(
        logits[:, columns],
        texts.targets[:, columns],
        [manifest.labels[at] for at in columns],
        manifest.temperatures,
    )
    return Measured(split, evaluation)


def _last_seen(found: list[Record]) -> tuple[str | None, list[Record]]:
    for split in SPLITS:
        chosen = [record for record in found if record.split == split]
        if chosen:
            return split, chosen
    return None, found
