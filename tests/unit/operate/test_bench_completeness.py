"""`medqueue bench completeness`: what each kind of sender shows, on a few studies of it."""

import statistics

import pytest

from medqueue.operate.bench import completeness
from medqueue.operate.bench.bad_senders import SENDERS
from medqueue.operate.bench.completeness import simulate

FEW = 4
TIMER, _, EVIDENCE = completeness._POLICIES


def early(name: str, policy: completeness._Policy) -> float:
    (sender,) = [sender for sender in SENDERS if sender.name == name]
    return statistics.mean(course.is_early for course in simulate(sender, policy, FEW))


@pytest.mark.parametrize("name", ["object by object", "interleaved", "aborted", "three phases"])
def test_evidence_closes_fewer_studies_too_early_than_a_timer_does(name: str) -> None:
    assert early(name, EVIDENCE) < early(name, TIMER)


@pytest.mark.parametrize("name", ["whole studies", "sent twice", "counts so far"])
def test_evidence_closes_nothing_too_early_that_a_timer_closes_in_time(name: str) -> None:
    assert early(name, EVIDENCE) == early(name, TIMER) == 0


def test_a_repetition_neither_opens_nor_closes_a_study_again() -> None:
    (sender,) = [sender for sender in SENDERS if sender.name == "sent twice"]
    assert [len(course.closed_at) for course in simulate(sender, EVIDENCE, FEW)] == [1] * FEW


def test_a_declared_number_closes_at_the_end_of_the_last_association() -> None:
    (sender,) = [sender for sender in SENDERS if sender.name == "declared"]
    assert all(course.delay < 0.1 for course in simulate(sender, EVIDENCE, FEW))


def test_it_reports_both_measures_for_every_sender_and_policy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(completeness, "_STUDIES", 1)
    rows = completeness.run()
    assert len(rows) == len(SENDERS) * len(completeness._POLICIES) * 2
    assert {row.unit for row in rows} == {"%", "s"}
