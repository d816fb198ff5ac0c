"""Importing MONAI bundles: the same probabilities as MONAI's network, and no code of the bundle."""

import io
import json
import tomllib
import warnings
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from click.testing import CliRunner, Result
from monai.networks import nets
from safetensors.torch import save_file
from torch import Tensor, nn

from medqueue.cli.db import db
from medqueue.cli.models import models
from medqueue.errors import ConfigurationError, PackageError
from schemas.manifest import Engine, Manifest
from workers.inference.session import Session
from workers.models.package import load_package
from workers.training.checks import made_up_images
from workers.training.conversion import to_onnx
from workers.training.monai_bundle.command import import_bundle as command
from workers.training.monai_bundle.importing import Described, import_bundle

HOWTO = Path(__file__).parents[5] / "docs" / "howto" / "add-a-model.md"
SIDE = 32
DENSENET: dict[str, Any] = {
    "_target_": "DenseNet121",
    "spatial_dims": 2,
    "in_channels": 1,
    "out_channels": 2,
    "init_features": 8,
    "growth_rate": 4,
    "block_config": [6, 12],
}
METADATA: dict[str, Any] = {
    "name": "Chest Findings",
    "version": "0.3.1",
    "description": "Made for a test.",
    "authors": "Nobody",
    "copyright": "Copyright (c) Nobody",
    "data_source": "Made-up images",
    "intended_use": "Tests only.",
    "network_data_format": {
        "inputs": {"image": {"num_channels": 1, "spatial_shape": [SIDE, SIDE]}},
        "outputs": {"pred": {"num_channels": 2, "spatial_shape": [1, 2], "format": "classes"}},
    },
}
ANSWERS = """
licence = "Apache-2.0"
transposed = {transposed}
{more}
[accepts]
modalities = ["CR", "DX"]
[preparation]
size = [32, 32]
crop = "none"
interpolation = "bilinear"
mean = 0.5
std = 0.25
"""
TWO_LABELS = '[[labels]]\nname = "Opacity"\n[[labels]]\nname = "Effusion"\n'
ONE_LABEL = '[[labels]]\nname = "Pneumonia"\n'


def postprocessing(activation: str) -> dict[str, Any]:
    step = {"_target_": "Activationsd", "keys": "pred", activation: True}
    return {"_target_": "Compose", "transforms": [step, {"_target_": "AsDiscreted"}]}


def untrained(definition: dict[str, Any]) -> nn.Module:
    """Build it by MONAI, as MONAI's ConfigParser would, with statistics that are not the usual."""
    torch.manual_seed(5)
    arguments = {key: value for key, value in definition.items() if key != "_target_"}
    network: nn.Module = getattr(nets, definition["_target_"])(**arguments)
    for part in network.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean = torch.randn_like(part.bias) / 10
    return network.eval()


class Workbench:
    """A bundle in the making, and what is said beside it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "bundle"
        self.output = folder / "out"
        self.answers = folder / "import.toml"
        self.definition: dict[str, Any] = dict(DENSENET)
        self.metadata: dict[str, Any] = json.loads(json.dumps(METADATA))
        self.config: dict[str, Any] = {"postprocessing": postprocessing("sigmoid")}
        for part in ("configs", "models"):
            (self.folder / part).mkdir(parents=True)
        self.answer()

    def answer(self, labels: str = TWO_LABELS, more: str = "", *, transposed: bool = False) -> None:
        said = ANSWERS.format(transposed=str(transposed).lower(), more=more)
        self.answers.write_text(said + labels, encoding="utf-8")

    def pack(self, *, weights: bool = True) -> nn.Module:
        """Write the bundle, and return MONAI's network."""
        network = untrained(self.definition)
        if weights:
            torch.save(network.state_dict(), self.folder / "models" / "model.pt")
        self.write()
        return network

    def write(self) -> None:
        config = {"network_def": self.definition} | self.config
        (self.folder / "configs" / "inference.json").write_text(json.dumps(config))
        (self.folder / "configs" / "metadata.json").write_text(json.dumps(self.metadata))

    def bring_in(self) -> Manifest:
        return import_bundle(self.folder, self.output, self.answers, date(2026, 1, 1))

    def served(self, images: Tensor) -> Tensor:
        return torch.from_numpy(Session(load_package(self.output)).predict(images.numpy()))


