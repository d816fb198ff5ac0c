"""The shelf: where the package of a model version lies, bundled or added by a site."""

from pathlib import Path

from medqueue.errors import PackageError
from schemas.manifest import Manifest
from workers.models.package import Package, bundled_packages, load_package, read_manifest


def added_packages(data_dir: Path) -> list[Path]:
    """Return the folders of the packages that `medqueue models add` has put in the data folder."""
    return sorted(path.parent for path in (data_dir / "models").glob("*/*/manifest.toml"))


def take_package(manifest: Manifest, data_dir: Path) -> Package:
    """Load the package of a registered version, the very one that the ledger knows.

    Raises:
        PackageError: it is not on this machine, or its content is not what was registered.
    """
    for folder in [*bundled_packages(), *added_packages(data_dir)]:
        found = read_manifest(folder)
        if (found.name, found.version) == (manifest.name, manifest.version):
            if found.sha256 != manifest.sha256:
                raise PackageError(
                    f"{manifest.name} {manifest.version} on this machine has other weights than "
                    "the ledger knows; install the package that was registered"
                )
            return load_package(folder)
    raise PackageError(
        f"{manifest.name} {manifest.version} is not on this machine; "
        "install the same medqueue and the same added packages on every worker"
    )
