"""Registration: making the model packages that are installed known to the ledger.

The packages come by entry point, group `medqueue.models`: each entry is a callable without
arguments that returns package folders. What tries a package comes by the group
`medqueue.package_checks`: a callable that takes a folder. So this floor needs no import of the
workers.
"""

import shutil
from collections.abc import Iterable, Iterator
from datetime import datetime
from importlib.metadata import entry_points
from pathlib import Path

from medqueue.errors import PackageError
from medqueue.ledger import models
from medqueue.ledger.engine import Ledger
from medqueue.settings import Settings
from medqueue.storage.packages import MANIFEST_NAME, MAX_FILE_BYTES, read_bounded, verify
from medqueue.storage.pickles import refuse_pickles
from medqueue.storage.signatures import SIGNATURE_NAME, is_signed, signer_of
from schemas.manifest import Engine, Manifest

GROUP = "medqueue.models"
CHECKS_GROUP = "medqueue.package_checks"
_OF_PROBABILITIES = frozenset({Engine.TORCH, Engine.ONNX})
"""Engines whose packages need a check set: their outputs may differ from machine to machine."""
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
    """Verify and try a package, copy its files into the data folder, and register it.

    Only files that the manifest names, and a model card, are copied: what else lies in the folder
    stays there.

    Raises:
        PackageError: it is damaged, not signed as the site asks for, has a pickle, has no check set
            or fails it, or its version is known with other weights.
    """
    manifest = verify(folder)
    refuse_pickles(folder)
    _require_check_set(manifest)
    target = settings.models_dir / manifest.name / manifest.version
    partial = target.with_name(f".{manifest.version}.part")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True, mode=0o700)
    for name in (MANIFEST_NAME, *manifest.named_files()):
        shutil.copyfile(folder / name, partial / name, follow_symlinks=False)
    for name in (_CARD, SIGNATURE_NAME):
        if (folder / name).is_file():
            (partial / name).write_bytes(read_bounded(folder / name, MAX_FILE_BYTES))
    try:
        verify(partial)
        require_signature(settings, partial)
        try_out(partial)
        with ledger.write() as connection:
            models.register(connection, manifest, now=now)
            shutil.rmtree(target, ignore_errors=True)
            partial.rename(target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return manifest


def require_signature(settings: Settings, folder: Path) -> None:
    """Hold the signature of a package from outside against the keys that the site trusts.

    Raises:
        PackageError: it is not of a trusted key, or missing where one is required.
    """
    if not is_signed(folder):
        if settings.model_signatures == "required":
            raise PackageError(
                f"{folder.name}: is not signed, and MEDQUEUE_MODEL_SIGNATURES asks for it; have "
                "its maker sign it: medqueue models sign"
            )
    elif settings.model_keys is not None or settings.model_signatures == "required":
        signer_of(folder, settings.trusted_model_keys)


def try_out(folder: Path) -> None:
    """Load a package in a process apart and run its check set.

    Raises:
        PackageError: it does not do here what its maker says.
    """
    entries = entry_points(group=CHECKS_GROUP)
    if not entries:
        raise PackageError("nothing is installed here that can check a package; install medqueue")
    for entry in entries:
        entry.load()(folder)


def _require_check_set(manifest: Manifest) -> None:
    if manifest.engine in _OF_PROBABILITIES and manifest.check is None:
        raise PackageError(
            f"{manifest.name} {manifest.version}: has no check set, so nobody can tell whether it "
            "does here what it did where it was made; add [check] with inputs and their "
            "probabilities (docs/howto/add-a-model.md), as medqueue train does"
        )
