"""The shelf: where the package of a model version lies, bundled or added by a site."""

from pathlib import Path

from medqueue.errors import PackageError
from medqueue.storage.packages import read_manifest
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
    folders = [*bundled_packages(), *([own] if own.is_dir() else [])]
    for folder in folders:
        found = read_manifest(folder)
        if (found.name, found.version) == (manifest.name, manifest.version):
            if found.named_files() != manifest.named_files():
                raise PackageError(
                    f"{manifest.name} {manifest.version} on this machine has other files than "
                    "the ledger knows; install the package that was registered"
                )
            return load_package(folder)
    raise PackageError(
        f"{manifest.name} {manifest.version} is not on this machine; "
        "install the same medqueue and the same added packages on every worker"
    )
