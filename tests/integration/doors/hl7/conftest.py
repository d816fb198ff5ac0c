"""An HL7 door on a free port over an empty ledger."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from hl7_sender import OpenADoor, OpenDoor
from medqueue.doors.admission import Admission
from medqueue.doors.hl7.limits import Limits
from medqueue.doors.hl7.listener import Hl7Door
from medqueue.ledger.engine import Ledger
from medqueue.settings import Settings
from medqueue.storage.instances import InstanceStore

NOTHING: Mapping[str, Any] = MappingProxyType({})


@pytest.fixture
def open_door(sqlite_ledger: Ledger, tmp_path: Path) -> Iterator[OpenADoor]:
    doors = []

    def start(
        *,
        ledger: Ledger = sqlite_ledger,
        min_free_mib: int = 0,
        settings: Mapping[str, Any] = NOTHING,
        **few: Any,
    ) -> OpenDoor:
        store = InstanceStore(tmp_path / "instances", min_free_mib=min_free_mib)
        admission = Admission(ledger, store, max_attempts=3)
        chosen = Settings(data_dir=tmp_path, **settings)
        limits = replace(Limits(trailer_seconds=0.05), **few)
        door = Hl7Door(chosen, admission, port=0, limits=limits)
        door.start()
        doors.append(door)
        return OpenDoor(door, ledger)

    yield start
    for door in doors:
        door.stop(2.0)


@pytest.fixture
def a_door(open_door: OpenADoor) -> OpenDoor:
    return open_door()
