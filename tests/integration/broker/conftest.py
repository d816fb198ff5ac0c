"""A real Valkey server for the tests of the broker."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from valkey_server import Broker


@pytest.fixture(scope="session")
def _server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    broker = Broker(tmp_path_factory.mktemp("valkey"))
    broker.start()
    yield broker
    broker.kill()


@pytest.fixture
def broker(_server: Broker) -> Broker:
    """A server without a key; it is shared, so it may be wiped and not killed."""
    _server.wipe()
    return _server


@pytest.fixture
def own_broker(tmp_path: Path) -> Iterator[Broker]:
    """A server of this test's own, to be killed."""
    broker = Broker(tmp_path / "own")
    broker.start()
    yield broker
    broker.kill()
