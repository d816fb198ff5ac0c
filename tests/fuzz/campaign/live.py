"""Mutated PDUs to a real `medqueue serve door`, which must be as before when they are through."""

import subprocess
from pathlib import Path

import psutil

from dimse_peer import RawPeer, an_object, store
from fuzz.campaign import pdus
from medqueue.ledger import schema
from medqueue.ledger.engine import open_ledger
from medqueue.operate import ports
from medqueue.operate.roles import console_script
from medqueue.operate.system import child_environment
from medqueue.settings import Settings
from waiting import wait_until

_START_SECONDS = 60.0
_CONNECTIONS = 8
"""To the ledger, that the door may have opened meanwhile and keeps."""


def run_live(folder: Path, *, count: int, seed: int) -> pdus.Report:
    """Start a door, send it mutated PDUs, and stop it; a good sender comes in between and after."""
    data_dir = folder / "live"
    data_dir.mkdir()
    dimse_port, mllp_port = ports.find_free(2)
    settings = Settings(data_dir=data_dir, dimse_port=dimse_port, mllp_port=mllp_port)
    ledger = open_ledger(settings.ledger_url)
    schema.upgrade(ledger)
    ledger.close()
    with (data_dir / "door.log").open("wb") as log:
        process = subprocess.Popen(
            [str(console_script()), "serve", "door"],
            env=child_environment(settings),
            stdout=log,
            stderr=log,
        )
    try:
        wait_until(lambda: ports.accepts_connections(settings, dimse_port), _START_SECONDS)
        return _attack(psutil.Process(process.pid), dimse_port, data_dir, count, seed)
    finally:
        process.terminate()
        process.wait(30)


def _attack(door: psutil.Process, port: int, data_dir: Path, count: int, seed: int) -> pdus.Report:
    pdus.run_against(port, count=count // 4, seed=seed + 1)  # warms caches up
    before = door.memory_info().rss, door.num_fds(), door.num_threads()
    report = pdus.run_against(port, count=count - count // 4, seed=seed)
    report.sent += count // 4
    with RawPeer(port) as good:
        accepted = good.associate()[0] == 0x02 and store(good, an_object()) == 0x0000
    if not accepted:
        report.faults.append("a good sender does not get in any more")
    wait_until(lambda: door.num_threads() <= before[2], what="the end of all associations")
    report.grown_mib = (door.memory_info().rss - before[0]) / 1024**2
    if door.num_fds() > before[1] + _CONNECTIONS:
        report.left_over.append(f"{door.num_fds() - before[1]} descriptors of the door")
    logged = (data_dir / "door.log").read_text(encoding="utf-8")
    report.faults += [line for line in logged.splitlines() if "association-failed" in line]
    return report
