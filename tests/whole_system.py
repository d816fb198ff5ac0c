"""The whole system for a test: a real `medqueue up`, and what a PACS, a HIS and a reader do."""

import json
import sqlite3
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil

from medqueue.ledger.engine import Ledger, open_ledger
from medqueue.operate import data_folder, ports
from medqueue.operate.roles import console_script
from medqueue.operate.sender import SendSummary, send_files
from medqueue.operate.system import child_environment
from medqueue.settings import Settings
from waiting import wait_until

START_SECONDS = 90.0
STOP_SECONDS = 30.0
QUIET_SECONDS = 0.5
LEASE_SECONDS = 2.0

ROLES = ("valkey", "worker-cpu", "worker-gpu", "relay", "door", "api", "flower", "guard")
_WORDS = {
    "valkey": "valkey-server",
    "worker-cpu": "worker --role cpu",
    "worker-gpu": "worker --role gpu",
    "guard": "guard_process.py",
}
"""In the command line of each; of the others it is `serve` and their name."""


@dataclass
class System:
    """A running `medqueue up`."""

    settings: Settings
    process: subprocess.Popen[bytes]
    ledger: Ledger

    @property
    def url(self) -> str:
        return ports.base_url(self.settings, self.settings.http_port)

    @property
    def logs(self) -> Path:
        return data_folder.logs_folder(self.settings)

    def get(self, path: str, **params: Any) -> httpx.Response:
        return httpx.get(f"{self.url}{path}", params=params, timeout=20)

    def study(self, uid: str) -> dict[str, Any]:
        """`GET /studies/{uid}`."""
        return dict(self.get(f"/studies/{uid}").raise_for_status().json())

    def post_report(self, text: str, **fields: Any) -> str:
        """Hand in a text and return its id."""
        answer = httpx.post(f"{self.url}/reports", json={"text": text, **fields}, timeout=20)
        return str(answer.raise_for_status().json()["id"])

    def push(self, *files: Path) -> SendSummary:
        """Push files by C-STORE; every one must be accepted."""
        summary = self.try_to_push(*files)
        assert not summary.failed, summary.failed
        return summary

    def try_to_push(self, *files: Path) -> SendSummary:
        settings = self.settings
        return send_files(
            files, host=settings.bind, port=settings.dimse_port, called=settings.ae_title
        )

    def feed(self) -> list[dict[str, Any]]:
        """Every result that `GET /results` gives, page by page."""
        found: list[dict[str, Any]] = []
        cursor: str | None = None
        while True:
            params = {"limit": 100} | ({"after": cursor} if cursor else {})
            page = self.get("/results", **params).raise_for_status().json()
            if not page["results"]:
                return found
            found += page["results"]
            cursor = page["next"]

    def results_of(self, **equal: Any) -> list[dict[str, Any]]:
        """The results with these values; none while the API is away."""
        try:
            results = self.feed()
        except httpx.TransportError:
            return []
        return [result for result in results if equal.items() <= result.items()]

    def wait_for_results(
        self, count: int = 1, *, seconds: float = 30, **equal: Any
    ) -> list[dict[str, Any]]:
        """Wait until there are so many results with these values, and return them."""
        wait_until(
            lambda: len(self.results_of(**equal)) >= count, seconds, what=f"the result of {equal}"
        )
        return self.results_of(**equal)

    def rows_of_view(self, study: str) -> list[dict[str, Any]]:
        """What an integrator reads over SQL."""
        database = f"file:{self.settings.data_dir / 'ledger.sqlite3'}?mode=ro"
        with closing(sqlite3.connect(database, uri=True)) as connection:
            connection.row_factory = sqlite3.Row
            rows = connection.execute(
                "SELECT * FROM results_feed WHERE study_instance_uid = ? ORDER BY seq", [study]
            ).fetchall()
        as_json = ("sop_instance_uids", "model", "findings", "error")
        return [
            {
                name: json.loads(row[name]) if name in as_json and row[name] else row[name]
                for name in row.keys()  # noqa: SIM118 - a Row iterates over its values
            }
            for row in rows
        ]

    def wait_until_all_is_done(self) -> str:
        """Wait until whatever was sent before has had its effect; return the id of a last text."""
        last = self.post_report("The last of all.", language="en")
        self.wait_for_results(report_id=last)
        wait_until(lambda: not self._waiting_studies(), 20, what="the end of all studies")
        return last

    def _waiting_studies(self) -> list[str]:
        studies = self.get("/studies", limit=100).raise_for_status().json()["studies"]
        busy = ("receiving", "waiting", "running")
        return [study["id"] for study in studies if study["progress"] in busy]

    def process_of(self, role: str) -> psutil.Process | None:
        """The process of a role, if it runs."""
        words = _WORDS.get(role, f"serve {role}")
        for child in psutil.Process(self.process.pid).children():
            try:
                if words in " ".join(child.cmdline()):
                    return child
            except (psutil.NoSuchProcess, psutil.ZombieProcess):
                continue
        return None

    def pids(self) -> dict[str, int]:
        """The process ids of all roles that run."""
        found = {role: self.process_of(role) for role in ROLES}
        return {role: process.pid for role, process in found.items() if process is not None}

    def family(self) -> list[psutil.Process]:
        """The supervisor and everything below it."""
        supervisor = psutil.Process(self.process.pid)
        return [supervisor, *supervisor.children(recursive=True)]

    def stop(self) -> None:
        """Send SIGTERM; the end must be orderly, and nothing may be left."""
        family = self.family()
        self.process.terminate()
        assert self.process.wait(STOP_SECONDS) == 0
        _, left = psutil.wait_procs(family, timeout=10)
        assert left == [], "processes were left behind"


