"""Conversion: what comes out serves like any package, and is refused where it is worse."""

from datetime import date
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from medqueue.errors import PackageError
from schemas.manifest import Accepts, Engine, ImagePreparation, Label
from workers.inference.checking import check
from workers.inference.session import Session
from workers.models.check_set import ImageChecks, parse_image_checks
from workers.models.network import build_network
from workers.models.package import BUNDLED_FOLDER, Package, load_package
from workers.models.registry import build
from workers.training.config import ImagePackage
from workers.training.evaluate import Evaluation
from workers.training.export import Compared, compare, export
from workers.training.packaging import write_package
from workers.training.recipes import Trained

PARAMETERS = {"width": 4, "blocks": 1, "mirror": True}


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Package:
    """An untrained network, packed as training packs one."""
    folder = tmp_path_factory.mktemp("original")
    config = ImagePackage(
        name="small",
        version="1.0.0",
        architecture="residual-cnn",
        accepts=Accepts(modalities=("CR",)),
        intended_use="Tests.",
        licence="none",
        data_provenance="made up",
        preparation=ImagePreparation(size=(12, 16), mean=0.5, std=0.25),
        label=Label(name="opacity"),
    )
    torch.manual_seed(3)
    network = build("residual-cnn", 1, PARAMETERS)
    trained = Trained(network, PARAMETERS, (0.8, 1.0), Evaluation(0, {}, {}))
    write_package(folder, trained, config, date(2026, 1, 1))
    (folder / "MODEL_CARD.md").write_text("# small\n")
    return load_package(folder)


@pytest.fixture(scope="module")
def checks(original: Package) -> ImageChecks:
    assert original.manifest.check is not None
    return parse_image_checks(original.read(original.manifest.check))


@pytest.fixture(scope="module")
def converted(original: Package, tmp_path_factory: pytest.TempPathFactory) -> Package:
    folder = tmp_path_factory.mktemp("converted")
    export(original, folder, int8=False, labelled=None)
    return load_package(folder)


def test_a_converted_package_is_another_version_that_passes_the_same_check(
    original: Package, converted: Package
) -> None:
    check(converted)
    assert (converted.manifest.engine, converted.manifest.version) == (Engine.ONNX, "1.0.0+onnx")
    assert converted.manifest.check == original.manifest.check
    assert "Converted" in (converted.folder / "MODEL_CARD.md").read_text()


def test_a_converted_model_serves_any_number_of_images(
    original: Package, converted: Package, checks: ImageChecks
) -> None:
    for count in (1, 5, 8):
        images = checks.images[:count]
        served = [Session(package).predict(images) for package in (original, converted)]
        assert np.allclose(*served, atol=1e-5)


def test_an_int8_package_states_what_it_lost(
    original: Package, checks: ImageChecks, tmp_path: Path
) -> None:
    targets = checks.probabilities >= 0.5
    compared = export(original, tmp_path, int8=True, labelled=(checks.images, targets))

    assert compared.n == 4
    small = load_package(tmp_path)
    check(small)
    assert small.manifest.version == "1.0.0+int8"
    assert b"QuantizeLinear" in small.weights
    assert "accuracy on 4 labelled images" in (tmp_path / "MODEL_CARD.md").read_text()


class Blunted(nn.Module):
    """A network whose logits are brought near to nought, or over to the other side."""

    def __init__(self, network: nn.Module, factor: float) -> None:
        super().__init__()
        self.network = network
        self.factor = factor

    def forward(self, images: Tensor) -> Tensor:
        return torch.as_tensor(self.network(images) * self.factor)


def compared_with(original: Package, checks: ImageChecks, factor: float) -> Compared:
    network = build_network(original)
    labelled = (checks.images, checks.probabilities >= 0.5)
    return compare(original.manifest, network, Blunted(network, factor), checks, labelled)


def test_the_network_itself_is_as_good(original: Package, checks: ImageChecks) -> None:
    compared = compared_with(original, checks, 1.0)

    assert compared.fault(1e-4) is None
    assert compared.accuracies == (1.0, 1.0)


def test_probabilities_beyond_the_tolerance_are_refused_with_the_figures(
    original: Package, checks: ImageChecks
) -> None:
    fault = compared_with(original, checks, 0.1).fault(1e-4)

    assert fault is not None
    assert "0.0001 is the most" in fault


def test_a_fall_of_accuracy_is_refused_with_the_figures(
    original: Package, checks: ImageChecks
) -> None:
    compared = compared_with(original, checks, -1.0)

    assert compared.changed == 1.0
    assert "100.0% of the decisions" in str(compared.fault(1.0))
    fault = Compared(0.0, 0.0, compared.accuracies, compared.n).fault(1.0)
    assert fault == (
        "on 8 labelled images the accuracy falls from 1.0000 to 0.0000, and 0.005 is the most"
    )


def test_a_fall_within_the_limit_is_let_pass() -> None:
    assert Compared(0.0, 0.0, (0.940, 0.936), 1000).fault(1.0) is None
    assert Compared(0.0, 0.0, (0.940, 0.934), 1000).fault(1.0) is not None


@pytest.mark.parametrize("name", ["chest-rules-en", "chest-rnn"])
def test_only_image_networks_of_torch_are_converted(name: str, tmp_path: Path) -> None:
    with pytest.raises(PackageError, match="only image models"):
        export(load_package(BUNDLED_FOLDER / name), tmp_path, int8=False, labelled=None)
    assert list(tmp_path.iterdir()) == []
