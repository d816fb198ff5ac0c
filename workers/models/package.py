"""A model package as workers use it: its manifest, and its files, verified before use."""

from dataclasses import dataclass, field
from pathlib import Path

from medqueue.storage import packages
from schemas.manifest import Manifest, NamedFile

BUNDLED_FOLDER = Path(__file__).parent / "bundled"


@dataclass(frozen=True, slots=True)
class Package:
    """A package whose weights have the digest that its manifest states."""

    folder: Path
    manifest: Manifest
    weights: bytes = field(repr=False)
    """The verified content: safetensors for `torch`, a rule file for `rules`."""

    def read(self, named: NamedFile) -> bytes:
        """Return the verified content of another file that the manifest names.

        Raises:
            PackageError: it is missing, a link, too large, or not the file that was named.
        """
        return packages.read_verified(self.folder, named.file, named.sha256)


def bundled_packages() -> list[Path]:
    """Return the folders of the packages that come with medqueue, by name."""
    return sorted(path.parent for path in BUNDLED_FOLDER.glob(f"*/{packages.MANIFEST_NAME}"))


def load_package(folder: Path) -> Package:
    """Read the manifest and the weights; `Package.read` verifies each other file as it reads it.

    Raises:
        PackageError: the manifest cannot be read, or the weights are not those that it states.
    """
    manifest = packages.read_manifest(folder)
    weights = packages.read_verified(
        folder, manifest.weights, manifest.sha256, packages.MAX_WEIGHTS_BYTES
    )
    return Package(folder, manifest, weights)
