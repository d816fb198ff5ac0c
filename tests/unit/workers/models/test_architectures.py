"""Every architecture: it learns from a batch, and its weights come back from safetensors."""

import subprocess
import sys

import pytest
import torch
from safetensors.torch import load, save
from torch import Tensor, nn
from torch.nn import functional

from medqueue.errors import PackageError
from workers.models.compound import Ensemble
from workers.models.registry import Parameters, architectures, build

LABELS = 2
IMAGES = (torch.randn(4, 1, 28, 28, generator=torch.Generator().manual_seed(1)),)
VOLUMES = (torch.randn(2, 1, 16, 16, 16, generator=torch.Generator().manual_seed(1)),)
TOKENS = (torch.randint(2, 9, (4, 6), generator=torch.Generator().manual_seed(1)),)
WITH_TABLE = (torch.cat([*IMAGES, torch.ones(4, 5, 28, 28)], dim=1),)

CASES: list[tuple[str, Parameters, tuple[Tensor, ...]]] = [
    ("residual-cnn", {"width": 4, "blocks": 1, "mirror": True}, IMAGES),
    ("resnet", {"depth": 10, "width": 4, "small_images": True}, IMAGES),
    ("resnet", {"depth": 18, "width": 4}, IMAGES),
    ("resnet", {"depth": 50, "width": 4, "dimensions": 3}, VOLUMES),
    ("densenet", {"width": 8, "growth": 4, "stages": 3}, IMAGES),
    ("densenet", {"width": 8, "growth": 4, "stages": 2, "dimensions": 3}, VOLUMES),
    ("vision-transformer", {"size": 28, "patch": 7, "width": 16, "layers": 2}, IMAGES),
    ("vision-transformer", {"size": 16, "patch": 8, "width": 16, "dimensions": 3}, VOLUMES),
    ("bi-gru", {"vocabulary": 9, "embedding": 4, "width": 4}, TOKENS),
    ("text-transformer", {"vocabulary": 9, "max_tokens": 6, "width": 8, "heads": 2}, TOKENS),
    (
        "ensemble",
        {"member": "residual-cnn", "members": 3, "width": 4, "blocks": 1, "mirror": True},
        IMAGES,
    ),
    (
        "image-table",
        {"image": "residual-cnn", "columns": 5, "width": 4, "blocks": 1, "mirror": False},
        WITH_TABLE,
    ),
    ("exclusive-classes", {"network": "densenet", "width": 8, "growth": 4, "stages": 3}, IMAGES),
]


def named(case: object) -> str:
    return case if isinstance(case, str) else ""


def answer(network: nn.Module, inputs: tuple[Tensor, ...]) -> Tensor:
    with torch.inference_mode():
        logits: Tensor = network.eval()(*inputs)
    return logits


@pytest.mark.parametrize(("name", "parameters", "inputs"), CASES, ids=named)
def test_it_learns_from_a_batch_and_its_weights_come_back(
    name: str, parameters: Parameters, inputs: tuple[Tensor, ...]
) -> None:
    torch.manual_seed(0)
    network = build(name, LABELS, parameters).train()

    logits = network(*inputs)
    functional.binary_cross_entropy_with_logits(logits, torch.ones_like(logits)).backward()

    untaught = [
        key
        for key, value in network.named_parameters()
        if value.requires_grad and value.grad is None
    ]
    assert untaught == []
    copy = build(name, LABELS, parameters)
    copy.load_state_dict(load(save(network.state_dict())))
    assert answer(network, inputs).shape == (len(inputs[0]), LABELS)
    torch.testing.assert_close(answer(copy, inputs), answer(network, inputs))


def test_no_architecture_is_left_untried() -> None:
    assert {name for name, _, _ in CASES} == set(architectures())


def test_an_ensemble_answers_with_the_mean_of_members_that_differ() -> None:
    network = build(
        "ensemble", 1, {"member": "residual-cnn", "members": 3, "width": 4, "mirror": True}
    )
    assert isinstance(network, Ensemble)

    each = [answer(member, IMAGES) for member in network.members]

    torch.testing.assert_close(answer(network, IMAGES), sum(each) / 3)
    assert not torch.allclose(each[0], each[1])


def test_in_training_each_member_learns_as_if_alone() -> None:
    network = build(
        "ensemble", 1, {"member": "residual-cnn", "members": 2, "width": 4, "mirror": False}
    )
    assert isinstance(network, Ensemble)

    network.train()(*IMAGES)[0].sum().backward()

    slopes = [
        [float(value.grad.abs().sum()) for value in member.parameters() if value.grad is not None]
        for member in network.members
    ]
    assert sum(slopes[0]) > 0
    assert sum(slopes[1]) == 0


def test_an_ensemble_of_text_networks_says_which_words_decided() -> None:
    network = build("ensemble", 2, {"member": "bi-gru", "members": 2, "vocabulary": 9, "width": 4})
    assert isinstance(network, Ensemble)

    logits, attention = network.eval().attend(TOKENS[0])

    torch.testing.assert_close(logits, answer(network, TOKENS))
    torch.testing.assert_close(attention.sum(dim=-1), torch.ones(4, 2))


def test_the_table_changes_the_answer() -> None:
    network = build("image-table", 1, {"image": "resnet", "columns": 5, "depth": 10, "width": 4})

    other = answer(network, (torch.cat([*IMAGES, torch.zeros(4, 5, 28, 28)], dim=1),))

    assert not torch.allclose(answer(network, WITH_TABLE), other)


@pytest.mark.parametrize(
    ("name", "parameters", "said"),
    [
        ("resnet", {"depth": 19}, "10, 18, 34, 50"),
        ("resnet", {"dimensions": 4}, "2 or 3"),
        ("exclusive-classes", {"network": "resnet", "background": 9}, "background is a class"),
        ("densenet", {"stages": 5}, "1 to 4"),
        ("vision-transformer", {"size": 28, "patch": 5}, "patches of 5"),
        ("ensemble", {"member": "residual-cnn", "members": 0}, "at least one"),
        ("ensemble", {"member": "oracle", "members": 2}, "oracle"),
    ],
)
def test_parameters_that_do_not_fit_are_refused_with_what_does(
    name: str, parameters: Parameters, said: str
) -> None:
    with pytest.raises(PackageError, match=said):
        build(name, 1, parameters)


def test_knowing_the_architectures_does_not_load_monai() -> None:
    code = "import sys, workers.models.registry; print('monai' in sys.modules)"

    outcome = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)

    assert outcome.stdout.strip() == b"False"
