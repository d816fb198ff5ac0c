"""The watchdog: a worker that lives but takes nothing is told from one that is busy or idle."""

import pytest

from medqueue.broker.watchdog import Watchdog


@pytest.fixture
def watchdog() -> Watchdog:
    return Watchdog(stall_seconds=10)


def looks(watchdog: Watchdog, *looks_: tuple[float, int, int, float]) -> list[bool]:
    return [
        watchdog.is_stalled(waiting=waiting, in_hand=in_hand, received_at=received_at, now=now)
        for now, waiting, in_hand, received_at in looks_
    ]


def test_messages_before_idle_hands_are_a_stall_after_the_time(watchdog: Watchdog) -> None:
    assert looks(watchdog, (0, 3, 0, 0), (8, 3, 0, 0), (10, 3, 0, 0)) == [False, False, True]


def test_a_busy_worker_has_not_stalled(watchdog: Watchdog) -> None:
    assert not any(looks(watchdog, (0, 3, 1, 0), (60, 3, 1, 0), (120, 3, 2, 0)))


def test_an_idle_worker_before_empty_queues_has_not_stalled(watchdog: Watchdog) -> None:
    assert not any(looks(watchdog, (0, 0, 0, 0), (60, 0, 0, 0), (69, 5, 0, 0)))


def test_a_worker_that_takes_messages_has_not_stalled(watchdog: Watchdog) -> None:
    assert not any(looks(watchdog, (0, 9, 0, 0), (60, 9, 0, 59), (120, 9, 0, 118)))


def test_the_time_begins_anew_after_work(watchdog: Watchdog) -> None:
    assert looks(watchdog, (0, 3, 0, 0), (9, 3, 1, 9), (18, 3, 0, 9), (19, 3, 0, 9)) == [
        False,
        False,
        False,
        True,
    ]
