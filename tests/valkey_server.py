"""A real Valkey server for tests of the broker, and what a test looks for in it."""

import base64
import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis

from medqueue.broker.embedded import socket_path
from medqueue.broker.routing import QUEUES
from medqueue.operate import valkey
from medqueue.settings import Settings
from waiting import wait_until


class Broker:
    """A Valkey server that a test may fill, wipe, kill and start again."""

    def __init__(self, folder: Path) -> None:
        self.settings = Settings(data_dir=folder)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        valkey.prepare(self.settings)
        self._process = subprocess.Popen(
            valkey.command(self.settings), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        wait_until(lambda: valkey.answers(self.settings))

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(5)

    def wipe(self) -> None:
        with self.connect() as client:
            client.flushall()

    def connect(self) -> redis.Redis:
        return redis.Redis(unix_socket_path=str(socket_path(self.settings)))

    def messages(self) -> list["Message"]:
        """Every message that waits in any queue."""
        with self.connect() as client:
            return [Message(queue, raw) for queue in QUEUES for raw in client.lrange(queue, 0, -1)]

    def ids(self) -> list[str]:
        """The ids of the work that the waiting messages are about."""
        return [message.arguments[0] for message in self.messages()]


@dataclass(frozen=True)
class Message:
    """One message as it lies in Redis."""

    queue: str
    raw: bytes

    @property
    def task(self) -> str:
        return str(json.loads(self.raw)["headers"]["task"])

    @property
    def body(self) -> list[Any]:
        return list(json.loads(base64.b64decode(json.loads(self.raw)["body"])))

    @property
    def arguments(self) -> list[Any]:
        return list(self.body[0])

    @property
    def readable(self) -> str:
        """All that anyone with access to Redis could read in it."""
        return self.raw.decode() + json.dumps(self.body)
