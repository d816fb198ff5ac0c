"""Finding pickles, which run any code when they are loaded; a package with one is refused."""

import zipfile
from pathlib import Path

from medqueue.errors import PackageError

_SUFFIXES = frozenset({".pkl", ".pickle", ".pt", ".pth", ".ckpt", ".joblib", ".dill"})
_FIRST_BYTES = tuple(bytes([0x80, protocol]) for protocol in range(2, 6))
"""The opcode PROTO with its number opens every pickle of protocol 2 to 5."""
_MAX_FILES = 1000
"""A package has a dozen; this is not one."""


def refuse_pickles(folder: Path) -> None:
    """Look at every file below a folder, by name and by content; nothing is loaded.

    Raises:
        PackageError: one is a pickle, or an archive of torch with one in it.
    """
    for number, path in enumerate(folder.rglob("*")):
        if number >= _MAX_FILES:
            raise PackageError(
                f"{folder.name}: has more than {_MAX_FILES} files; name the folder of the package"
            )
        if path.is_file() and not path.is_symlink() and _is_pickle(path):
            raise PackageError(
                f"{folder.name}: {path.relative_to(folder)} is a pickle, which can run code: "
                "convert the weights with safetensors.torch.save_file and remove it"
            )


def _is_pickle(path: Path) -> bool:
    if path.suffix.lower() in _SUFFIXES:
        return True
    with path.open("rb") as file:
        if file.read(2) in _FIRST_BYTES:
            return True
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(Path(name).suffix in _SUFFIXES for name in archive.namelist())
