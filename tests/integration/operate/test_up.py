"""`medqueue up`: refuses what cannot work, is ready when it says so, and leaves nothing behind."""

import json
import socket
import stat
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from medqueue.operate import ports
from medqueue.operate.roles import console_script
from medqueue.operate.sandbox import Sandbox, running_system
from medqueue.operate.system import child_environment
from medqueue.settings import Settings

pytestmark = pytest.mark.integration


def medqueue(settings: Settings, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(console_script()), *words],
        env=dict(child_environment(settings)),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture(scope="module")
def system() -> Iterator[Sandbox]:
    with running_system(quiet_seconds=0.2, start_seconds=100) as running:
        yield running
        family = psutil.Process(running.pid).children(recursive=True)
    left = [member for member in family if member.is_running()]
    left = [member for member in left if member.status() != psutil.STATUS_ZOMBIE]
    assert left == [], "processes were left behind"


def test_a_taken_port_stops_the_start_and_names_the_setting(tmp_path: Path) -> None:
    dimse, mllp, http, flower = ports.find_free(4)
    settings = Settings(
        data_dir=tmp_path / "data",
        dimse_port=dimse,
        mllp_port=mllp,
        http_port=http,
        flower_port=flower,
    )
    with socket.create_server(("127.0.0.1", http)):
        ended = medqueue(settings, "up")
    assert ended.returncode == 1
    assert f"MEDQUEUE_HTTP_PORT: port {http}" in ended.stderr
    assert ended.stdout == ""


def test_a_second_one_on_the_same_folder_is_refused(system: Sandbox) -> None:
    ended = medqueue(system.settings, "up")
    assert ended.returncode == 1
    assert "another `medqueue up` runs" in ended.stderr


def test_when_it_is_ready_every_part_answers(system: Sandbox) -> None:
    with urllib.request.urlopen(f"{system.url}/readyz") as answer:  # noqa: S310
        assert answer.status == 200
    found = json.loads(medqueue(system.settings, "status", "--json").stdout)
    assert {name.split("@")[0] for name in found["workers"]} == {"cpu", "gpu"}
    assert all(found["doors"].values())
    assert found["stuck"] == []


def test_the_doctor_finds_a_running_system_well(system: Sandbox) -> None:
    ended = medqueue(system.settings, "doctor", "--json")
    found = json.loads(ended.stdout)
    assert ended.returncode == 0, found
    assert any("is ours and answers" in finding["detail"] for finding in found["findings"])


def test_its_folder_is_private_and_holds_a_log_for_each_process(system: Sandbox) -> None:
    assert stat.S_IMODE(system.settings.data_dir.stat().st_mode) == 0o700
    roles = {"valkey", "relay", "door", "api", "flower", "worker-cpu", "worker-gpu"}
    assert {path.stem for path in system.logs.iterdir()} == roles


def test_no_port_but_those_of_the_doors_is_open(system: Sandbox) -> None:
    settings = system.settings
    family = [
        psutil.Process(system.pid),
        *psutil.Process(system.pid).children(recursive=True),
    ]
    listening = {
        (connection.laddr.ip, connection.laddr.port)
        for member in family
        for connection in member.net_connections(kind="inet")
        if connection.status == psutil.CONN_LISTEN
    }
    doors = {getattr(settings, name) for name in ports.PORT_SETTINGS}
    assert listening == {("127.0.0.1", port) for port in doors}
