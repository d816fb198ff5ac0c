"""A real Valkey server for each test that breaks something."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from valkey_server import Broker


@pytest.fixture
def own_broker(tmp_path: Path) -> Iterator[Broker]:
    broker = Broker(tmp_path / "own")
    broker.start()
    yield broker
    broker.kill()
