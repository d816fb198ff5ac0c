"""A session: calibrated, the same in every batch, and never a number that is none."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from medqueue.errors import ModelError, PackageError
from workers.inference.session import Session
from workers.models.package import Package, bundled_packages, load_package


def bundled() -> Package:
    folders = {folder.name: folder for folder in bundled_packages()}
    return load_package(folders["cxr-pneumonia"])


def images(count: int) -> NDArray[np.float32]:
    return np.random.default_rng(5).normal(size=(count, 1, 28, 28)).astype(np.float32)


def test_probabilities_do_not_depend_on_the_batch() -> None:
    session = Session(bundled())
    batch = images(40)

    together = session.predict(batch)
    alone = np.concatenate([session.predict(batch[at : at + 1]) for at in (0, 17, 31, 32, 39)])

    assert together.shape == (40, 1)
    assert together.dtype == np.float32
    np.testing.assert_allclose(together[[0, 17, 31, 32, 39]], alone, atol=1e-5)
    np.testing.assert_array_equal(session.predict(batch), together)


def test_a_mirrored_image_gets_the_same_probability() -> None:
    session = Session(bundled())
    batch = images(4)

    np.testing.assert_allclose(session.predict(batch), session.predict(batch[..., ::-1]), atol=1e-5)


def test_logits_are_divided_by_the_temperature() -> None:
    package = bundled()

    def predicted(temperature: float) -> NDArray[np.float64]:
        # Far above its own, so that no probability is rounded to one.
        changed = package.manifest.model_copy(
            update={"temperature": temperature, "temperature_above": temperature}
        )
        session = Session(Package(package.folder, changed, package.weights))
        return session.predict(images(3)).astype(np.float64)

    warm, cool = predicted(4), predicted(8)

    logits = np.log(warm / (1 - warm))

    np.testing.assert_allclose(cool, 1 / (1 + np.exp(-logits / 2)), atol=1e-4)


def test_an_empty_batch_gives_an_empty_answer() -> None:
    assert Session(bundled()).predict(images(0)).shape == (0, 1)


def test_another_size_is_a_model_error() -> None:
    with pytest.raises(ModelError, match="28"):
        Session(bundled()).predict(np.zeros((1, 1, 32, 32), dtype=np.float32))


def test_what_is_not_a_number_is_a_model_error() -> None:
    batch = images(2)
    batch[1, 0, 3, 3] = np.nan

    with pytest.raises(ModelError, match="finite"):
        Session(bundled()).predict(batch)


def test_a_fault_inside_the_network_is_a_model_error() -> None:
    class Faulty(nn.Module):
        def forward(self, _: Tensor) -> Tensor:
            raise RuntimeError("out of something")

    session = Session(bundled())
    session._network = Faulty()

    with pytest.raises(ModelError, match="RuntimeError"):
        session.predict(images(1))


def test_the_device_is_stated() -> None:
    expected = "cuda" if torch.cuda.is_available() else "cpu"

    assert Session(bundled()).device.type == expected


def test_an_image_model_without_preparation_is_refused() -> None:
    package = bundled()
    bare = package.manifest.model_copy(update={"preparation": None})

    with pytest.raises(PackageError, match="preparation"):
        Session(Package(package.folder, bare, package.weights))
