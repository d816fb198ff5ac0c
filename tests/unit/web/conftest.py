"""The application over an empty ledger on SQLite."""

from pathlib import Path

import pytest

from http_client import Client, compose
from medqueue.ledger.engine import Ledger


@pytest.fixture
def client(sqlite_ledger: Ledger, tmp_path: Path) -> Client:
    return Client(compose(sqlite_ledger, tmp_path))
