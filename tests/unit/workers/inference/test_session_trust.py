"""What a session tells beside probabilities: how unusual an image is, and what it looked at."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import save
from torch import Tensor, nn

from builders import an_image_model
from medqueue.errors import ModelError, PackageError
from schemas.manifest import Gate, Label, Manifest, Saliency
from workers.inference.session import Session
from workers.models.features import FeatureTap
from workers.models.gate import fit, write_gate
from workers.models.package import Package
from workers.models.registry import build

LAYERS = ("stages.0", "stages.1")
PARAMETERS: dict[str, int | float | str | bool] = {"width": 4, "blocks": 1, "mirror": True}


def images(count: int) -> NDArray[np.float32]:
    return np.random.default_rng(5).normal(size=(count, 1, 28, 28)).astype(np.float32)


def network() -> nn.Module:
    torch.manual_seed(0)
    return build("residual-cnn", 1, PARAMETERS).eval()


def features(inputs: NDArray[np.float32], layers: tuple[str, ...] = LAYERS) -> dict[str, Tensor]:
    made = network()
    tap = FeatureTap(made, layers)
    with torch.inference_mode():
        made(torch.from_numpy(inputs))
    return tap.take()


def package(folder: Path, gate: bytes | None = None, **changes: object) -> Package:
    """A tiny network on disk, with a gate if there is one."""
    weights = save(network().state_dict())
    (folder / "weights.safetensors").write_bytes(weights)
    named = None
    if gate is not None:
        (folder / "gate.safetensors").write_bytes(gate)
        digest = hashlib.sha256(gate).hexdigest()
        named = Gate(
            file="gate.safetensors", sha256=digest, mark_beyond=1, cases=1, passed=1, seed=0
        )
    manifest: Manifest = an_image_model(
        architecture="residual-cnn",
        parameters=PARAMETERS,
        labels=(Label(name="nodule"),),
        sha256=hashlib.sha256(weights).hexdigest(),
        gate=named,
        **changes,
    )
    return Package(folder, manifest, weights)


def test_the_distance_of_an_image_does_not_depend_on_its_batch(tmp_path: Path) -> None:
    usual = fit(features(images(50)))
    session = Session(package(tmp_path, write_gate(usual)))
    batch = images(40) + 1

    together = session.read(batch).distances
    alone = [session.read(batch[at : at + 1]).distances for at in (0, 31, 39)]

    assert together is not None
    np.testing.assert_allclose(np.concatenate(alone), together[[0, 31, 39]], rtol=1e-4)
    np.testing.assert_allclose(together, usual.distances(features(batch)).numpy(), rtol=1e-4)


def test_without_images_there_are_no_distances(tmp_path: Path) -> None:
    session = Session(package(tmp_path, write_gate(fit(features(images(9))))))

    distances = session.read(images(0)).distances

    assert distances is not None
    assert distances.shape == (0,)


def test_without_a_gate_no_distance_is_measured(tmp_path: Path) -> None:
    assert Session(package(tmp_path)).read(images(1)).distances is None


def test_a_gate_of_another_network_is_refused(tmp_path: Path) -> None:
    other = fit({"blocks.7": torch.rand(9, 4)})

    with pytest.raises(PackageError, match="another architecture"):
        Session(package(tmp_path, write_gate(other)))


def test_a_pass_that_failed_leaves_no_features_to_the_next(tmp_path: Path) -> None:
    session = Session(package(tmp_path, write_gate(fit(features(images(9))))))
    expected = session.read(images(2)).distances
    fail = session._network.head.register_forward_hook(_raise)  # type: ignore[union-attr]
    with pytest.raises(ModelError):
        session.read(images(3))
    fail.remove()

    np.testing.assert_array_equal(session.read(images(2)).distances, expected)


def _raise(*_: object) -> None:
    raise RuntimeError("out of something")


@pytest.mark.parametrize("method", [Saliency.GRAD_CAM, Saliency.INTEGRATED_GRADIENTS])
def test_an_explanation_leaves_the_readings_as_they_were(tmp_path: Path, method: Saliency) -> None:
    gate = write_gate(fit(features(images(9))))
    session = Session(package(tmp_path, gate, saliency=method))
    before = session.read(images(3))

    explanation = session.explain(images(1)[0], 0)

    assert explanation is not None
    assert (explanation.method, explanation.values.shape) == (method, (28, 28))
    after = session.read(images(3))
    np.testing.assert_array_equal(after.probabilities, before.probabilities)
    np.testing.assert_array_equal(after.distances, before.distances)


def test_explanations_can_be_switched_off(tmp_path: Path) -> None:
    session = Session(package(tmp_path, saliency=Saliency.OFF))

    assert session.explain(images(1)[0], 0) is None
