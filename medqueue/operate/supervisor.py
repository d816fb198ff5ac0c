"""The supervisor: starts the processes of all roles, starts again what dies, and drains at the end.

One loop takes events from a queue: a child has ended, everything answers, stop. Nothing is polled
but readiness, which has no event.
"""

import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from medqueue.errors import UnavailableError
from medqueue.logs import get_logger
from medqueue.operate.child import Child, Role
from medqueue.operate.guard import Guard

_logger = get_logger(__name__)

_FIRST_PAUSE_SECONDS = 0.2
_LONGEST_PAUSE_SECONDS = 10.0
"""The pause before a restart doubles with each early death, up to this: a broken process must not
eat the machine, and must be back soon after its cause is mended."""
_GOOD_LIFE_SECONDS = 30.0
"""A process that lived so long did not die of its start: the pause begins anew."""
_DEATHS_BEFORE_GIVING_UP = 3
"""As long as the system has never been ready, a process that dies so often will not come up."""
_READY_SECONDS = 180.0
"""Longer than the slowest start: models on a cold disk."""
_LOOK_SECONDS = 0.05
_KILLED_SECONDS = 5.0
"""A killed process is gone at once, unless the system itself hangs."""


@dataclass(frozen=True, slots=True)
class _Ended:
    child: Child
    how: str


@dataclass(frozen=True, slots=True)
class _GuardEnded:
    pass


@dataclass(frozen=True, slots=True)
class _AllAnswer:
    pass


@dataclass(frozen=True, slots=True)
class _Stop:
    pass


_Event = _Ended | _GuardEnded | _AllAnswer | _Stop


@dataclass(slots=True)
class _Post:
    """The place of one role: its process, if it runs, and its history."""

    role: Role
    child: Child | None = None
    early_deaths: int = 0
    restart_at: float | None = None
    answered: bool = field(default=False)


class Supervisor:
    """Runs processes until it is told to stop. `run` is called once."""

    def __init__(
        self,
        roles: Sequence[Role],
        *,
        guard: Callable[[], Guard],
        environment: Mapping[str, str],
        log_dir: Path,
        stop_seconds: float,
    ) -> None:
        self._posts = {role.name: _Post(role) for role in roles}
        self._make_guard = guard
        self._environment = environment
        self._log_dir = log_dir
        self._stop_seconds = stop_seconds
        # A SimpleQueue may be filled from a signal handler.
        self._events: queue.SimpleQueue[_Event] = queue.SimpleQueue()
        self._over = threading.Event()
        self._ready = False

    def stop(self) -> None:
        """Ask for the end. May be called from a signal handler; twice means at once."""
        self._events.put(_Stop())

    def run(self, on_ready: Callable[[], None]) -> None:
        """Start everything, and block until the end.

        Args:
            on_ready: called once, when every role answers.

        Raises:
            UnavailableError: a process does not come up; the message names its log.
        """
        self._guard = self._start_guard()
        try:
            for rank in sorted({post.role.rank for post in self._posts.values()}):
                for post in self._of_rank(rank):
                    self._start(post)
            self._in_background(self._await_answers)
            self._watch(on_ready)
        finally:
            self._over.set()
            self._drain()
            self._guard.close()

    def _watch(self, on_ready: Callable[[], None]) -> None:
        give_up_at = time.monotonic() + _READY_SECONDS
        while True:
            match self._next_event(None if self._ready else give_up_at):
                case _Stop():
                    return
                case _AllAnswer():
                    self._ready = True
                    on_ready()
                case _Ended(child=child, how=how):
                    self._note_end(child, how)
                case _GuardEnded():
                    self._renew_guard()
                case None:
                    self._require_progress(give_up_at)
            self._start_what_is_due()

    def _next_event(self, deadline: float | None) -> _Event | None:
        """Wait for an event until the next restart or the deadline."""
        times = [post.restart_at for post in self._posts.values() if post.restart_at is not None]
        if deadline is not None:
            times.append(deadline)
        wait = max(0.0, min(times) - time.monotonic()) if times else None
        try:
            return self._events.get(timeout=wait)
        except queue.Empty:
            return None

    def _note_end(self, child: Child, how: str) -> None:
        post = self._posts[child.role.name]
        self._guard.forget(child.pid)
        post.child = None
        lived = time.monotonic() - child.started
        post.early_deaths = 0 if lived >= _GOOD_LIFE_SECONDS else post.early_deaths + 1
        if not self._ready and post.early_deaths >= _DEATHS_BEFORE_GIVING_UP:
            raise UnavailableError(f"{child.role.name} does not come up ({how}); see {child.log}")
        pause = min(_FIRST_PAUSE_SECONDS * 2**post.early_deaths, _LONGEST_PAUSE_SECONDS)
        post.restart_at = time.monotonic() + pause
        _logger.warning("process-ended", role=child.role.name, how=how, restart_in=pause)

    def _start_what_is_due(self) -> None:
        now = time.monotonic()
        for post in self._posts.values():
            if post.restart_at is not None and post.restart_at <= now:
                self._start(post)

    def _start(self, post: _Post) -> None:
        child = Child(post.role, environment=self._environment, log_dir=self._log_dir)
        self._guard.watch(child.pid)
        post.child, post.restart_at = child, None
        _logger.info("process-started", role=post.role.name, pid=child.pid)
        self._in_background(lambda: self._events.put(_Ended(child, child.wait())))

    def _start_guard(self) -> Guard:
        guard = self._make_guard()

        def report_end() -> None:
            guard.wait()
            self._events.put(_GuardEnded())

        self._in_background(report_end)
        return guard

    def _in_background(self, target: Callable[[], None]) -> None:
        threading.Thread(target=target, daemon=True).start()

    def _renew_guard(self) -> None:
        _logger.warning("guard-ended")
        self._guard.close()
        self._guard = self._start_guard()
        for post in self._posts.values():
            if post.child is not None:
                self._guard.watch(post.child.pid)

    def _await_answers(self) -> None:
        for post in self._posts.values():
            while not post.role.answers():
                if self._over.wait(_LOOK_SECONDS):
                    return
            post.answered = True
        self._events.put(_AllAnswer())

    def _require_progress(self, give_up_at: float) -> None:
        if not self._ready and time.monotonic() >= give_up_at:
            silent = [name for name, post in self._posts.items() if not post.answered]
            raise UnavailableError(
                f"{', '.join(silent)} did not answer within {_READY_SECONDS:.0f} s; "
                f"see the logs in {self._log_dir}"
            )

    def _drain(self) -> None:
        """Stop rank by rank, so that each process finds what it needs until it has ended."""
        for rank in sorted({post.role.rank for post in self._posts.values()}, reverse=True):
            self._drain_posts(self._of_rank(rank))

    def _drain_posts(self, posts: Sequence[_Post]) -> None:
        running = {post.child for post in posts if post.child is not None}
        for child in running:
            child.terminate()
        deadline = time.monotonic() + self._stop_seconds
        killed = False
        while running:
            match self._next_end(deadline):
                case _Ended(child=child):
                    self._posts[child.role.name].child = None
                    self._guard.forget(child.pid)
                    running.discard(child)
                case _Stop() | None if not killed:
                    names = sorted(child.role.name for child in running)
                    _logger.warning("processes-killed", roles=names)
                    for child in running:
                        child.kill()
                    killed, deadline = True, time.monotonic() + _KILLED_SECONDS
                case None:
                    return

    def _next_end(self, deadline: float) -> _Event | None:
        try:
            return self._events.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            return None

    def _of_rank(self, rank: int) -> list[_Post]:
        return [post for post in self._posts.values() if post.role.rank == rank]
