"""The HTTP application for tests: composed over a ledger, asked without a network."""

import asyncio
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI

from builders import NOW
from medqueue.doors.admission import Admission
from medqueue.ledger.engine import Ledger
from medqueue.settings import Settings
from medqueue.storage.instances import InstanceStore
from medqueue.web.app import create_app
from medqueue.web.operations import Check

BASE_URL = "http://127.0.0.1:8080"
TERABYTES = 1 << 30
"""MiB that no disk has free."""


def tokens(**roles: str) -> str:
    """`MEDQUEUE_API_TOKENS` in which each name is also the token."""
    digests = {name: hashlib.sha256(name.encode()).hexdigest() for name in roles}
    return ",".join(f"{name}:{role}:{digests[name]}" for name, role in roles.items())


def bearer(token: str) -> dict[str, str]:
    """The header that presents a token."""
    return {"Authorization": f"Bearer {token}"}


def compose(
    ledger: Ledger,
    folder: Path,
    *,
    checks: Mapping[str, Check] | None = None,
    min_free_mib: int = 0,
    **settings: Any,
) -> FastAPI:
    """The application at the time of the builders."""
    store = InstanceStore(folder / "instances", min_free_mib=min_free_mib)
    admission = Admission(ledger, store, max_attempts=3, clock=lambda: NOW)
    values = Settings(data_dir=folder, min_free_mib=min_free_mib, **settings)
    return create_app(values, ledger, admission, checks=checks, clock=lambda: NOW)


class Client:
    """Asks an application within this process."""

    def __init__(self, app: FastAPI) -> None:
        self.app = app

    def get(self, url: str, **options: Any) -> httpx.Response:
        return self.request("GET", url, **options)

    def post(self, url: str, **options: Any) -> httpx.Response:
        return self.request("POST", url, **options)

    def request(self, method: str, url: str, **options: Any) -> httpx.Response:
        async def send() -> httpx.Response:
            async with self.open() as client:
                return await client.request(method, url, **options)

        return asyncio.run(send())

    def open(self) -> httpx.AsyncClient:
        """A client for a test that is asynchronous itself."""
        # A fault is a response here as it is on the wire; a test that expects none sees its 500.
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        return httpx.AsyncClient(transport=transport, base_url=BASE_URL)
