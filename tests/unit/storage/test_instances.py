"""The instance store: what is kept, what is left behind, and a disk that refuses."""

import hashlib
import os
import time
from pathlib import Path

import pytest

from medqueue.errors import OutOfResourcesError
from medqueue.storage.instances import InstanceStore

HEADER = b"preamble and meta"


def files(root: Path) -> list[Path]:
    return [path for path in root.rglob("*") if path.is_file()]


def test_what_is_kept_lies_under_a_name_of_our_own_with_its_digest(tmp_path: Path) -> None:
    store = InstanceStore(tmp_path, min_free_mib=0)
    with store.receive(HEADER) as incoming:
        incoming.write(b"data ")
        incoming.write(memoryview(b"set"))
        stored = incoming.keep()
    assert store.path_of(stored.path).read_bytes() == HEADER + b"data set"
    assert stored.sha256 == hashlib.sha256(b"data set").hexdigest()
    assert stored.size == 8
    assert files(tmp_path) == [store.path_of(stored.path)]


def test_the_data_set_can_be_read_again_before_it_is_kept(tmp_path: Path) -> None:
    with InstanceStore(tmp_path, min_free_mib=0).receive(HEADER) as incoming:
        incoming.write(b"data set")
        assert incoming.read_again().read() == b"data set"
        incoming.write(b", more")
        assert incoming.read_again().read() == b"data set, more"


def test_a_large_data_set_can_be_read_again_too_and_goes_on_at_its_end(tmp_path: Path) -> None:
    pieces = [bytes([number]) * 100_000 for number in range(3)]
    with InstanceStore(tmp_path, min_free_mib=0).receive(HEADER) as incoming:
        incoming.write(pieces[0])
        incoming.write(pieces[1])
        assert incoming.read_again().read(100_001) == pieces[0] + pieces[1][:1]
        incoming.write(pieces[2])
        assert incoming.read_again().read() == b"".join(pieces)


def test_what_is_not_kept_leaves_nothing_behind(tmp_path: Path) -> None:
    with InstanceStore(tmp_path, min_free_mib=0).receive(HEADER) as incoming:
        incoming.write(b"data set")
    assert files(tmp_path) == []


def test_a_disk_below_its_reserve_refuses(tmp_path: Path) -> None:
    store = InstanceStore(tmp_path, min_free_mib=2**40)
    with pytest.raises(OutOfResourcesError, match="MEDQUEUE_MIN_FREE_MIB"):
        store.require_space()


def test_a_disk_that_fills_during_an_object_is_told_at_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = InstanceStore(tmp_path, min_free_mib=0)
    with store.receive(HEADER) as incoming:
        monkeypatch.setattr(store, "_min_free", 2**60)
        for _ in range(3):
            incoming.write(bytes(32 * 1024 * 1024))
        assert incoming.size == 96 * 1024 * 1024
        with pytest.raises(OutOfResourcesError):
            incoming.keep()
    assert files(tmp_path) == []


def test_a_disk_that_refuses_to_write_is_told_at_the_end(tmp_path: Path) -> None:
    with InstanceStore(tmp_path, min_free_mib=0).receive(HEADER) as incoming:
        full = os.open("/dev/full", os.O_WRONLY)
        os.dup2(full, incoming._descriptor)
        os.close(full)
        incoming.write(b"data set")
        with pytest.raises(OutOfResourcesError, match="No space left"):
            incoming.keep()


def test_what_a_dead_process_left_is_removed_after_a_day(tmp_path: Path) -> None:
    store = InstanceStore(tmp_path, min_free_mib=0)
    old, young = tmp_path / "incoming" / "old.part", tmp_path / "incoming" / "young.part"
    old.write_bytes(b"x")
    young.write_bytes(b"x")
    os.utime(old, (time.time() - 90_000,) * 2)
    assert store.clear_abandoned(lambda _paths: set()) == 1
    assert files(tmp_path) == [young]