@contextmanager
def running_up(folder: Path, **values: Any) -> Iterator[System]:
    """Run `medqueue up` on free ports until the block ends, which stops it orderly."""
    dimse, http, mllp, flower = ports.find_free(4)
    settings = Settings(
        **{
            "data_dir": folder / "data",
            "dimse_port": dimse,
            "http_port": http,
            "mllp_port": mllp,
            "flower_port": flower,
            "study_quiet_seconds": QUIET_SECONDS,
            "lease_seconds": LEASE_SECONDS,
            "stop_seconds": 5,
            "min_free_mib": 16,
            **values,
        }
    )
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "up.out").open("wb") as output, (folder / "up.err").open("wb") as errors:
        process = subprocess.Popen(
            [str(console_script()), "up"],
            env=dict(child_environment(settings)),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=errors,
            start_new_session=True,
        )
    ledger = open_ledger(settings.ledger_url)
    try:
        wait_until(_is_ready(process, folder), START_SECONDS, what=f"ready ({folder})")
        system = System(settings, process, ledger)
        yield system
        if process.poll() is None:
            system.stop()
    finally:
        ledger.close()
        if process.poll() is None:
            process.kill()  # its guard ends what it leaves behind
            process.wait()


def pool_process(worker: psutil.Process) -> psutil.Process | None:
    """A forked process of a worker's pool; its other child is the program that forks decoders."""
    with suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
        forked = [one for one in worker.children() if one.cmdline() == worker.cmdline()]
        return next(iter(forked), None)
    return None


def _is_ready(process: subprocess.Popen[bytes], folder: Path) -> Callable[[], bool]:
    def look() -> bool:
        assert process.poll() is None, (folder / "up.err").read_text()
        return (folder / "up.out").read_text().startswith("ready ")

    return look


def run(system: System, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a command of medqueue with the settings of this system."""
    return subprocess.run(
        [str(console_script()), *words],
        env=dict(child_environment(system.settings)),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def statuses(results: Sequence[dict[str, Any]]) -> list[str]:
    """The status of each result, in the order of the feed."""
    return [result["status"] for result in results]
