"""The socket of the embedded server: in the data folder, or short and private elsewhere."""

import os
import tempfile
from pathlib import Path

import pytest

from medqueue.broker.embedded import socket_path
from medqueue.settings import Settings

LONGEST_ON_MACOS = 103


def test_the_socket_lies_in_the_data_folder() -> None:
    settings = Settings(data_dir=Path("/srv/medqueue"))
    assert socket_path(settings) == Path("/srv/medqueue/run/valkey.sock")


@pytest.mark.parametrize("name", ["x" * 200, "影" * 40])
def test_a_path_too_long_for_a_socket_is_replaced_by_a_short_one_of_this_user(name: str) -> None:
    socket = socket_path(Settings(data_dir=Path("/srv") / name))
    assert len(os.fsencode(socket)) < LONGEST_ON_MACOS
    assert socket.is_relative_to(tempfile.gettempdir())
    assert str(os.getuid()) in socket.parent.name


def test_two_data_folders_never_share_a_socket() -> None:
    long = Path("/srv") / ("x" * 200)
    sockets = {socket_path(Settings(data_dir=long / name)) for name in ("one", "two")}
    assert len(sockets) == 2
