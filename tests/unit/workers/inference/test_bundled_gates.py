"""The gates of the bundled image models on real images: their own kind, and each other's."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from medqueue.operate import demo_inputs
from schemas.manifest import Gate
from workers.inference.session import Session
from workers.models.package import Package, bundled_packages, load_package
from workers.preprocess.pixels import prepare_image
from workers.training.gate_command import measure_gate

SHARED = Path(__file__).resolve().parents[4].parent / "shared" / "data"
CHEST, BREAST = SHARED / "pneumoniamnist_trainval.npz", SHARED / "breastmnist_trainval.npz"
MADE_AT = datetime(2026, 1, 1, tzinfo=UTC)

needs_shared = [
    pytest.mark.shared_data,
    pytest.mark.skipif(not SHARED.is_dir(), reason=f"needs {SHARED}, which is not in the project"),
]


def gated(name: str) -> tuple[Package, Gate]:
    package = load_package({folder.name: folder for folder in bundled_packages()}[name])
    if package.manifest.gate is None:
        pytest.skip(f"{name} {package.manifest.version} was trained before there were gates")
    return package, package.manifest.gate


def distance(package: Package, path: Path) -> float:
    assert package.manifest.preparation is not None
    reading = Session(package).read(prepare_image(path, package.manifest.preparation))
    assert reading.distances is not None
    return float(reading.distances.max())


@pytest.mark.parametrize(
    ("name", "own", "foreign"),
    [
        pytest.param("cxr-pneumonia", CHEST, BREAST, marks=needs_shared),
        pytest.param("breast-us", BREAST, CHEST, marks=needs_shared),
    ],
)
def test_each_tells_the_other_s_images(name: str, own: Path, foreign: Path) -> None:
    gated(name)

    figures = measure_gate(name, own, foreign, "val")

    assert figures.auroc >= 0.97
    assert figures.own_refused <= 0.01
    assert figures.foreign_refused >= 0.9


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("chest_CR-MONO1-10_part10.dcm", marks=needs_shared),
        pytest.param("chest_CR_RG1_J2KI_mono1.dcm", marks=needs_shared),
    ],
)
def test_a_real_full_size_radiograph_is_not_refused(name: str) -> None:
    package, gate = gated("cxr-pneumonia")
    assert gate.refuse_beyond is not None

    assert distance(package, SHARED / "dicom" / name) <= gate.refuse_beyond


def test_the_radiographs_of_the_demo_are_not_refused(tmp_path: Path) -> None:
    package, gate = gated("cxr-pneumonia")
    assert gate.refuse_beyond is not None
    studies = demo_inputs.write_studies(tmp_path, now=MADE_AT)[:2]

    farthest = np.max([distance(package, study.files[0]) for study in studies])

    assert farthest <= 0.95 * gate.refuse_beyond
