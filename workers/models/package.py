"""A model package: a folder with `manifest.toml` and the files it names, verified before use.

A package may come from anywhere, so nothing in it is trusted: sizes are bounded, the file of
weights cannot lie elsewhere, its digest is checked on the very bytes that are loaded, and only
safetensors is read, which cannot hold code.
"""

import hashlib
import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from medqueue.errors import PackageError
from schemas.manifest import Manifest

MANIFEST_NAME = "manifest.toml"
MAX_MANIFEST_BYTES = 256 * 1024
"""A manifest is a page of text; more is an attack or a mistake."""
MAX_WEIGHTS_BYTES = 2 * 1024**3
"""The whole file is read into memory to check its digest; raise it for larger models."""
MAX_TOKENIZER_BYTES = 16 * 1024**2
"""A vocabulary of 100,000 words has about one."""

BUNDLED_FOLDER = Path(__file__).parent / "bundled"
_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


@dataclass(frozen=True, slots=True)
class Package:
    """A package whose weights have the digest that its manifest states."""

    folder: Path
    manifest: Manifest
    weights: bytes = field(repr=False)
    """The verified content: safetensors for `torch`, a rule file for `rules`."""
    tokenizer: bytes | None = field(default=None, repr=False)
    """The verified vocabulary, where the manifest names one."""


def bundled_packages() -> list[Path]:
    """Return the folders of the packages that come with medqueue, by name."""
    return sorted(path.parent for path in BUNDLED_FOLDER.glob(f"*/{MANIFEST_NAME}"))


def read_manifest(folder: Path) -> Manifest:
    """Read and check the manifest alone; the weights are not looked at."""
    content = _bounded_bytes(folder / MANIFEST_NAME, MAX_MANIFEST_BYTES)
    try:
        return Manifest.model_validate(tomllib.loads(content.decode()))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise PackageError(f"{folder.name}: {MANIFEST_NAME} is not TOML: {error}") from error
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(str(part) for part in fault['loc'])}: {fault['msg']}"
            for fault in error.errors()
        )
        raise PackageError(f"{folder.name}: {MANIFEST_NAME}: {faults}") from error


def load_package(folder: Path) -> Package:
    """Read a package and verify the digests of its files."""
    manifest = read_manifest(folder)
    weights = _verified(folder, manifest.weights, manifest.sha256, MAX_WEIGHTS_BYTES)
    named = manifest.tokenization
    if named is None:
        return Package(folder, manifest, weights)
    tokenizer = _verified(folder, named.file, named.sha256, MAX_TOKENIZER_BYTES)
    return Package(folder, manifest, weights, tokenizer)


def _verified(folder: Path, name: str, sha256: str, limit: int) -> bytes:
    if _FILE_NAME.fullmatch(name) is None:
        raise PackageError(
            f"{folder.name}: weights and tokenizer must be names of files inside the package, "
            "without a path"
        )
    content = _bounded_bytes(folder / name, limit)
    digest = hashlib.sha256(content).hexdigest()
    if digest != sha256:
        raise PackageError(
            f"{folder.name}: {name} has SHA-256 {digest}, but the manifest says "
            f"{sha256}: get the package again from where it came"
        )
    return content


def _bounded_bytes(path: Path, limit: int) -> bytes:
    where = f"{path.parent.name}/{path.name}"
    if path.is_symlink() or not path.is_file():
        raise PackageError(f"{where}: there is no such file, or it is a link")
    try:
        with path.open("rb") as file:
            content = file.read(limit + 1)
    except OSError as error:
        raise PackageError(f"{where}: cannot be read: {error.strerror}") from error
    if len(content) > limit:
        raise PackageError(f"{where}: is larger than the limit of {limit} bytes")
    return content
