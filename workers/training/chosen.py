"""Which package a name on the command line means: bundled, added by the site, or a folder."""

from collections.abc import Sequence
from pathlib import Path

from medqueue.errors import NotFoundError
from medqueue.ledger import models as registry
from medqueue.ledger import schema
from medqueue.ledger.engine import open_ledger
from medqueue.operate import registration
from medqueue.settings import Settings, load_settings
from medqueue.storage.packages import MANIFEST_NAME, read_manifest
from workers.models.package import Package, load_package


def chosen_package(name: str) -> Package:
    """Load the package of NAME, NAME:VERSION, or a folder.

    Of several versions without one being named, it is the one that new inputs go to.

    Raises:
        NotFoundError: there is no such model here, or none of its versions is released.
        PackageError: it is damaged.
    """
    folder = Path(name)
    if (folder / MANIFEST_NAME).is_file():
        return load_package(folder)
    model, _, version = name.partition(":")
    settings = load_settings()
    known = {}
    for path in [*registration.installed_packages(), *registration.added_packages(settings)]:
        manifest = read_manifest(path)
        if manifest.name == model and version in ("", manifest.version):
            known[manifest.version] = path
    if not known:
        raise NotFoundError(
            f"no model {name} is on this machine, nor a package in a folder of that name; "
            "see: medqueue models list"
        )
    if len(known) > 1:
        version = _released(settings, model, list(known))
    return load_package(known[version or next(iter(known))])


def _released(settings: Settings, model: str, versions: Sequence[str]) -> str:
    ledger = open_ledger(settings.ledger_url)
    try:
        schema.require_current(ledger)
        with ledger.read() as connection:
            found = registry.all_versions(connection)
    finally:
        ledger.close()
    for one in found:
        version = one.manifest.version
        if one.manifest.name == model and one.released and version in versions:
            return version
    raise NotFoundError(
        f"none of {model} {', '.join(versions)} is released; name one as {model}:VERSION"
    )
