"""Berths: names that are on disk before their objects, and nothing left of those unused."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from medqueue.storage.instances import InstanceStore
from waiting import wait_until

HEADER = b"preamble and meta"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[InstanceStore]:
    opened = InstanceStore(tmp_path, min_free_mib=0)
    opened.berths.open()
    wait_until(lambda: len(opened.berths._ready) > 0)
    yield opened
    opened.berths.close()


def objects(root: Path) -> list[Path]:
    return [path for path in root.rglob("*.dcm") if path.stat().st_size]


def test_an_object_in_a_berth_waits_for_its_bytes_alone(
    store: InstanceStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    berth = store.berths._ready[0]
    folder = Path(berth.file).parent
    wait_until(lambda: len(store.berths._ready) >= 40)  # no more names are being made
    asked: list[str] = []
    for name in ("fsync", "fdatasync"):
        really = getattr(os, name)

        def sync(descriptor: int, name: str = name, really: object = really) -> None:
            asked.append(name)
            really(descriptor)  # type: ignore[operator]

        monkeypatch.setattr(os, name, sync)
    with store.receive(HEADER) as incoming:
        incoming.write(b"data set")
        stored = incoming.keep()
    assert asked == ["fdatasync"]
    assert stored.path == berth.path
    assert store.path_of(stored.path).read_bytes() == HEADER + b"data set"
    assert folder.name != "incoming"


def test_what_is_not_kept_leaves_no_berth_behind(store: InstanceStore) -> None:
    with store.receive(HEADER) as incoming:
        incoming.write(b"data set")
        assert len(objects(store.root)) == 1
    assert objects(store.root) == []


def test_a_closed_store_leaves_objects_and_nothing_else(tmp_path: Path) -> None:
    store = InstanceStore(tmp_path, min_free_mib=0)
    store.berths.open()
    wait_until(lambda: len(store.berths._ready) > 0)
    with store.receive(HEADER) as incoming:
        stored = incoming.keep()
    store.berths.close()
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == [store.path_of(stored.path)]


def test_many_objects_find_berths_or_make_files_of_their_own(store: InstanceStore) -> None:
    kept = set()
    for number in range(300):
        with store.receive(HEADER) as incoming:
            incoming.write(str(number).encode())
            kept.add(incoming.keep().path)
    assert len(kept) == len(objects(store.root)) == 300


_DIES = """
import os, sys, time
from pathlib import Path
from medqueue.storage.instances import InstanceStore
store = InstanceStore(Path(sys.argv[1]), min_free_mib=0)
store.berths.open()
while not store.berths._ready:
    time.sleep(0.01)
with store.receive(b"header") as incoming:
    print(incoming.keep().path)
store.receive(b"header").write(b"half an object")
sys.stdout.flush()
os._exit(9)
"""


def test_berths_of_a_dead_process_are_removed_after_a_day_but_no_object_is(
    store: InstanceStore,
) -> None:
    dead = subprocess.run(
        [sys.executable, "-c", _DIES, str(store.root)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    kept = dead.stdout.strip()
    assert len(objects(store.root)) == 2
    assert store.clear_abandoned(lambda _paths: {kept}) == 0, "it may be a commit under way"
    for list_file in (store.root / "incoming").glob("*.berths"):
        os.utime(list_file, (time.time() - 90_000,) * 2)
    assert store.clear_abandoned(lambda _paths: {kept}) >= 1
    assert objects(store.root) == [store.path_of(kept)]
    # Those of the living process are as old, and spared.
    with store.receive(HEADER) as incoming:
        assert incoming.keep().path != kept
    assert len(objects(store.root)) == 2
