"""The text networks: one answer a text, whoever is beside it, and attention on its own words."""

from typing import cast

import pytest
import torch
from torch import nn

from workers.models.attention import TextNetwork, pad
from workers.models.registry import build

NETWORKS = {
    "bi-gru": {"vocabulary": 20, "embedding": 8, "width": 6},
    "text-transformer": {"vocabulary": 20, "max_tokens": 12, "width": 8, "heads": 2, "layers": 1},
}


@pytest.fixture(params=NETWORKS)
def network(request: pytest.FixtureRequest) -> nn.Module:
    torch.manual_seed(0)
    return build(request.param, 3, NETWORKS[request.param]).eval()


def test_a_text_gives_the_same_logits_alone_and_beside_a_longer_one(network: nn.Module) -> None:
    short, long = [4, 5, 6], [7, 8, 9, 10, 11, 12, 13]

    with torch.inference_mode():
        alone, beside = network(pad([short])), network(pad([short, long]))

    torch.testing.assert_close(alone[0], beside[0], atol=1e-5, rtol=0)


def test_attention_sums_to_one_over_the_words_of_a_text(network: nn.Module) -> None:
    with torch.inference_mode():
        logits, attention = cast("TextNetwork", network).attend(pad([[4, 5], [4, 5, 6, 7]]))

    assert logits.shape == (2, 3)
    torch.testing.assert_close(attention.sum(dim=-1), torch.ones(2, 3))
    assert attention[0, :, 2:].eq(0).all()


def test_each_label_has_an_attention_of_its_own(network: nn.Module) -> None:
    with torch.inference_mode():
        _, attention = cast("TextNetwork", network).attend(pad([[4, 5, 6, 7]]))

    assert not torch.allclose(attention[0, 0], attention[0, 1])
