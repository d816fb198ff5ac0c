"""Faults from a seed: which process dies, freezes or is cut off when, and how soon it is back."""

import random
import signal
import statistics
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import psutil
import redis

from chaos.campaign.places import Disk, Postgres
from medqueue.broker.relay import _MARK
from medqueue.operate.redis_client import connect
from medqueue.operate.roles import all_roles
from whole_system import System, pool_process

_TARGETS = (
    "door",
    "api",
    "relay",
    "worker-cpu",
    "worker-cpu child",
    "worker-gpu",
    "flower",
    "valkey",
    "guard",
)
_FREEZE_SHARE = 0.25
_FULL_SECONDS = 6.0
_DATABASE_AWAY_SECONDS = 2.0
_FIND_SECONDS = 8.0
_RECOVERY_SECONDS = 90.0
_NEVER = float("inf")


@dataclass(frozen=True)
class Fault:
    at: float
    """Seconds after the begin."""
    kind: str
    target: str = ""


def plan(seed: int, *, seconds: float, kills: int, on_postgresql: bool) -> list[Fault]:
    """Return the faults of a campaign, in the order of time."""
    rng = random.Random(seed)  # noqa: S311 - a reproducible campaign, no secret
    first, last = min(5.0, seconds / 10), seconds * 0.95
    faults = [
        Fault(
            rng.uniform(first, last),
            "freeze" if rng.random() < _FREEZE_SHARE else "kill",
            rng.choice(_TARGETS),
        )
        for _ in range(kills)
    ]
    faults += [Fault(seconds * part, "FLUSHALL") for part in (0.3, 0.65)]
    faults += [Fault(rng.uniform(first, last), "CLIENT KILL") for _ in range(max(2, kills // 10))]
    faults.append(Fault(seconds * 0.45, "full disk"))
    if on_postgresql:
        faults += [Fault(seconds * part, "database restart") for part in (0.2, 0.75)]
    return sorted(faults, key=lambda fault: fault.at)


class Saboteur:
    """Plants the faults, counts what was really done, and measures the recovery of each role."""

    def __init__(
        self,
        system: System,
        disk: Disk,
        database: Postgres | None,
        *,
        lease_seconds: float,
        accepted: Callable[[], int],
    ) -> None:
        self.done: Counter[str] = Counter()
        self.recoveries: dict[str, list[float]] = defaultdict(list)
        self._system = system
        self._disk = disk
        self._database = database
        self._accepted = accepted
        self._frozen_seconds = lease_seconds + 1.5
        self._answers = {role.name: role.answers for role in all_roles(system.settings)}
        self._threads: list[threading.Thread] = []

    def run(self, faults: list[Fault], on_fault: Callable[[Fault], None]) -> None:
        """Plant each fault at its time; returns after the last."""
        begin = time.monotonic()
        for fault in faults:
            time.sleep(max(0.0, begin + fault.at - time.monotonic()))
            if self._plant(fault):
                self.done[f"{fault.kind} {fault.target}".strip()] += 1
                on_fault(fault)

    def finish(self) -> None:
        """Wait until everything frozen goes on and everything measured is measured."""
        for thread in self._threads:
            thread.join()

    def table(self) -> dict[str, tuple[int, float, float]]:
        """Return count, median and worst recovery of each kind, in seconds."""
        return {
            kind: (len(times), statistics.median(times), max(times))
            for kind, times in sorted(self.recoveries.items())
        }

    def _plant(self, fault: Fault) -> bool:
        match fault.kind:
            case "kill" | "freeze":
                victim = self._find(fault.target)
                if victim is None:
                    return False
                hit = self._kill if fault.kind == "kill" else self._freeze
                return hit(victim, fault.target)
            case "full disk":
                if self._disk.can_be_filled:
                    self._background(self._fill_disk)
                return self._disk.can_be_filled
            case "database restart":
                self._background(self._restart_database)
                return True
            case _:
                return self._tell_broker(fault.kind)

    def _find(self, target: str) -> psutil.Process | None:
        """Return the process to hit; it may just be on its way back from the last fault."""
        deadline = time.monotonic() + _FIND_SECONDS
        while time.monotonic() < deadline:
            role, _, child = target.partition(" ")
            with suppress(psutil.NoSuchProcess):
                process = self._system.process_of(role)
                if process is not None and child:
                    process = pool_process(process)
                if process is not None:
                    return process
            time.sleep(0.1)
        return None

    def _kill(self, victim: psutil.Process, target: str) -> bool:
        with suppress(psutil.NoSuchProcess):
            victim.kill()
            self._measure(f"kill {target}", target.split(maxsplit=1)[0], time.monotonic(), victim)
            return True
        return False

    def _freeze(self, victim: psutil.Process, target: str) -> bool:
        try:
            victim.send_signal(signal.SIGSTOP)
        except psutil.NoSuchProcess:
            return False

        def thaw() -> None:
            time.sleep(self._frozen_seconds)
            with suppress(psutil.NoSuchProcess):
                victim.send_signal(signal.SIGCONT)
            self._measure(f"freeze {target}", target.split(maxsplit=1)[0], time.monotonic(), None)

        self._background(thaw)
        return True

    def _fill_disk(self) -> None:
        self._disk.fill()
        time.sleep(_FULL_SECONDS)
        self._disk.free()
        self._measure_acceptance("full disk", time.monotonic())

    def _restart_database(self) -> None:
        if self._database is not None:
            self._database.crash()
            time.sleep(_DATABASE_AWAY_SECONDS)
            self._database.start()
            self._measure_acceptance("database restart", time.monotonic())

    def _tell_broker(self, kind: str) -> bool:
        deadline = time.monotonic() + _FIND_SECONDS
        while time.monotonic() < deadline:
            with suppress(redis.RedisError, OSError), connect(self._system.settings) as client:
                if kind == "FLUSHALL":
                    client.flushall()
                    self._background(self._measure_refill)
                else:
                    client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
                    for role in ("worker-cpu", "worker-gpu"):
                        self._measure(kind, role, time.monotonic(), None)
                return True
            time.sleep(0.1)
        return False

    def _measure(self, kind: str, role: str, since: float, dead: psutil.Process | None) -> None:
        """Note in the background when a role answers again, by another process than the dead."""
        answers = self._answers.get(role, lambda: True)

        def look() -> None:
            while time.monotonic() - since < _RECOVERY_SECONDS:
                found = self._system.process_of(role)
                if found is not None and found != dead and answers():
                    self.recoveries[kind].append(time.monotonic() - since)
                    return
                time.sleep(0.1)
            self.recoveries[kind].append(_NEVER)

        self._background(look)

    def _measure_refill(self) -> None:
        """Note how soon the relay has seen that the broker was wiped; then it fills it again."""
        since = time.monotonic()
        while time.monotonic() - since < _RECOVERY_SECONDS:
            with suppress(redis.RedisError, OSError), connect(self._system.settings) as client:
                if client.exists(_MARK):
                    break
            time.sleep(0.05)
        self.recoveries["FLUSHALL"].append(time.monotonic() - since)

    def _measure_acceptance(self, kind: str, since: float) -> None:
        """Note how soon the doors accept the next input."""
        before = self._accepted()
        while self._accepted() == before and time.monotonic() - since < _RECOVERY_SECONDS:
            time.sleep(0.02)
        self.recoveries[kind].append(time.monotonic() - since)

    def _background(self, target: Callable[[], None]) -> None:
        thread = threading.Thread(target=target, daemon=True)
        self._threads.append(thread)
        thread.start()
