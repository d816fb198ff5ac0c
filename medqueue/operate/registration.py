"""Registration: making the model packages that are installed known to the ledger.

The packages come by entry point, group `medqueue.models`: each entry is a callable without
arguments that returns package folders. So this floor needs no import of the workers.
"""

import hashlib
import shutil
import tomllib
from collections.abc import Iterable, Iterator
from datetime import datetime
from importlib.metadata import entry_points
from pathlib import Path

from pydantic import ValidationError

from medqueue.errors import PackageError
from medqueue.ledger import models
from medqueue.ledger.engine import Ledger
from medqueue.settings import Settings
from schemas.manifest import Manifest

GROUP = "medqueue.models"
_MANIFEST = "manifest.toml"
_CURE = "install the package again"
_CARD = "MODEL_CARD.md"


def installed_packages() -> Iterator[Path]:
    """Yield the folder of every model package that is installed."""
    for entry in entry_points(group=GROUP):
        yield from entry.load()()


def register(ledger: Ledger, folders: Iterable[Path], *, now: datetime) -> list[Manifest]:
    """Verify packages and make them known, and release the first version of a new name.

    Raises:
        PackageError: a package is damaged, or its version is known with other weights.
    """
    manifests = [verify(folder) for folder in folders]
    with ledger.write() as connection:
        for manifest in manifests:
            models.register(connection, manifest, now=now)
    return manifests


def verify(folder: Path) -> Manifest:
    """Read the manifest of a package and compare the digests of its files.

    Raises:
        PackageError: the manifest cannot be read, or a file is not the one that it states.
    """
    try:
        content = tomllib.loads((folder / _MANIFEST).read_text(encoding="utf-8"))
        manifest = Manifest.model_validate(content)
    except OSError as error:
        raise PackageError(
            f"{folder.name}: no readable {_MANIFEST}: {error.strerror}; {_CURE}"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise PackageError(f"{folder.name}: {_MANIFEST} is not TOML: {error}; {_CURE}") from error
    except ValidationError as error:
        fields = ", ".join(".".join(map(str, fault["loc"])) for fault in error.errors())
        raise PackageError(
            f"{folder.name}: {_MANIFEST}: wrong or unknown: {fields}; {_CURE}"
        ) from error
    for name, sha256 in _files(manifest).items():
        if _digest(folder, name) != sha256:
            raise PackageError(
                f"{manifest.name} {manifest.version}: {name} is not the file that the "
                f"manifest states (SHA-256 differs); {_CURE}"
            )
    return manifest


def _files(manifest: Manifest) -> dict[str, str]:
    """Return the files that a package consists of, with their digests."""
    files = {manifest.weights: manifest.sha256}
    if manifest.tokenization is not None:
        files[manifest.tokenization.file] = manifest.tokenization.sha256
    return files


def _digest(folder: Path, name: str) -> str:
    path = folder / name
    if path.parent != folder or path.is_symlink() or not path.is_file():
        raise PackageError(
            f"{folder.name}: {name} must be a file inside the package, without a path or "
            f"link; {_CURE}"
        )
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def added_packages(settings: Settings) -> list[Path]:
    """Return the folder of every package that `add` has put in the data folder."""
    return sorted(path.parent for path in settings.models_dir.glob(f"*/*/{_MANIFEST}"))


def add(ledger: Ledger, settings: Settings, folder: Path, *, now: datetime) -> Manifest:
    """Verify a package, copy its manifest and weights into the data folder, and register it.

    Only files that the manifest names, and a model card, are copied: what else lies in the folder
    stays there.

    Raises:
        PackageError: it is damaged, or its version is known with other weights.
    """
    manifest = verify(folder)
    target = settings.models_dir / manifest.name / manifest.version
    partial = target.with_name(f".{manifest.version}.part")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True, mode=0o700)
    for name in (_MANIFEST, *_files(manifest), _CARD):
        if (folder / name).is_file():
            shutil.copyfile(folder / name, partial / name, follow_symlinks=False)
    verify(partial)
    with ledger.write() as connection:
        models.register(connection, manifest, now=now)
        shutil.rmtree(target, ignore_errors=True)
        partial.rename(target)
    return manifest
