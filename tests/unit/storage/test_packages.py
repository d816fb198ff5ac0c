"""Files of a package: only the ones that are named, only in its folder, only as they were named."""

import hashlib
import os
from pathlib import Path

import pytest

from medqueue.errors import PackageError
from medqueue.storage import packages

CONTENT = b"content"
DIGEST = hashlib.sha256(CONTENT).hexdigest()


def test_a_file_with_the_digest_that_was_stated_is_read(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(CONTENT)

    assert packages.read_verified(tmp_path, "a", DIGEST) == CONTENT


def test_another_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"other")

    with pytest.raises(PackageError, match="SHA-256"):
        packages.read_verified(tmp_path, "a", DIGEST)


def test_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_bytes(CONTENT)
    (tmp_path / "a").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(PackageError, match="link"):
        packages.read_verified(tmp_path, "a", DIGEST)


def test_a_pipe_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a")

    with pytest.raises(PackageError, match="not a file"):
        packages.read_verified(tmp_path, "a", DIGEST)


def test_a_file_beyond_the_limit_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(CONTENT)

    with pytest.raises(PackageError, match="limit of 6 bytes"):
        packages.read_verified(tmp_path, "a", DIGEST, limit=6)
