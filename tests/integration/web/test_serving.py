"""The HTTP door as a real server: readers among writers, and how it starts and stops."""

import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import httpx
import pytest

from builders import submit
from http_client import compose
from medqueue.errors import ConfigurationError
from medqueue.ledger.engine import Ledger
from medqueue.settings import Settings
from medqueue.web.serving import serve_http

pytestmark = pytest.mark.integration

SERVE = """
import sys
from pathlib import Path
from http_client import compose
from medqueue.ledger.engine import open_ledger
from medqueue.settings import Settings
from medqueue.web.serving import serve_http

url, folder, port = sys.argv[1:]
serve_http(compose(open_ledger(url), Path(folder)), Settings(http_port=int(port)))
print("stopped")
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until_up(url: str) -> None:
    deadline = monotonic() + 30
    while True:
        try:
            httpx.get(f"{url}/healthz").raise_for_status()
        except httpx.TransportError:
            assert monotonic() < deadline, "the server does not come up"
            sleep(0.02)
        else:
            return


@contextmanager
def a_server(ledger: Ledger, folder: Path) -> Iterator[str]:
    """A server in a thread of this process."""
    port, stop = free_port(), threading.Event()
    with ThreadPoolExecutor(1) as pool:
        settings = Settings(http_port=port)
        running = pool.submit(serve_http, compose(ledger, folder), settings, stop)
        try:
            wait_until_up(f"http://127.0.0.1:{port}")
            yield f"http://127.0.0.1:{port}"
        finally:
            stop.set()
            running.result(timeout=30)


def test_readers_among_writers_neither_skip_nor_repeat(ledger: Ledger, tmp_path: Path) -> None:
    readers, writers, texts = 4, 3, 20
    expected = {f"R-{writer}-{number}" for writer in range(writers) for number in range(texts)}

    def write(writer: int) -> None:
        for number in range(texts):
            submit(ledger, "Clear.", report_id=f"R-{writer}-{number}")

    def read(url: str, limit: int) -> list[tuple[int, str]]:
        seen: list[tuple[int, str]] = []
        query: dict[str, str | int] = {"limit": limit, "wait": 10}
        with httpx.Client(base_url=url, timeout=30) as client:
            while len(seen) < len(expected):
                answer = client.get("/results", params=query).raise_for_status().json()
                assert answer["results"], "a wait ended without a result"
                seen += [(result["seq"], result["report_id"]) for result in answer["results"]]
                query["after"] = answer["next"]
        return seen

    with a_server(ledger, tmp_path) as url, ThreadPoolExecutor(readers + writers) as pool:
        reading = [pool.submit(read, url, limit) for limit in (1, 2, 7, 100)]
        writing = [pool.submit(write, writer) for writer in range(writers)]
        for one in writing:
            one.result(timeout=60)
        pages = [one.result(timeout=60) for one in reading]
    for seen in pages:
        assert {report for _, report in seen} == expected
        assert [seq for seq, _ in seen] == sorted({seq for seq, _ in seen})
    assert all(seen == pages[0] for seen in pages)


def test_the_consumer_of_the_how_to_follows_the_feed(sqlite_ledger: Ledger, tmp_path: Path) -> None:
    howto = Path(__file__).parents[3] / "docs" / "howto" / "read-results.md"
    (source,) = re.findall(r"```python\n(.*?)```", howto.read_text(encoding="utf-8"), re.DOTALL)
    names: dict[str, Any] = {}
    exec(source, names)  # noqa: S102 - our own page
    submit(sqlite_ledger, "Clear.", report_id="R-1")
    with a_server(sqlite_ledger, tmp_path) as url, ThreadPoolExecutor(1) as pool:
        feed = names["follow"](url)
        first, cursor = next(feed)
        second = pool.submit(next, feed)
        submit(sqlite_ledger, "Clear.", report_id="R-2")
        assert (first["report_id"], cursor) == ("R-1", str(first["seq"]))
        assert second.result(timeout=30)[0]["report_id"] == "R-2"


def test_sigterm_ends_long_polls_and_then_the_process(sqlite_url: str, tmp_path: Path) -> None:
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-c", SERVE, sqlite_url, str(tmp_path), str(port)],
        env={"PYTHONPATH": ":".join(path for path in sys.path if path)},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        url = f"http://127.0.0.1:{port}"
        wait_until_up(url)
        with ThreadPoolExecutor(1) as pool:
            polling = pool.submit(httpx.get, f"{url}/results?wait=60", timeout=60)
            sleep(0.5)
            begin = monotonic()
            process.send_signal(signal.SIGTERM)
            output, _ = process.communicate(timeout=30)
            assert polling.result().json() == {"results": [], "next": "0"}
        assert process.returncode == 0
        assert output.endswith("stopped\n")
        assert monotonic() - begin < 5
    finally:
        process.kill()
        process.communicate()


def test_a_port_that_is_taken_is_named_with_the_cure(sqlite_ledger: Ledger, tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(ConfigurationError, match=f"MEDQUEUE_HTTP_PORT.*{port}"):
            serve_http(compose(sqlite_ledger, tmp_path), Settings(http_port=port))


def test_an_address_of_another_machine_is_named(sqlite_ledger: Ledger, tmp_path: Path) -> None:
    settings = Settings(bind="192.0.2.7", http_port=free_port())
    with pytest.raises(ConfigurationError, match=r"MEDQUEUE_BIND.*192\.0\.2\.7"):
        serve_http(compose(sqlite_ledger, tmp_path), settings)
