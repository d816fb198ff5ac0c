"""Writes docs/reference/manifest.md from its schema: python tests/manifest_page.py."""

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from schemas.manifest import Manifest, NamedFile

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "manifest.md"

HEAD = """\
# The manifest of a model package

`manifest.toml` says what a model is, what it takes, and how its input is prepared. It is strict: an
unknown key is refused. `medqueue train` writes it; [add a model](../howto/add-a-model.md) explains
the keys that a maker writes. This page is written by `python tests/manifest_page.py` from
`schemas/manifest.py`; a test compares the two.

Files are named without a path, with their SHA-256; only named files are copied and read.
"""


def tables(model: type[BaseModel], heading: str = "") -> Iterator[tuple[str, type[BaseModel]]]:
    """Yield every table of the manifest under its heading, the manifest itself first."""
    yield heading, model
    for name, field in model.model_fields.items():
        for inner, is_list in _models_in(field.annotation):
            path = f"{heading.strip('[]')}.{name}".strip(".")
            yield from tables(inner, f"[[{path}]]" if is_list else f"[{path}]")


def render() -> str:
    """Return the whole page."""
    return HEAD + "".join(_section(heading, model) for heading, model in tables(Manifest))


def _models_in(annotation: Any, *, is_list: bool = False) -> Iterator[tuple[type[BaseModel], bool]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation, is_list
        return
    for argument in get_args(annotation):
        inside = is_list or getattr(annotation, "__origin__", None) is tuple
        yield from _models_in(argument, is_list=inside)


def _section(heading: str, model: type[BaseModel]) -> str:
    title = f"\n## `{heading}`\n\n{_sentence(inspect.getdoc(model) or '')}\n" if heading else ""
    told = {**_docstrings(NamedFile), **_docstrings(model)}
    rows = [
        f"| `{name}` | {_default(field)} | {_sentence(told.get(name, ''))} |"
        for name, field in model.model_fields.items()
        if not list(_models_in(field.annotation))
    ]
    header = ["\n| key | default | |", "| --- | --- | --- |"] if rows else []
    return title + "\n".join([*header, *rows]) + ("\n" if rows else "")


def _docstrings(model: type[BaseModel]) -> dict[str, str]:
    """Return the text under each attribute of a class, of its own lines alone."""
    (body,) = ast.parse(inspect.cleandoc(f"\n{inspect.getsource(model)}")).body
    assert isinstance(body, ast.ClassDef)
    found = {}
    for attribute, text in zip(body.body, body.body[1:], strict=False):
        if isinstance(attribute, ast.AnnAssign) and isinstance(attribute.target, ast.Name):
            said = isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant)
            found[attribute.target.id] = str(text.value.value) if said else ""  # type: ignore[attr-defined]
    return found


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "needed"
    if field.default is PydanticUndefined or field.default in (None, (), {}):
        return "none"
    shown = field.default.value if hasattr(field.default, "value") else field.default
    return f"`{str(shown).lower() if isinstance(shown, bool) else shown}`"


def _sentence(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
