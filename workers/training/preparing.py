"""From `[data]` of a configuration to what a model is trained and measured on."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from medqueue.errors import ConfigurationError, UnsupportedInputError
from schemas.manifest import ImagePreparation
from schemas.preparation import CategoryColumn, NumberColumn, TablePreparation
from workers.preprocess.tabular import Row, table_of
from workers.training import records
from workers.training.cleaning import clean
from workers.training.config import TextTraining
from workers.training.data import LabelledImages
from workers.training.image_data import ImageData
from workers.training.phrasebook import write_records
from workers.training.records import Record
from workers.training.sources import read_source, require_faultless
from workers.training.table_fitting import fit_table


@dataclass(frozen=True, slots=True)
class PreparedImages:
    """Clean images of the size that the model takes, with the rows of its table if it has one."""

    training: LabelledImages
    validation: LabelledImages
    table: TablePreparation | None
    """As fitted on the train split; it goes into the manifest."""
    left_out: dict[str, int]
    """Training images that are not trained on, by reason."""


def prepare_images(
    data: ImageData,
    label: str,
    preparation: ImagePreparation,
    columns: Sequence[NumberColumn | CategoryColumn] = (),
) -> PreparedImages:
    """Read, clean, and fit.

    Args:
        data: Where the images are.
        label: Name of the model's label.
        preparation: From pixels to tensor; the last step, normalising, is left to the batches.
        columns: Of a table that the model is told beside the pixels.

    Raises:
        ConfigurationError: rows are unusable, a split is missing, or the policy refuses the data.
    """
    source = read_source(data, label, preparation)
    require_faultless(source.faults, data)
    for split in ("train", "val"):
        if split not in source.splits:
            raise ConfigurationError(f"{data.path}: has no image of the {split} split")
    splits, report = clean(source.splits, data.cleaning)
    training, validation = splits["train"], splits["val"]
    if not columns:
        return PreparedImages(training, validation, None, _counted(report.dropped))
    if not training.rows:
        raise ConfigurationError("package.table: an npz file says nothing beside its images")
    table = fit_table(training.rows, columns)
    kept = told(training, table)
    lacking = len(training.pixels) - len(kept.pixels)
    left_out = _counted({**report.dropped, "missing": lacking})
    return PreparedImages(kept, told(validation, table), table, left_out)


def records_of(config: TextTraining) -> list[Record]:
    """Return all labelled texts of a configuration, read or generated."""
    data = config.data
    if data.path is not None:
        return records.read_records(data.path, data)
    if data.generated is None:
        raise ConfigurationError("data: give either path or generated")
    return write_records(
        data.generated.seed,
        {"train": data.generated.train, "val": data.generated.val},
        config.package.accepts.languages,
    )


def told(images: LabelledImages, table: TablePreparation) -> LabelledImages:
    """Return the images with the rows of the table; those that the queue would skip are left out.

    Raises:
        ConfigurationError: nothing is left.
    """
    taken = np.array([_is_taken(row, table) for row in images.rows], dtype=np.bool_)
    if not taken.any():
        raise ConfigurationError("package.table: each image lacks a value that the model needs")
    kept = images.select(taken)
    return replace(kept, features=table_of(kept.rows, table))


def _counted(reasons: dict[str, int]) -> dict[str, int]:
    return {reason: count for reason, count in reasons.items() if count}


def _is_taken(row: Row, table: TablePreparation) -> bool:
    try:
        table_of([row], table)
    except UnsupportedInputError:
        return False
    return True
