"""From a MONAI bundle, and what a person says beside it, to a model package."""

import hashlib
import re
import tomllib
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors.torch import save as save_safetensors
from torch import nn

from medqueue.errors import ConfigurationError, PackageError
from medqueue.storage.packages import MANIFEST_NAME
from schemas.manifest import (
    Accepts,
    CheckSet,
    Engine,
    ImagePreparation,
    Label,
    Manifest,
    Name,
    Saliency,
    Version,
)
from schemas.result import ResultKind
from workers.models.check_set import ImageChecks, write_image_checks
from workers.models.onnx_network import OnnxNetwork
from workers.training.checks import image_checks
from workers.training.monai_bundle.network import Network, describe
from workers.training.monai_bundle.reading import Bundle, Metadata, read_bundle
from workers.training.monai_bundle.weights import load_weights, named_here, read_state
from workers.training.packaging import IMAGE_CHECKS_NAME, WEIGHTS_NAME, toml_of

_CARD_NAME = "MODEL_CARD.md"
_ONNX_NAME = "model.onnx"
_NEITHER_TEMPERED = (1.0, 1.0)
_SEPARATORS = re.compile(r"[^a-z0-9]+")


class _Accepts(Accepts):
    """A bundle names its modality in words of its own."""

    modalities: tuple[str, ...] = Field(min_length=1)


class _Preparation(ImagePreparation):
    """What is usual here is not what is usual in MONAI, so it is asked for."""

    crop: Literal["centre-square", "none"]
    interpolation: Literal["bicubic", "bilinear"]


class Described(BaseModel):
    """Everything that a manifest needs, from the bundle's metadata or from the person's TOML."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Name
    version: Version
    intended_use: str
    licence: str
    data_provenance: str
    accepts: _Accepts
    preparation: _Preparation
    """The bundle's transforms are code; its `spatial_shape` is often not what they resize to."""
    labels: tuple[Label, ...] = Field(min_length=1)
    """One for each output of the network in its order, but for the background."""
    activation: Literal["sigmoid", "softmax"]
    """What its logits become: labels by themselves, or classes that exclude each other."""
    background: int | None = Field(default=None, ge=0)
    """With softmax: the class that means 'nothing found' and has no label, counted from 0."""
    transposed: bool
    """Whether the network was trained on images with rows and columns exchanged, as MONAI's
    LoadImage hands them over unless a transform turns them back."""
    candidate: bool = True


@dataclass(frozen=True, slots=True)
class _Model:
    """The network as it will be served."""

    engine: Engine
    architecture: str
    parameters: dict[str, int | float | str | bool]
    network: nn.Module
    file: str
    content: bytes


def import_bundle(folder: Path, output: Path, answers: Path | None, released: date) -> Manifest:
    """Write the package of a bundle into a folder; nothing of the bundle is run.

    Args:
        folder: Of the bundle.
        output: Where the package goes.
        answers: TOML with what the bundle does not say.
        released: The day that the manifest states.

    Raises:
        PackageError: the bundle is damaged, or none that can be imported; the message says why.
        ConfigurationError: something is missing in the answers, or contradicts the bundle.
    """
    bundle = read_bundle(folder)
    # First of all: nobody should answer questions about a bundle that is refused.
    network = None if bundle.weights_name.endswith(".onnx") else describe(bundle.definition)
    described = _describe(bundle, _read_answers(answers))
    model = _torch(bundle, described, network) if network else _onnx(bundle, described)
    checks = _checks(model.network, described)
    return _write(output, bundle, described, model, checks=checks, released=released)


