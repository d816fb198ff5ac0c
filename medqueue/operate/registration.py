"""Registration: making the model packages that are installed known to the ledger.

The packages come by entry point, group `medqueue.models`: each entry is a callable without
arguments that returns package folders. So this floor needs no import of the workers.
"""

import shutil
from collections.abc import Iterable, Iterator
from datetime import datetime
from importlib.metadata import entry_points
from pathlib import Path

from medqueue.ledger import models
from medqueue.ledger.engine import Ledger
from medqueue.settings import Settings
from medqueue.storage.packages import MANIFEST_NAME, verify
from schemas.manifest import Manifest

GROUP = "medqueue.models"
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


def added_packages(settings: Settings) -> list[Path]:
    """Return the folder of every package that `add` has put in the data folder."""
    return sorted(path.parent for path in settings.models_dir.glob(f"*/*/{MANIFEST_NAME}"))


def add(ledger: Ledger, settings: Settings, folder: Path, *, now: datetime) -> Manifest:
    """Verify a package, copy its manifest and files into the data folder, and register it.

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
    for name in (MANIFEST_NAME, *manifest.named_files(), _CARD):
        if (folder / name).is_file():
            shutil.copyfile(folder / name, partial / name, follow_symlinks=False)
    verify(partial)
    with ledger.write() as connection:
        models.register(connection, manifest, now=now)
        shutil.rmtree(target, ignore_errors=True)
        partial.rename(target)
    return manifest
