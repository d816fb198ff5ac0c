"""Training and queue prepare alike: a feature that drifts between them fails here.

Each kind of input goes both ways, as training reads it and as a worker does, and arrives the same
to the last bit. What arrives is pinned too, so that both cannot drift away from the packages that
are out there.
"""

import csv
import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from pydicom import Dataset
from torch import Tensor

from dicom_files import an_image_data_set, saved
from schemas.manifest import ImagePreparation
from schemas.preparation import CategoryColumn, NumberColumn
from workers.inference.reader import TextReader
from workers.models.package import BUNDLED_FOLDER, load_package
from workers.models.tokenizer import parse_tokenizer
from workers.preprocess.isolated import IsolatedPreparation, Nursery
from workers.preprocess.pixels import normalise
from workers.preprocess.tabular import with_rows
from workers.preprocess.text import split
from workers.training.batches import ImageBatches, TextBatches
from workers.training.config import Augmentation, TextAugmentation
from workers.training.data import LabelledImages
from workers.training.image_data import ImageData
from workers.training.preparing import PreparedImages, prepare_images
from workers.training.records import Record, label_records

PREPARATION = ImagePreparation(size=(24, 24), mean=0.4, std=0.2)
TABLE = (
    NumberColumn(attribute="PatientAge", scale="robust"),
    NumberColumn(attribute="PatientWeight", missing="mean", scale="min-max"),
    CategoryColumn(attribute="PatientSex"),
    CategoryColumn(attribute="Manufacturer", encode="label", min_count=2),
)
STILL = Augmentation(
    **dict.fromkeys(
        ("rotation_degrees", "translation", "scale", "shear", "flip", "brightness", "contrast",
         "gamma", "noise"), 0,
    )
)  # fmt: skip
REPORTS = (
    ("CHEST PA. COMPARISON: none. FINDINGS: Small left effusion, no pneumothorax 3.5 mm.", "en"),
    ("IMPRESSION: 1. Stable cardiomegaly.\n2. XXXX unchanged; no edema.", None),
    ("右侧少量胸腔积液。未见气胸。", "zh"),
)


def an_object(number: int) -> Dataset:
    """One of several kinds: bits, sign, window, inversion, shape, and gaps in the header."""
    noise = np.random.default_rng(number).integers(0, 500, (40, 56))
    ramp = np.arange(40 * 56).reshape(40, 56) * 7 + noise
    kinds = (
        (ramp % 4096, np.uint16, {"BitsStored": 12, "PhotometricInterpretation": "MONOCHROME1"}),
        (ramp % 256, np.uint8, {}),
        (ramp % 3000 - 1000, np.int16, {"RescaleSlope": 1, "RescaleIntercept": -24}),
        (ramp.T % 65536, np.uint16, {"WindowCenter": 20_000, "WindowWidth": 30_000}),
        (ramp % 5000, np.uint16, {"PixelPaddingValue": 7, "PatientWeight": "61.5"}),
    )
    values, form, attributes = kinds[number % len(kinds)]
    patient = {
        "PatientID": f"P{number}",
        "PatientAge": f"{20 + number:03d}Y" if number % 3 else "",
        "PatientSex": "FM"[number % 2],
        "Manufacturer": ("Acme", "ACME ", "Beta", "Gamma Rays")[number % 4],
    }
    return an_image_data_set(np.ascontiguousarray(values).astype(form), **(patient | attributes))


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("chest")
    return [saved(folder, an_object(number)) for number in range(12)]


@pytest.fixture(scope="module")
def trained_on(paths: list[Path]) -> PreparedImages:
    """What training sees: the first ten as train, the others as val."""
    with (paths[0].parent / "labels.csv").open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["path", "label", "split"])
        for at, path in enumerate(paths):
            rows.writerow([path.name, at % 2, "train" if at < 10 else "val"])
    return prepare_images(ImageData(path=paths[0].parent), "Finding", PREPARATION, TABLE)


@pytest.fixture(scope="module")
def queue() -> Iterator[IsolatedPreparation]:
    """What a worker prepares with: the decoder in a process apart."""
    nursery = Nursery()
    preparation = IsolatedPreparation(nursery)
    yield preparation
    preparation.close()
    nursery.stop()


def inputs_of(images: LabelledImages) -> NDArray[np.float32]:
    assert images.features is not None
    return with_rows(normalise(images.pixels, PREPARATION), images.features)


def test_images_and_tables_are_the_same_in_training_and_queue(
    paths: list[Path], trained_on: PreparedImages, queue: IsolatedPreparation
) -> None:
    in_queue = queue(paths, PREPARATION, trained_on.table)

    assert in_queue.shape == (12, 1 + 5, 24, 24)
    in_training = np.concatenate([inputs_of(trained_on.training), inputs_of(trained_on.validation)])
    np.testing.assert_array_equal(in_queue, in_training)


def test_the_network_is_trained_on_what_the_queue_gives_it(
    paths: list[Path], trained_on: PreparedImages, queue: IsolatedPreparation
) -> None:
    """All of a batch, unbent: but for the rounding of a resampling that moves nothing."""
    batches = ImageBatches(trained_on.training, PREPARATION, STILL, batch_size=10)
    order = torch.randperm(10, generator=torch.Generator().manual_seed(5))

    ((inputs, _),) = batches.epoch(torch.Generator().manual_seed(5))

    in_queue = queue(paths[:10], PREPARATION, trained_on.table)
    np.testing.assert_allclose(inputs.numpy(), in_queue[order.numpy()], atol=1e-4)


@pytest.mark.parametrize(("text", "language"), REPORTS)
def test_texts_are_the_same_in_training_and_queue(
    text: str, language: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = load_package(BUNDLED_FOLDER / "chest-rnn")
    assert package.manifest.tokenization is not None
    tokenizer = parse_tokenizer(package.read(package.manifest.tokenization))
    texts = label_records([Record(text, frozenset(), frozenset(), None, language)], ("x",), {})
    ((in_training, _),) = TextBatches(
        texts,
        tokenizer,
        TextAugmentation(unknown=0),
        max_tokens=package.manifest.tokenization.max_tokens,
        batch_size=1,
    ).epoch(torch.Generator())
    reader = TextReader(package)
    read: list[Tensor] = []
    attend = reader._network.attend

    def attend_and_tell(tokens: Tensor) -> tuple[Tensor, Tensor]:
        read.append(tokens)
        return attend(tokens)

    monkeypatch.setattr(reader._network, "attend", attend_and_tell)

    reader.label(split(text, language))

    assert len(in_training[0]) > 3
    torch.testing.assert_close(read[0], in_training, rtol=0, atol=0)


def test_what_arrives_is_what_arrived_when_packages_were_made(trained_on: PreparedImages) -> None:
    """Released packages rely on it: another digest is another preparation, and breaks them all."""
    pixels, features = trained_on.training.pixels, trained_on.training.features
    assert features is not None
    package = load_package(BUNDLED_FOLDER / "chest-rnn")
    assert package.manifest.tokenization is not None
    tokenizer = parse_tokenizer(package.read(package.manifest.tokenization))
    tokens = [
        piece.numbers
        for text, language in REPORTS
        for piece in tokenizer.pieces(split(text, language), 256)
    ]

    assert digest(pixels.tobytes()) == "87f97e4d18f3c25e"
    assert digest(np.round(features, 5).tobytes()) == "3cb1051377a20509"
    assert digest(repr(tokens).encode()) == "d49ff0fc4b8753ea"


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]
