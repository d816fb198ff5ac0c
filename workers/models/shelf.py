"""The shelf: where the package of a model version lies, bundled or added by a site."""

from pathlib import Path

from medqueue.storage.packages import folder_of
from schemas.manifest import Manifest
from workers.models.package import Package, bundled_packages, load_package


def take_package(manifest: Manifest, added: Path) -> Package:
    """Load the package of a registered version, the very one that the ledger knows.

    Args:
        manifest: as registered.
        added: folder of the packages that the site has added, by name and version.

    Raises:
        PackageError: it is not on this machine, or its content is not what was registered.
    """
    own = added / manifest.name / manifest.version
    return load_package(
        folder_of(manifest, [*bundled_packages(), *([own] if own.is_dir() else [])])
    )
