"""Reading a MONAI bundle as data: its metadata, its network's definition, its weights.

MONAI's own ConfigParser makes any Python object that a configuration names and evaluates its `$`
expressions, so a bundle is a program to it. Here it is two bounded files of plain values and one of
weights (https://docs.monai.io/en/stable/mb_specification.html).
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from medqueue.errors import PackageError
from medqueue.storage import packages

_MAX_CONFIG_BYTES = 1024**2
"""Configurations of the model zoo have a few KiB."""
_CONFIGS = ("inference.json", "inference.yaml", "inference.yml")
_WEIGHTS = ("model.safetensors", "model.pt", "model.onnx")
"""The first that is there is taken; a bundle may bring the same network in several forms."""
_REFERENCE = re.compile(r"@(\w+)")
_NOT_DATA = ("$", "@", "%")
"""What expressions, references and macros of a configuration begin with."""
_ACTIVATIONS = frozenset({"activations", "activationsd", "activationsdict"})
_PLANE = 2


def _text_or_none(value: object) -> object:
    return value if isinstance(value, str) and value.strip() else None


_Text = Annotated[str | None, BeforeValidator(_text_or_none)]
"""What is empty, or no text, says nothing."""


class _Lenient(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class _Tensor(_Lenient):
    """How metadata describe what goes into a network, or comes out of it."""

    format: _Text = None
    num_channels: int | None = None
    spatial_shape: list[int | str] = []


class _DataFormat(_Lenient):
    inputs: dict[str, _Tensor] = {}
    outputs: dict[str, _Tensor] = {}


class Metadata(_Lenient):
    """What `configs/metadata.json` says of a bundle."""

    name: _Text = None
    version: _Text = None
    description: _Text = None
    authors: _Text = None
    copyright: _Text = None
    license: _Text = None
    intended_use: _Text = None
    data_source: _Text = None
    network_data_format: _DataFormat = _DataFormat()


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle for two-dimensional images of one channel."""

    metadata: Metadata
    definition: Mapping[str, Any]
    """`network_def` of the inference configuration, plain values only."""
    activation: str | None
    """`sigmoid` or `softmax`, where its postprocessing says so."""
    weights_name: str
    weights: bytes = field(repr=False)


def read_bundle(folder: Path) -> Bundle:
    """Read a bundle, without running anything of it.

    Raises:
        PackageError: it is damaged, says by expressions what it should say by values, or is for
            something else than telling classes of grey images.
    """
    for part in (folder, folder / "configs", folder / "models"):
        if part.is_symlink() or not part.is_dir():
            raise PackageError(
                f"{folder.name}: is no MONAI bundle: it needs the folders configs and models, and "
                "none of them may be a link"
            )
    try:
        metadata = _parse_metadata(_read_table(folder / "configs" / "metadata.json"))
        _refuse_other_tasks(metadata.network_data_format)
        config = _read_table(folder / "configs" / _present(folder / "configs", _CONFIGS))
        definition = _literal_definition(config)
        activation = _activation(config.get("postprocessing"))
    except RecursionError:
        raise PackageError(f"{folder.name}: its configuration is nested too deeply") from None
    name = _weights_name(folder / "models")
    content = packages.read_bounded(folder / "models" / name, packages.MAX_WEIGHTS_BYTES)
    return Bundle(metadata, definition, activation, name, content)


def _read_table(path: Path) -> dict[str, Any]:
    content = packages.read_bounded(path, _MAX_CONFIG_BYTES)
    try:
        text = content.decode()
        if path.suffix == ".json":
            table = json.loads(text)
        else:
            # An alias may stand for aliases: a page that unfolds into more than memory holds.
            if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text)):
                raise PackageError(f"{path.name}: has YAML aliases; write each value out")
            table = yaml.safe_load(text)
    except (UnicodeDecodeError, ValueError, yaml.YAMLError) as error:
        raise PackageError(f"{path.name}: cannot be read: {error}") from error
    if not isinstance(table, dict):
        raise PackageError(f"{path.name}: must be a table of names and values")
    return table


def _parse_metadata(table: dict[str, Any]) -> Metadata:
    try:
        return Metadata.model_validate(table)
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        place = ".".join(map(str, fault["loc"]))
        raise PackageError(f"metadata.json: {place}: {fault['msg']}") from error


def _refuse_other_tasks(data: _DataFormat) -> None:
    """Refuse by the metadata what is no classification of single grey images."""
    images, answers = list(data.inputs.values()), list(data.outputs.values())
    if len(images) > 1 or len(answers) > 1:
        raise PackageError(
            f"metadata.json: the network has {len(images)} inputs and {len(answers)} outputs; "
            "medqueue gives a network one image and takes one row of logits"
        )
    shapes = [image.spatial_shape for image in images]
    if any(len(shape) > _PLANE for shape in shapes):
        raise PackageError(
            f"metadata.json: the network reads {len(shapes[0])}-dimensional images; only bundles "
            "for two-dimensional ones are imported"
        )
    for answer in answers:
        if answer.format == "segmentation" or answer.spatial_shape in (s for s in shapes if s):
            raise PackageError(
                "metadata.json: a segmentation bundle: it answers with a picture, and image models "
                "here answer with the probability of each label"
            )
    for image in images:
        if image.num_channels not in (None, 1):
            raise PackageError(
                f"metadata.json: the network reads images of {image.num_channels} channels; those "
                "of medqueue have one, of grey values"
            )


def _literal_definition(config: Mapping[str, Any]) -> dict[str, Any]:
    definition = config.get("network_def")
    if not isinstance(definition, dict):
        raise PackageError(
            "the inference configuration has no network_def of plain values, so nobody can tell "
            "which network the weights are of without running the bundle"
        )
    return {
        str(key): _literal(value, f"network_def.{key}", config) for key, value in definition.items()
    }


def _literal(value: object, place: str, named: Mapping[str, Any]) -> Any:
    """Return a plain value; '@name' is looked up once, in `named`, and nothing is evaluated."""
    if isinstance(value, list):
        return [_literal(item, place, named) for item in value]
    if isinstance(value, dict):
        return {key: _literal(item, f"{place}.{key}", named) for key, item in value.items()}
    if not isinstance(value, str) or not value.startswith(_NOT_DATA):
        return value
    reference = _REFERENCE.fullmatch(value)
    if reference is not None and reference[1] in named:
        return _literal(named[reference[1]], place, {})
    raise PackageError(
        f"{place} is {value[:80]!r}: expressions of a bundle are code and are not evaluated; write "
        "the value itself"
    )


def _activation(postprocessing: object) -> str | None:
    """Return what the bundle says that its logits become, if it says so by plain values."""
    transforms = postprocessing.get("transforms") if isinstance(postprocessing, dict) else None
    stated = {
        name
        for transform in (transforms if isinstance(transforms, list) else ())
        if isinstance(transform, dict)
        and str(transform.get("_target_")).rpartition(".")[2].lower() in _ACTIVATIONS
        for name in ("sigmoid", "softmax")
        if transform.get(name) is True
    }
    return stated.pop() if len(stated) == 1 else None


def _weights_name(folder: Path) -> str:
    if (folder / "model.ts").exists() and not any((folder / name).exists() for name in _WEIGHTS):
        raise PackageError(
            "models/model.ts is TorchScript, a program and not only weights; ask for the bundle's "
            "models/model.pt or model.safetensors"
        )
    return _present(folder, _WEIGHTS)


def _present(folder: Path, names: tuple[str, ...]) -> str:
    for name in names:
        if (folder / name).exists():
            return name
    raise PackageError(f"{folder.name}: has none of {', '.join(names)}")
