"""Model packages on disk: a folder with `manifest.toml` and the files that it names.

A package may come from anywhere, so nothing in it is trusted: sizes are bounded, a file cannot lie
elsewhere, and its digest is checked on the very bytes that are handed out.
"""

import hashlib
import os
import stat
import tomllib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path

from pydantic import ValidationError

from medqueue.errors import PackageError
from schemas.manifest import Manifest

MANIFEST_NAME = "manifest.toml"
_CURE = "get the package again from where it came"
MAX_MANIFEST_BYTES = 256 * 1024
"""A manifest is a page of text; more is an attack or a mistake."""
MAX_WEIGHTS_BYTES = 2 * 1024**3
"""The whole file is read into memory to check its digest; raise it for larger models."""
MAX_FILE_BYTES = 64 * 1024**2
"""Of every other file: a vocabulary of 100,000 words has one MiB, a large check set some ten."""


def read_manifest(folder: Path) -> Manifest:
    """Read and check the manifest alone; the files that it names are not looked at.

    Raises:
        PackageError: there is none, or it breaks its schema.
    """
    return parse_manifest(read_bounded(folder / MANIFEST_NAME, MAX_MANIFEST_BYTES), folder.name)


def parse_manifest(content: bytes, package: str) -> Manifest:
    """Check the content of a `manifest.toml`; `package` is what errors call it.

    Raises:
        PackageError: it breaks its schema.
    """
    try:
        return Manifest.model_validate(tomllib.loads(content.decode()))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise PackageError(f"{package}: {MANIFEST_NAME} is not TOML: {error}; {_CURE}") from error
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(str(part) for part in fault['loc'])}: {fault['msg']}"
            for fault in error.errors()
        )
        raise PackageError(f"{package}: {MANIFEST_NAME}: {faults}; {_CURE}") from error


def verify(folder: Path) -> Manifest:
    """Read the manifest of a package and compare the digest of every file that it names.

    Raises:
        PackageError: the manifest cannot be read, or a file is not the one that it states.
    """
    manifest = read_manifest(folder)
    for name, sha256 in manifest.named_files().items():
        with _opened(folder / name, limit_of(manifest, name)) as file:
            _compare(folder, name, hashlib.file_digest(file, "sha256").hexdigest(), sha256)
    return manifest


def folder_of(manifest: Manifest, folders: Iterable[Path]) -> Path:
    """Return which of these folders has the package of a registered version, as registered.

    Raises:
        PackageError: none has it, or its files are others.
    """
    for folder in folders:
        found = read_manifest(folder)
        if (found.name, found.version) == (manifest.name, manifest.version):
            if found.named_files() != manifest.named_files():
                raise PackageError(
                    f"{manifest.name} {manifest.version} on this machine has other files than the "
                    "ledger knows; install the package that was registered"
                )
            return folder
    raise PackageError(
        f"{manifest.name} {manifest.version} is not on this machine; "
        "install the same medqueue and the same added packages on every worker"
    )


def read_verified(folder: Path, name: str, sha256: str, limit: int = MAX_FILE_BYTES) -> bytes:
    """Return the content of a file that a manifest names, once its digest is right.

    Raises:
        PackageError: it is missing, a link, larger than `limit` bytes, or another file.
    """
    content = read_bounded(folder / name, limit)
    _compare(folder, name, hashlib.sha256(content).hexdigest(), sha256)
    return content


def read_bounded(path: Path, limit: int) -> bytes:
    """Return the content of a regular file of at most `limit` bytes.

    Raises:
        PackageError: it is missing, a link or larger.
    """
    with _opened(path, limit) as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        raise PackageError(f"{_called(path)}: is larger than the limit of {limit} bytes")
    return content


def limit_of(manifest: Manifest, name: str) -> int:
    """Return how many bytes a named file of the package may have."""
    return MAX_WEIGHTS_BYTES if name == manifest.weights else MAX_FILE_BYTES


@contextmanager
def _opened(path: Path, limit: int) -> Iterator[BufferedReader]:
    try:
        # A link would lead out of the package, and opening a FIFO without a writer would wait.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        raise PackageError(
            f"{_called(path)}: there is no such file, or it is a link, or it cannot be read "
            f"({error.strerror}); {_CURE}"
        ) from error
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise PackageError(f"{_called(path)}: is not a file; {_CURE}")
        if found.st_size > limit:
            raise PackageError(f"{_called(path)}: is larger than the limit of {limit} bytes")
        yield file


def _compare(folder: Path, name: str, found: str, stated: str) -> None:
    if found != stated:
        raise PackageError(
            f"{folder.name}: {name} has SHA-256 {found}, but the manifest says {stated}; {_CURE}"
        )


def _called(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"
