"""Architectures: ours by name, others by entry point."""

from importlib.metadata import EntryPoint
from typing import Any

import pytest
import torch
from torch import nn

from medqueue.errors import PackageError
from workers.models import registry
from workers.models.cnn import ResidualCnn
from workers.models.registry import architectures, build


def linear(labels: int, **_: Any) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(784, labels))


def test_the_small_network_has_the_size_it_says() -> None:
    network = build("residual-cnn", 1, {"width": 32, "blocks": 2, "mirror": True})

    assert round(sum(value.numel() for value in network.parameters()) / 1e6, 2) == 0.69


def test_it_takes_any_size_and_gives_a_logit_per_label() -> None:
    network = build("residual-cnn", 3, {"width": 4, "blocks": 1, "mirror": False}).eval()

    assert network(torch.zeros(2, 1, 40, 33)).shape == (2, 3)


def test_another_package_adds_an_architecture(monkeypatch: pytest.MonkeyPatch) -> None:
    plugin = EntryPoint("linear", "builtins:object", "medqueue.architectures")
    monkeypatch.setattr(EntryPoint, "load", lambda _: linear)
    monkeypatch.setattr(registry, "entry_points", lambda **_: [plugin])

    assert architectures().keys() >= {"linear", "residual-cnn", "bi-gru", "text-transformer"}
    assert build("linear", 2, {})(torch.zeros(1, 1, 28, 28)).shape == (1, 2)


def test_another_package_cannot_replace_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    plugin = EntryPoint("residual-cnn", "builtins:object", "medqueue.architectures")
    monkeypatch.setattr(registry, "entry_points", lambda **_: [plugin])

    assert architectures()["residual-cnn"] is ResidualCnn


def test_an_unknown_architecture_is_refused_with_the_known_ones() -> None:
    with pytest.raises(PackageError, match="residual-cnn"):
        build("oracle", 1, {})