@pytest.fixture
def bench(tmp_path: Path) -> Workbench:
    return Workbench(tmp_path)


@pytest.fixture
def images() -> Tensor:
    pixels = made_up_images((SIDE, SIDE), 6, seed=9).astype(np.float32)
    return torch.from_numpy((pixels[:, np.newaxis] / 255 - 0.5) / 0.25)


def said_by(network: nn.Module, images: Tensor) -> Tensor:
    """Return what MONAI's network says before its activation."""
    with torch.inference_mode():
        answer = network(images)
    scores: Tensor = answer[0] if isinstance(answer, tuple) else answer
    return scores


def test_a_bundle_is_imported_and_added(
    bench: Workbench, images: Tensor, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    network = bench.pack()
    monkeypatch.setenv("MEDQUEUE_DATA_DIR", str(tmp_path / "data"))

    def run(group: Any, *arguments: str) -> Result:
        return CliRunner().invoke(group, arguments, catch_exceptions=False)

    asked = [str(bench.folder), "--output", str(bench.output), "--with", str(bench.answers)]
    assert "chest-findings 0.3.1" in run(command, *asked).output
    run(db, "upgrade")
    assert run(models, "add", str(bench.output)).output == "added chest-findings 0.3.1\n"

    assert torch.allclose(bench.served(images), torch.sigmoid(said_by(network, images)), atol=1e-6)
    manifest = load_package(bench.output).manifest
    assert (manifest.intended_use, manifest.licence) == ("Tests only.", "Apache-2.0")
    assert manifest.data_provenance == "Made-up images; Nobody; Copyright (c) Nobody"
    assert manifest.candidate
    assert "Not measured" in (bench.output / "MODEL_CARD.md").read_text()


NETWORKS: list[dict[str, Any]] = [
    {
        "_target_": "resnet18",
        "spatial_dims": 2,
        "n_input_channels": 1,
        "num_classes": 2,
        "widen_factor": 0.0625,
    },
    {
        "_target_": "ResNet",
        "block": "basic",
        "layers": [1, 1, 1, 1],
        "block_inplanes": [4, 8, 16, 32],
        "spatial_dims": 2,
        "n_input_channels": 1,
        "num_classes": 2,
        "conv1_t_size": [3, 3],
        "no_max_pool": True,
    },
    {
        "_target_": "ViT",
        "spatial_dims": 2,
        "in_channels": 1,
        "img_size": [SIDE, SIDE],
        "patch_size": 8,
        "hidden_size": 16,
        "mlp_dim": 64,
        "num_layers": 2,
        "num_heads": 4,
        "classification": True,
        "post_activation": "none",
    },
]


@pytest.mark.parametrize("definition", NETWORKS, ids=lambda one: one["_target_"])
def test_other_networks_say_what_they_say_in_monai(
    bench: Workbench, images: Tensor, definition: dict[str, Any]
) -> None:
    bench.definition = definition
    network = bench.pack()
    bench.bring_in()

    assert torch.allclose(bench.served(images), torch.sigmoid(said_by(network, images)), atol=1e-6)


@pytest.mark.parametrize("definition", [DENSENET, NETWORKS[0]], ids=lambda one: one["_target_"])
def test_a_network_of_transposed_images_is_turned(
    bench: Workbench, images: Tensor, definition: dict[str, Any]
) -> None:
    """MONAI's LoadImage hands over columns first; medqueue prepares rows first."""
    bench.definition = definition
    network = bench.pack()
    bench.answer(transposed=True)
    bench.bring_in()

    wanted = torch.sigmoid(said_by(network, images.transpose(2, 3)))
    assert torch.allclose(bench.served(images), wanted, atol=1e-5)
    assert not torch.allclose(wanted, torch.sigmoid(said_by(network, images)), atol=1e-3)


def test_a_softmax_is_kept_and_its_background_has_no_label(
    bench: Workbench, images: Tensor
) -> None:
    bench.definition["out_channels"] = 3
    bench.metadata["network_data_format"] = {}
    bench.config["postprocessing"] = postprocessing("softmax")
    bench.answer(more="background = 1")
    network = bench.pack()
    bench.bring_in()

    wanted = torch.softmax(said_by(network, images), dim=1)[:, [0, 2]]
    assert torch.allclose(bench.served(images), wanted, atol=1e-6)


def test_yaml_safetensors_and_a_named_number_do_as_well(bench: Workbench, images: Tensor) -> None:
    network = bench.pack(weights=False)
    (bench.folder / "configs" / "inference.json").unlink()
    definition = bench.definition | {"out_channels": "@num_classes"}
    config = {"imports": ["$import os"], "num_classes": 2, "network_def": definition}
    (bench.folder / "configs" / "inference.yaml").write_text(yaml.safe_dump(config))
    save_file(network.state_dict(), bench.folder / "models" / "model.safetensors")
    bench.answer(more='activation = "sigmoid"')
    bench.bring_in()

    assert torch.allclose(bench.served(images), torch.sigmoid(said_by(network, images)), atol=1e-6)


def test_weights_beside_an_optimiser_are_found(bench: Workbench, images: Tensor) -> None:
    network = bench.pack()
    checkpoint = {"model": network.state_dict(), "optimizer": {"lr": 0.1}, "epoch": 3}
    torch.save(checkpoint, bench.folder / "models" / "model.pt")
    bench.bring_in()

    assert torch.allclose(bench.served(images), torch.sigmoid(said_by(network, images)), atol=1e-6)


def test_onnx_is_served_as_it_is(bench: Workbench, images: Tensor) -> None:
    network = bench.pack(weights=False)
    bench.definition["_target_"] = "SEResNet50"
    bench.write()
    (bench.folder / "models" / "model.onnx").write_bytes(to_onnx(network, (1, SIDE, SIDE)))

    assert bench.bring_in().engine is Engine.ONNX
    assert torch.allclose(bench.served(images), torch.sigmoid(said_by(network, images)), atol=1e-5)


def test_what_is_missing_is_asked_for_at_once(bench: Workbench) -> None:
    del bench.metadata["intended_use"]
    bench.config = {}
    bench.pack()

    with pytest.raises(ConfigurationError) as refused:
        import_bundle(bench.folder, bench.output, None, date(2026, 1, 1))

    for wanted in (
        "intended_use, licence",
        "accepts.modalities",
        "preparation.size",
        "preparation.crop",
        "preparation.interpolation",
        "preparation.mean",
        "labels",
        "activation",
        "transposed",
    ):
        assert wanted in refused.value.detail
    assert "data_provenance" not in refused.value.detail
    assert not bench.output.exists()


def test_the_documented_answers_are_all_that_is_missing() -> None:
    section = HOWTO.read_text(encoding="utf-8").partition("## Import a MONAI bundle")[2]
    answers = tomllib.loads(section.partition("```toml")[2].partition("```")[0])
    of_metadata = {"name": "a", "version": "1.0.0", "intended_use": "b", "data_provenance": "c"}

    assert Described.model_validate(answers | of_metadata).background == 0


def test_an_activation_that_the_bundle_denies_is_refused(bench: Workbench) -> None:
    bench.answer(more='activation = "softmax"')
    bench.pack()
    with pytest.raises(ConfigurationError, match="postprocessing says 'sigmoid'"):
        bench.bring_in()


def test_each_output_needs_its_label(bench: Workbench) -> None:
    bench.answer(ONE_LABEL)
    bench.pack()
    with pytest.raises(ConfigurationError, match="1 are given, and the network has 2 outputs"):
        bench.bring_in()


def test_an_expression_is_refused_and_not_evaluated(bench: Workbench, tmp_path: Path) -> None:
    bench.pack()
    mark = tmp_path / "evaluated"
    code = f"$__import__('pathlib').Path({str(mark)!r}).touch() or 2"
    bench.definition["out_channels"] = code
    bench.config["postprocessing"] = code
    bench.answer(more='activation = "sigmoid"')
    bench.write()

    with pytest.raises(PackageError, match=r"network_def.out_channels is .* are not evaluated"):
        bench.bring_in()
    assert not mark.exists()


DEFINITIONS: list[tuple[dict[str, Any], str]] = [
    ({"spatial_dims": 3}, "spatial_dims is 3"),
    ({"in_channels": 3}, "images of 3 channels"),
    ({"_target_": "SegResNet"}, "SegResNet.*imported are"),
    ({"_target_": "os.DenseNet121"}, "os.DenseNet121"),
    ({"norm": "instance"}, "norm: Input should be 'batch'"),
    ({"norm": ["batch", {"eps": 0.1}]}, "norm"),
    ({"bn_size": 2}, "bn_size"),
    ({"brand_new": 1}, "brand_new: Extra inputs"),
    ({"out_channels": 10**9}, "out_channels"),
    ({"out_channels": "@network_def"}, "not evaluated|out_channels"),
    ({"out_channels": "@elsewhere#deep"}, "are not evaluated"),
    ({"block_config": [5, 5]}, "block_config"),
    ({"growth_rate": 8}, "not of the network that network_def describes"),
    ({"init_features": 4096, "growth_rate": 4096}, "not of the network"),
]


@pytest.mark.parametrize(("change", "reason"), DEFINITIONS)
def test_another_network_is_refused_with_the_reason(
    bench: Workbench, change: dict[str, Any], reason: str
) -> None:
    bench.pack()
    bench.definition |= change
    bench.write()
    with pytest.raises((PackageError, ConfigurationError), match=reason):
        bench.bring_in()
    assert not bench.output.exists()


FORMATS: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({"spatial_shape": [64, 64, 64]}, {}, "3-dimensional"),
    ({"num_channels": 3}, {}, "3 channels"),
    ({}, {"format": "segmentation"}, "a segmentation bundle"),
    ({}, {"spatial_shape": [SIDE, SIDE]}, "a segmentation bundle"),
]


