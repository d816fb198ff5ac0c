"""Writing a trained network as a model package: weights as safetensors, and their manifest."""

import hashlib
import json
from datetime import date
from pathlib import Path
from typing import Any

from safetensors.torch import save as save_safetensors
from torch import nn

from schemas.manifest import Engine, Manifest
from schemas.result import ResultKind
from workers.models.package import MANIFEST_NAME
from workers.training.config import PackageConfig

WEIGHTS_NAME = "weights.safetensors"


def write_package(
    folder: Path, network: nn.Module, config: PackageConfig, temperature: float, released: date
) -> Manifest:
    """Write `weights.safetensors` and `manifest.toml` into a folder and return the manifest.

    The manifest is written last: a folder without one is no package, so a write that is cut off
    leaves nothing that could be loaded.
    """
    state = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
    weights = save_safetensors(state)
    manifest = Manifest(
        name=config.name,
        version=config.version,
        kind=ResultKind.IMAGE,
        engine=Engine.TORCH,
        architecture=config.architecture,
        parameters=config.parameters,
        weights=WEIGHTS_NAME,
        sha256=hashlib.sha256(weights).hexdigest(),
        accepts=config.accepts,
        preparation=config.preparation,
        labels=(config.label,),
        temperature=temperature,
        intended_use=config.intended_use,
        licence=config.licence,
        data_provenance=config.data_provenance,
        released=released,
    )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / WEIGHTS_NAME).write_bytes(weights)
    text = toml_of(manifest.model_dump(mode="json", exclude_none=True))
    (folder / MANIFEST_NAME).write_text(text, encoding="utf-8")
    return manifest


def toml_of(table: dict[str, Any], heading: str = "") -> str:
    """Write a table as TOML 1.0: values first, then its tables and its lists of tables.

    Python reads TOML but does not write it; a manifest needs no more of the format than this.
    """
    lines = [f"{key} = {_value(value)}" for key, value in table.items() if not _is_table(value)]
    text = "\n".join(lines) + "\n" if lines else ""
    for key, value in table.items():
        name = f"{heading}{key}"
        if isinstance(value, dict) and value:
            text += f"\n[{name}]\n{toml_of(value, f'{name}.')}"
        elif _is_table(value):
            text += "".join(f"\n[[{name}]]\n{toml_of(item, f'{name}.')}" for item in value)
    return text


def _is_table(value: object) -> bool:
    return isinstance(value, dict) or (
        isinstance(value, list) and bool(value) and isinstance(value[0], dict)
    )


def _value(value: object) -> str:
    # A JSON string is a TOML basic string once DEL, the one character they disagree on, is escaped.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
