"""Writing a trained network as a model package: its files, and the manifest that names them."""

import hashlib
import json
import re
from datetime import date
from pathlib import Path
from typing import Any

from safetensors.torch import save as save_safetensors

from medqueue.storage.packages import MANIFEST_NAME
from schemas.manifest import CheckSet, Engine, Gate, Manifest, Tokenization
from schemas.result import ResultKind
from workers.models.check_set import write_image_checks, write_text_checks
from workers.models.tokenizer import write_tokenizer
from workers.training.checks import image_checks, text_checks
from workers.training.config import ImagePackage, PackageConfig
from workers.training.gate import FittedGate
from workers.training.recipes import Trained

WEIGHTS_NAME = "weights.safetensors"
TOKENIZER_NAME = "tokenizer.json"
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
GATE_NAME = "gate.safetensors"
IMAGE_CHECKS_NAME = "check.safetensors"
TEXT_CHECKS_NAME = "check.jsonl"


def write_package(
    folder: Path, trained: Trained, config: PackageConfig, released: date
) -> Manifest:
    """Write weights, check set, the vocabulary of a text model, and `manifest.toml`.

    The manifest is written last: a folder without one is no package, so a write that is cut off
    leaves nothing that could be loaded.
    """
    state = {name: tensor.contiguous() for name, tensor in trained.network.state_dict().items()}
    files = {WEIGHTS_NAME: save_safetensors(state)}
    if trained.tokenizer is not None:
        files[TOKENIZER_NAME] = write_tokenizer(trained.tokenizer)
    checks_name, checks = _checks(trained, config)
    files[checks_name] = checks
    if trained.gate is not None:
        files[GATE_NAME] = trained.gate.content
    below, above = trained.temperatures
    manifest = Manifest(
        name=config.name,
        version=config.version,
        engine=Engine.TORCH,
        architecture=config.architecture,
        weights=WEIGHTS_NAME,
        sha256=_digest(files[WEIGHTS_NAME]),
        accepts=config.accepts,
        temperature=below,
        temperature_above=None if above == below else above,
        calibration=trained.calibration,
        gate=_gate(trained.gate),
        drift=trained.drift,
        conformal=trained.conformal,
        data=trained.data,
        table=trained.table,
        check=CheckSet(file=checks_name, sha256=_digest(checks)),
        intended_use=config.intended_use,
        licence=config.licence,
        data_provenance=config.data_provenance,
        released=released,
        candidate=config.candidate,
        parameters=trained.parameters,
        **_of_kind(config, files),
    )
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    text = toml_of(manifest.model_dump(mode="json", exclude_none=True))
    (folder / MANIFEST_NAME).write_text(text, encoding="utf-8")
    return manifest


def _of_kind(config: PackageConfig, files: dict[str, bytes]) -> dict[str, Any]:
    """Return the fields of the manifest in which image and text models differ."""
    if isinstance(config, ImagePackage):
        return {
            "kind": ResultKind.IMAGE,
            "preparation": config.preparation,
            "labels": (config.label,),
        }
    return {
        "kind": ResultKind.TEXT,
        "tokenization": Tokenization(
            file=TOKENIZER_NAME,
            sha256=_digest(files[TOKENIZER_NAME]),
            max_tokens=config.max_tokens,
        ),
        "labels": config.labels,
    }


def _checks(trained: Trained, config: PackageConfig) -> tuple[str, bytes]:
    """Return the name and content of the check set."""
    if isinstance(config, ImagePackage):
        images = image_checks(
            trained.network,
            config.preparation,
            trained.temperatures,
            len(trained.table.features) if trained.table else 0,
        )
        return IMAGE_CHECKS_NAME, write_image_checks(images)
    if trained.tokenizer is None:
        raise AssertionError("training of texts learns a vocabulary")
    texts = text_checks(
        trained.network,
        trained.tokenizer,
        trained.temperatures,
        max_tokens=config.max_tokens,
        languages=config.accepts.languages,
        labels=len(config.labels),
    )
    return TEXT_CHECKS_NAME, write_text_checks(texts)


def _gate(fitted: FittedGate | None) -> Gate | None:
    if fitted is None:
        return None
    return Gate(
        file=GATE_NAME,
        sha256=_digest(fitted.content),
        mark_beyond=fitted.mark_beyond,
        refuse_beyond=fitted.refuse_beyond,
        cases=fitted.cases,
        passed=fitted.passed,
        seed=fitted.seed,
    )


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def toml_of(table: dict[str, Any], heading: str = "") -> str:
    """Write a table as TOML 1.0: values first, then its tables and its lists of tables.

    Python reads TOML but does not write it; a manifest needs no more of the format than this.
    """
    lines = [
        f"{_key(key)} = {_value(value)}" for key, value in table.items() if not _is_table(value)
    ]
    text = "\n".join(lines) + "\n" if lines else ""
    for key, value in table.items():
        name = f"{heading}{_key(key)}"
        if isinstance(value, dict) and value:
            text += f"\n[{name}]\n{toml_of(value, f'{name}.')}"
        elif _is_table(value):
            text += "".join(f"\n[[{name}]]\n{toml_of(item, f'{name}.')}" for item in value)
    return text


def _is_table(value: object) -> bool:
    first = value[0] if isinstance(value, list) and value else value
    return isinstance(first, dict) and bool(first)


def _key(name: str) -> str:
    return name if _BARE_KEY.fullmatch(name) else _value(name)


def _value(value: object) -> str:
    # A JSON string is a TOML basic string once DEL, the one character they disagree on, is escaped.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