@pytest.mark.parametrize(("image", "answer", "reason"), FORMATS)
def test_a_bundle_for_something_else_is_refused_with_the_reason(
    bench: Workbench, image: dict[str, Any], answer: dict[str, Any], reason: str
) -> None:
    data = bench.metadata["network_data_format"]
    data["inputs"]["image"] |= image
    data["outputs"]["pred"] |= answer
    bench.pack()
    with pytest.raises(PackageError, match=reason):
        bench.bring_in()


def test_a_transformer_cannot_be_turned(bench: Workbench) -> None:
    bench.definition = NETWORKS[-1]
    bench.answer(transposed=True)
    bench.pack()
    with pytest.raises(PackageError, match="cannot be turned"):
        bench.bring_in()


def torchscript(bench: Workbench, _: nn.Module) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch is about to give it up, and bundles have it
        scripted = torch.jit.trace(untrained(DENSENET), torch.zeros(1, 1, SIDE, SIDE))
        scripted.save(str(bench.folder / "models" / "model.pt"))


def torchscript_alone(bench: Workbench, _: nn.Module) -> None:
    (bench.folder / "models" / "model.pt").rename(bench.folder / "models" / "model.ts")


def with_code(bench: Workbench, network: nn.Module) -> None:
    torch.save(network, bench.folder / "models" / "model.pt")


