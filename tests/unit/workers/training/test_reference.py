"""The reference page of a training configuration has every key, with its default."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel

from workers.training.config import ImageTraining, TextTraining

PAGE = Path(__file__).parents[4] / "docs/reference/training.md"
_ROW = re.compile(r"^\| `([a-z_.]+)` \| (.*?) \|", re.MULTILINE)


def keys_of(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the dotted name and the default of every key that is this file's own."""
    for name, field in model.model_fields.items():
        inner = [
            part
            for part in (field.annotation, *get_args(field.annotation))
            if isinstance(part, type) and issubclass(part, BaseModel)
        ]
        if inner and inner[0].__module__.startswith("workers.training."):
            yield from keys_of(inner[0], f"{prefix}{name}.")
        elif not inner and name != "kind":
            default = "-" if field.is_required() else field.get_default()
            yield f"{prefix}{name}", list(default) if isinstance(default, tuple) else default


def written() -> set[tuple[str, str]]:
    return set(_ROW.findall(PAGE.read_text(encoding="utf-8")))


def value_of(cell: str) -> Any:
    if cell in {"-", "unset"}:
        return None if cell == "unset" else "-"
    return tomllib.loads(f"value = {cell.strip('`')}")["value"]


def test_every_key_stands_in_the_reference_with_its_default() -> None:
    found = [(name, value_of(cell)) for name, cell in written()]

    missing = [
        (name, default)
        for model in (ImageTraining, TextTraining)
        for name, default in keys_of(model)
        if (name, default) not in found
    ]

    assert missing == []


def test_the_reference_names_no_key_that_is_refused() -> None:
    known = {name for model in (ImageTraining, TextTraining) for name, _ in keys_of(model)}

    assert {name for name, _ in written()} - known == set()
