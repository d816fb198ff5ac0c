"""The supervisor: restarts, draining, deadlines, and no process left behind."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from medqueue.errors import UnavailableError
from medqueue.operate.child import Role
from medqueue.operate.guard import Guard
from medqueue.operate.supervisor import Supervisor

pytestmark = pytest.mark.integration

WAITS = "import signal, pathlib, sys; pathlib.Path(sys.argv[1]).touch(); signal.pause()"
STUBBORN = (
    "import signal, pathlib, sys; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    "pathlib.Path(sys.argv[1]).touch()\n"
    "while True: signal.pause()"
)
WITH_A_CHILD = (
    "import subprocess, sys, signal, pathlib\n"
    "child = subprocess.Popen([sys.executable, '-c', 'import signal; signal.pause()'])\n"
    "pathlib.Path(sys.argv[1]).write_text(str(child.pid)); signal.pause()"
)


def wait_until(condition: Callable[[], object], seconds: float = 5.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the awaited state did not come"
        time.sleep(0.01)


def role(folder: Path, name: str, program: str, rank: int = 0) -> Role:
    mark = folder / f"{name}.mark"
    argv = (sys.executable, "-I", "-c", program, str(mark))
    return Role(name, argv, rank, lambda: mark.exists() and mark.stat().st_size >= 0)


def lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


class Running:
    """A supervisor in a thread."""

    def __init__(self, supervisor: Supervisor) -> None:
        self.supervisor = supervisor
        self.ready = threading.Event()
        self.error: UnavailableError | None = None
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self) -> None:
        try:
            self.supervisor.run(self.ready.set)
        except UnavailableError as error:
            self.error = error

    def pid(self, name: str) -> int | None:
        child = self.supervisor._posts[name].child
        return child.pid if child else None

    def stop(self) -> float:
        began = time.monotonic()
        self.supervisor.stop()
        self.thread.join(20)
        assert not self.thread.is_alive()
        return time.monotonic() - began


@contextmanager
def supervised(folder: Path, *roles: Role, stop_seconds: float = 5.0) -> Iterator[Running]:
    running = Running(
        Supervisor(
            roles,
            guard=lambda: Guard(drain_seconds=stop_seconds),
            environment={},
            log_dir=folder,
            stop_seconds=stop_seconds,
        )
    )
    try:
        yield running
    finally:
        running.stop()


def test_it_is_ready_when_every_role_answers(tmp_path: Path) -> None:
    roles = [role(tmp_path, "one", WAITS), role(tmp_path, "two", WAITS, rank=1)]
    with supervised(tmp_path, *roles) as running:
        assert running.ready.wait(10)


def test_a_killed_process_is_running_again_within_five_seconds(tmp_path: Path) -> None:
    with supervised(tmp_path, role(tmp_path, "one", WAITS)) as running:
        assert running.ready.wait(10)
        first = running.pid("one")
        assert first is not None
        os.kill(first, signal.SIGKILL)
        wait_until(lambda: running.pid("one") not in {None, first})
        assert lives(running.pid("one") or 0)


def test_what_a_killed_process_leaves_of_its_group_is_killed_too(tmp_path: Path) -> None:
    with supervised(tmp_path, role(tmp_path, "pool", WITH_A_CHILD)) as running:
        mark = tmp_path / "pool.mark"
        wait_until(lambda: mark.exists() and mark.read_text())
        orphan = int(mark.read_text())
        os.kill(running.pid("pool") or 0, signal.SIGKILL)
        wait_until(lambda: not lives(orphan))


def test_doors_end_before_what_they_lean_on(tmp_path: Path) -> None:
    ends = tmp_path / "ends"
    program = (
        "import signal, sys, pathlib\n"
        f"def end(*_): open({str(ends)!r}, 'a').write(sys.argv[1] + '\\n'); sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, end); pathlib.Path(sys.argv[1]).touch()\n"
        "while True: signal.pause()"
    )
    roles = [role(tmp_path, name, program, rank) for rank, name in enumerate(["low", "mid", "top"])]
    with supervised(tmp_path, *roles) as running:
        assert running.ready.wait(10)
    names = [Path(line).stem for line in ends.read_text().splitlines()]
    assert names == ["top", "mid", "low"]


def test_a_process_that_does_not_drain_is_killed_after_the_deadline(tmp_path: Path) -> None:
    with supervised(tmp_path, role(tmp_path, "one", STUBBORN), stop_seconds=0.5) as running:
        assert running.ready.wait(10)
        pid = running.pid("one")
        assert 0.5 <= running.stop() < 3
        assert pid
        assert not lives(pid)


def test_asking_twice_ends_it_at_once(tmp_path: Path) -> None:
    with supervised(tmp_path, role(tmp_path, "one", STUBBORN), stop_seconds=60) as running:
        assert running.ready.wait(10)
        running.supervisor.stop()
        assert running.stop() < 5


def test_a_process_that_never_comes_up_ends_the_start_and_names_its_log(tmp_path: Path) -> None:
    with supervised(tmp_path, role(tmp_path, "broken", "raise SystemExit(3)")) as running:
        running.thread.join(10)
        assert running.error is not None
        assert "exit status 3" in running.error.detail
        assert str(tmp_path / "broken.log") in running.error.detail


def test_output_of_children_goes_to_their_log(tmp_path: Path) -> None:
    program = "print('hello', flush=True);" + WAITS
    with supervised(tmp_path, role(tmp_path, "one", program)) as running:
        assert running.ready.wait(10)
    assert (tmp_path / "one.log").read_text() == "hello\n"


def test_a_killed_guard_is_replaced_and_watches_the_same_processes(tmp_path: Path) -> None:
    with supervised(tmp_path, role(tmp_path, "one", WAITS)) as running:
        assert running.ready.wait(10)
        first = running.supervisor._guard
        os.kill(first.pid, signal.SIGKILL)
        wait_until(lambda: running.supervisor._guard is not first)
        assert running.supervisor._guard._groups == {running.pid("one")}


def test_nothing_is_left_when_the_supervisor_itself_is_killed(tmp_path: Path) -> None:
    script = f"""
import sys
from pathlib import Path
from medqueue.operate.child import Role
from medqueue.operate.guard import Guard
from medqueue.operate.supervisor import Supervisor
folder = Path({str(tmp_path)!r})
roles = [Role(n, (sys.executable, "-I", "-c", p, str(folder / n)), 0, (folder / n).exists)
         for n, p in (("calm", {WAITS!r}), ("stubborn", {STUBBORN!r}), ("pool", {WITH_A_CHILD!r}))]
s = Supervisor(roles, guard=lambda: Guard(drain_seconds=0.5), environment={{}},
               log_dir=folder, stop_seconds=1)
s.run(lambda: print("ready", flush=True))
"""
    with subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=Path(__file__).parents[3],
    ) as process:
        assert process.stdout is not None
        assert b"ready\n" in iter(process.stdout.readline, b"")
        family = psutil.Process(process.pid).children(recursive=True)
        assert len(family) == 5
        process.kill()
    wait_until(lambda: not any(lives(member.pid) for member in family))
