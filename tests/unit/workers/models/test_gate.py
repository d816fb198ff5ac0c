"""How far an image is from the usual, and what is kept of that in a package."""

import pytest
import torch
from safetensors.torch import save
from torch import Tensor

from medqueue.errors import PackageError
from workers.models.gate import fit, parse_gate, write_gate


def usual(count: int, seed: int = 0) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    spread = torch.tensor([[3.0, 0.0], [2.9, 0.1]])
    return {"deep": torch.randn(count, 2, generator=generator) @ spread.T + 5}


def test_images_like_the_training_images_are_about_one_away() -> None:
    gate = fit(usual(2000), shrinkage=1e-6)

    distances = gate.distances(usual(500, seed=1))

    assert 0.9 < float(distances.square().mean()) < 1.1


def test_what_is_unusual_together_is_far_though_each_part_is_usual() -> None:
    gate = fit(usual(2000), shrinkage=0.001)

    along, across = gate.distances({"deep": torch.tensor([[8.0, 7.9], [8.0, 2.1]])})

    assert along < 2
    assert across > 10


def test_fewer_images_than_channels_are_enough() -> None:
    few = {"deep": torch.randn(5, 40, generator=torch.Generator().manual_seed(0))}

    assert fit(few).distances(few).isfinite().all()


def test_channels_that_never_change_are_no_obstacle() -> None:
    silent = {"deep": torch.zeros(10, 3)}

    assert fit(silent).distances(silent).tolist() == [0] * 10


def test_it_is_the_same_after_it_was_written_and_read() -> None:
    gate = fit(usual(100) | {"shallow": torch.rand(100, 3)})
    others = usual(10, seed=2) | {"shallow": torch.rand(10, 3)}

    again = parse_gate(write_gate(gate))

    assert set(again.layers) == {"deep", "shallow"}
    torch.testing.assert_close(again.distances(others), gate.distances(others))


@pytest.mark.parametrize(
    "content",
    [
        b"no tensors",
        save({"other": torch.zeros(1)}),
        save({"mean/a": torch.zeros(2)}),
        save({"mean/a": torch.zeros(2), "whitening/a": torch.zeros(3, 3)}),
        save({"mean/a": torch.full((2,), torch.nan), "whitening/a": torch.zeros(2, 2)}),
    ],
)
def test_a_file_that_is_no_gate_is_refused(content: bytes) -> None:
    with pytest.raises(PackageError, match="gate"):
        parse_gate(content)