def _read_answers(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigurationError(f"{path}: cannot be read as TOML: {error}") from error


def _describe(bundle: Bundle, answers: dict[str, Any]) -> Described:
    """Join both sources; what is missing is asked for at once, by name."""
    answered = answers.get("activation")
    if None not in (answered, bundle.activation) and answered != bundle.activation:
        raise ConfigurationError(
            f"activation is {answered!r}, and the bundle's postprocessing says "
            f"{bundle.activation!r}: probabilities of one are wrong for the other; leave it out"
        )
    empty: dict[str, Any] = {"accepts": {}, "preparation": {}}
    said = {key: value for key, value in _said(bundle).items() if value is not None}
    try:
        return Described.model_validate(empty | said | answers)
    except ValidationError as error:
        faults = {
            ".".join(str(part) for part in fault["loc"]): fault
            for fault in error.errors(include_url=False)
        }
    missing = [place for place, fault in faults.items() if fault["type"] == "missing"]
    wrong = [f"{at}: {fault['msg']}" for at, fault in faults.items() if at not in missing]
    if missing:
        wrong.append(f"a manifest needs what the bundle does not say: {', '.join(missing)}")
    raise ConfigurationError(
        f"{'; '.join(wrong)}. Write it into a TOML file and name that by --with "
        "(docs/howto/add-a-model.md)"
    )


def _said(bundle: Bundle) -> dict[str, Any]:
    metadata = bundle.metadata
    name = _SEPARATORS.sub("-", (metadata.name or "").lower()).strip("-")
    made = [part for part in (metadata.data_source, metadata.authors, metadata.copyright) if part]
    return {
        "name": name or None,
        "version": metadata.version,
        "intended_use": metadata.intended_use,
        "licence": metadata.license,
        "data_provenance": "; ".join(made) if metadata.data_source else None,
        "activation": bundle.activation,
    }


def _torch(bundle: Bundle, described: Described, network: Network) -> _Model:
    _require_labels(network.outputs, described)
    state = named_here(
        read_state(bundle.weights_name, bundle.weights), network, turned=described.transposed
    )
    architecture, parameters = network.architecture, network.parameters
    if described.activation == "softmax":
        parameters = {"network": architecture, **parameters}
        if described.background is not None:
            parameters["background"] = described.background
        architecture = "exclusive-classes"
        state = {f"network.{name}": tensor for name, tensor in state.items()}
    built = load_weights(architecture, len(described.labels), parameters, state)
    content = save_safetensors({at: part.contiguous() for at, part in built.state_dict().items()})
    return _Model(Engine.TORCH, architecture, parameters, built, WEIGHTS_NAME, content)


def _onnx(bundle: Bundle, described: Described) -> _Model:
    if described.activation == "softmax" or described.transposed:
        raise PackageError(
            "models/model.onnx: is served as it is, for labels by themselves and with rows first; "
            "for a softmax or transposed images the bundle's model.pt or model.safetensors is "
            "needed"
        )
    network = OnnxNetwork(bundle.weights, bundle.weights_name)
    return _Model(Engine.ONNX, "onnx", {}, network, _ONNX_NAME, bundle.weights)


def _checks(network: nn.Module, described: Described) -> ImageChecks:
    rows, columns = described.preparation.size
    try:
        checks = image_checks(network, described.preparation, _NEITHER_TEMPERED)
    except RuntimeError as error:
        raise PackageError(
            f"the network does not take 8 images of {rows} x {columns} pixels and one channel: "
            f"{str(error).splitlines()[0]}; is preparation.size right? ONNX must be exported for "
            "any number of images"
        ) from error
    if checks.probabilities.ndim != 2:  # noqa: PLR2004 - (n, labels)
        raise PackageError(
            f"the network answers with {checks.probabilities.shape[1:]} numbers for an image, as "
            "one for segmentation does; image models here answer with one for each label"
        )
    if len(described.labels) != checks.probabilities.shape[1]:
        _require_labels(checks.probabilities.shape[1], described)
    return checks


def _require_labels(outputs: int, described: Described) -> None:
    if described.background is not None and described.activation != "softmax":
        raise ConfigurationError("background: only classes that exclude each other have one")
    expected = outputs - (described.background is not None)
    if len(described.labels) != expected:
        raise ConfigurationError(
            f"labels: {len(described.labels)} are given, and the network has {outputs} outputs"
            + (", one of which is the background" if expected < outputs else "")
            + "; each needs its label, in their order. Of classes that exclude each other "
            "(softmax) one may have none: background = 0 names the first"
        )


def _write(
    folder: Path,
    bundle: Bundle,
    described: Described,
    model: _Model,
    *,
    checks: ImageChecks,
    released: date,
) -> Manifest:
    """Write the package; the manifest comes last, as in `packaging`."""
    check = write_image_checks(checks)
    manifest = Manifest(
        **described.model_dump(exclude={"activation", "background", "transposed"}),
        kind=ResultKind.IMAGE,
        engine=model.engine,
        architecture=model.architecture,
        parameters=model.parameters,
        weights=model.file,
        sha256=hashlib.sha256(model.content).hexdigest(),
        check=CheckSet(file=IMAGE_CHECKS_NAME, sha256=hashlib.sha256(check).hexdigest()),
        saliency=Saliency.OFF if model.engine is Engine.ONNX else Saliency.GRAD_CAM,
        released=released,
    )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / model.file).write_bytes(model.content)
    (folder / IMAGE_CHECKS_NAME).write_bytes(check)
    (folder / _CARD_NAME).write_text(_card(manifest, bundle), encoding="utf-8")
    text = toml_of(manifest.model_dump(mode="json", exclude_none=True))
    (folder / MANIFEST_NAME).write_text(text, encoding="utf-8")
    return manifest


def _card(manifest: Manifest, bundle: Bundle) -> str:
    """Return what is known of the model, and what is not."""
    metadata: Metadata = bundle.metadata
    digest = hashlib.sha256(bundle.weights).hexdigest()
    return (
        f"# {manifest.name} {manifest.version}\n\n"
        f"{metadata.description or manifest.intended_use}\n\n"
        f"- Intended use: {manifest.intended_use}\n"
        f"- Licence: {manifest.licence}\n"
        f"- Data: {manifest.data_provenance}\n"
        f"- Made by: {metadata.authors or 'not said'}; copyright: "
        f"{metadata.copyright or 'not said'}\n"
        f"- Imported from a MONAI bundle of version {metadata.version or 'not said'}; its "
        f"{bundle.weights_name} has SHA-256 {digest}\n\n"
        "## Not measured\n\n"
        "Nothing was measured when it was imported. Its preparation was written down by a person, "
        "not taken over from the bundle's transforms: measure it on labelled images of your own "
        "before anybody relies on it (`medqueue evaluate`).\n"
    )
