"""Check sets of trained networks: made up, and the same each time."""

import hashlib
from datetime import date
from pathlib import Path

import numpy as np
import torch

from schemas.manifest import Accepts, ImagePreparation, Label
from workers.inference.checking import check
from workers.models.check_set import parse_image_checks
from workers.models.package import load_package
from workers.models.registry import build
from workers.training.checks import image_checks, made_up_images
from workers.training.config import ImagePackage
from workers.training.evaluate import Evaluation
from workers.training.packaging import write_package
from workers.training.recipes import Trained

PREPARATION = ImagePreparation(size=(20, 24), mean=0.5, std=0.25)


def small_cnn() -> torch.nn.Module:
    torch.manual_seed(3)
    return build("residual-cnn", 1, {"width": 4, "blocks": 1, "mirror": False})


def test_made_up_images_differ_from_each_other_and_use_the_whole_range() -> None:
    images = made_up_images((20, 24), 6, seed=1)

    assert images.shape == (6, 20, 24)
    assert {(image.min(), image.max()) for image in images} == {(0, 255)}
    assert len({hashlib.sha256(image.tobytes()).digest() for image in images}) == 6
    assert np.array_equal(images, made_up_images((20, 24), 6, seed=1))


def test_a_check_set_holds_what_the_network_says() -> None:
    network = small_cnn()

    checks = image_checks(network, PREPARATION, (1.0, 1.0))

    with torch.inference_mode():
        logits = network(torch.from_numpy(checks.images))
    assert np.allclose(checks.probabilities, torch.sigmoid(logits).numpy(), atol=1e-6)


def test_a_trained_network_is_packed_with_a_check_set_that_it_passes(tmp_path: Path) -> None:
    package = ImagePackage(
        name="small",
        version="1.0.0",
        architecture="residual-cnn",
        accepts=Accepts(modalities=("CR",)),
        intended_use="Tests.",
        licence="none",
        data_provenance="made up",
        preparation=PREPARATION,
        label=Label(name="opacity"),
    )
    parameters = {"width": 4, "blocks": 1, "mirror": False}
    trained = Trained(small_cnn(), parameters, (0.7, 1.3), Evaluation(0, {}, {}))

    manifest = write_package(tmp_path, trained, package, date(2026, 1, 1))

    written = load_package(tmp_path)
    check(written)
    assert manifest.check is not None
    assert len(parse_image_checks(written.read(manifest.check)).images) == 8