def bare_pickle(bench: Workbench, _: nn.Module) -> None:
    (bench.folder / "models" / "model.pt").write_bytes(b"\x80\x04}\x94.")


def not_a_number(bench: Workbench, network: nn.Module) -> None:
    state = network.state_dict()
    state["class_layers.out.bias"][0] = torch.nan
    torch.save(state, bench.folder / "models" / "model.pt")


def larger_than_its_file(bench: Workbench, _: nn.Module) -> None:
    claimed = torch.zeros(1).expand(2**31, 2)
    torch.save({"weight": claimed}, bench.folder / "models" / "model.pt")


def cut_off(bench: Workbench, network: nn.Module) -> None:
    buffer = io.BytesIO()
    torch.save(network.state_dict(), buffer)
    (bench.folder / "models" / "model.pt").write_bytes(buffer.getvalue()[:-100])


def linked(bench: Workbench, _: nn.Module) -> None:
    path = bench.folder / "models" / "model.pt"
    path.symlink_to(path.rename(bench.folder / "elsewhere.pt"))


def linked_folder(bench: Workbench, _: nn.Module) -> None:
    path = bench.folder / "models"
    path.symlink_to(path.rename(bench.folder / "elsewhere"))


def unfolding(bench: Workbench, _: nn.Module) -> None:
    (bench.folder / "configs" / "inference.json").unlink()
    bomb = "a: &a [x, x]\nb: &b [*a, *a]\nnetwork_def: [*b, *b]\n"
    (bench.folder / "configs" / "inference.yaml").write_text(bomb)


def deep(bench: Workbench, _: nn.Module) -> None:
    path = bench.folder / "configs" / "inference.json"
    path.write_text('{"network_def": ' + "[" * 100_000 + "]" * 100_000 + "}")


def large(bench: Workbench, _: nn.Module) -> None:
    (bench.folder / "configs" / "metadata.json").write_text(" " * 2**21)


SPOILED: list[tuple[Callable[[Workbench, nn.Module], None], str]] = [
    (torchscript, "is TorchScript, a program"),
    (torchscript_alone, "is TorchScript, a program"),
    (with_code, "holds more than tensors"),
    (bare_pickle, "no file that torch.save has written"),
    (not_a_number, "not finite"),
    (larger_than_its_file, "holds more than"),
    (cut_off, "no file that torch.save has written"),
    (linked, "it is a link"),
    (linked_folder, "none of them may be a link"),
    (unfolding, "has YAML aliases"),
    (deep, "nested too deeply"),
    (large, "larger than the limit"),
]


@pytest.mark.parametrize(("spoil", "reason"), SPOILED, ids=lambda one: getattr(one, "__name__", ""))
def test_a_spoiled_bundle_is_refused_with_the_reason(
    bench: Workbench, spoil: Callable[[Workbench, nn.Module], None], reason: str
) -> None:
    spoil(bench, bench.pack())
    with pytest.raises(PackageError, match=reason):
        bench.bring_in()
    assert not bench.output.exists()


def test_a_size_that_the_network_does_not_take_is_refused(bench: Workbench) -> None:
    bench.definition = NETWORKS[-1]
    bench.pack()
    bench.answers.write_text(
        bench.answers.read_text().replace("size = [32, 32]", "size = [48, 48]")
    )
    with pytest.raises(PackageError, match=r"does not take 8 images of 48 x 48"):
        bench.bring_in()


def test_a_folder_with_something_in_it_is_left_alone(bench: Workbench) -> None:
    bench.pack()
    bench.output.mkdir()
    (bench.output / "note.txt").write_text("mine")
    with pytest.raises(ConfigurationError, match="not empty"):
        CliRunner().invoke(
            command,
            [str(bench.folder), "--output", str(bench.output)],
            catch_exceptions=False,
        )
