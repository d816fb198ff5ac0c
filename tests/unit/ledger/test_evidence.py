"""Evidence: kept under its study before and after the first object, and judged at once."""

from builders import PATIENCE, a_header, after, complete, receive, study_row
from medqueue.ledger import completeness, evidence
from medqueue.ledger.engine import Ledger
from schemas.completeness import ClosedBy, Evidence, EvidenceKind
from schemas.study import StudyState


def say(
    ledger: Ledger, kind: EvidenceKind, *, at: float, study: str = "1.2.3", **counts: int
) -> None:
    with ledger.write() as connection:
        one = Evidence(kind=kind, source="PACS", at=after(at), **counts)
        evidence.record(connection, [(study, one)])


def of_study(ledger: Ledger, study: str = "1.2.3") -> tuple[Evidence, ...]:
    with ledger.read() as connection:
        return evidence.of_study(connection, study)


def test_of_each_kind_and_source_the_last_word_is_kept(ledger: Ledger) -> None:
    say(ledger, EvidenceKind.ASSOCIATION_RELEASED, at=1)
    say(ledger, EvidenceKind.ANNOUNCED, at=1, instances=4)
    say(ledger, EvidenceKind.ASSOCIATION_RELEASED, at=2)
    say(ledger, EvidenceKind.ANNOUNCED, at=2, instances=4)
    announced, released = of_study(ledger)
    assert (announced.instances, announced.is_steady, announced.times) == (4, True, 2)
    assert (released.at, released.instances, released.is_steady) == (after(2), None, True)


def test_a_number_that_has_changed_once_is_not_steady_again(ledger: Ledger) -> None:
    for at, count in enumerate((1, 2, 2)):
        say(ledger, EvidenceKind.ANNOUNCED, at=at, instances=count)
    (announced,) = of_study(ledger)
    assert (announced.instances, announced.is_steady) == (2, False)


def test_a_count_may_come_before_the_first_object(ledger: Ledger) -> None:
    say(ledger, EvidenceKind.ARCHIVE_COUNT, at=0, instances=2)
    receive(ledger, at=1)
    assert complete(ledger, at=7) == 0
    receive(ledger, a_header(instance=2), at=8)
    assert complete(ledger, at=14) == 1
    assert study_row(ledger).closed_by == ClosedBy.ALL_EXPECTED


def test_evidence_has_an_open_study_judged_before_its_quiet_time(ledger: Ledger) -> None:
    say(ledger, EvidenceKind.ARCHIVE_COUNT, at=0, instances=1)
    receive(ledger, at=1)
    assert complete(ledger, at=1.1) == 0
    say(ledger, EvidenceKind.ASSOCIATION_RELEASED, at=1.2)
    assert complete(ledger, at=1.2) == 1
    study = study_row(ledger)
    assert (study.closed_by, study.completed_at) == (ClosedBy.ALL_EXPECTED, after(1.2))


def test_evidence_about_a_complete_study_does_not_open_it(ledger: Ledger) -> None:
    receive(ledger)
    complete(ledger)
    say(ledger, EvidenceKind.ARCHIVE_COUNT, at=20, instances=5)
    assert study_row(ledger).state == StudyState.COMPLETE
    assert complete(ledger, at=60) == 0


def test_a_study_that_waits_is_left_alone_until_its_time(ledger: Ledger) -> None:
    say(ledger, EvidenceKind.ARCHIVE_COUNT, at=0, instances=2)
    receive(ledger)
    assert complete(ledger, at=6) == 0
    assert study_row(ledger).due_at == after(30)
    assert complete(ledger, at=29) == 0
    assert completeness.seconds_until_next(ledger, patience=PATIENCE, now=after(6)) == 24
    assert complete(ledger, at=30) == 1
    assert study_row(ledger).closed_by == ClosedBy.LONGEST_WAIT


def test_what_arrives_ends_the_wait_of_a_study(ledger: Ledger) -> None:
    say(ledger, EvidenceKind.ARCHIVE_COUNT, at=0, instances=2)
    receive(ledger)
    complete(ledger, at=6)
    receive(ledger, a_header(instance=2), at=7)
    assert study_row(ledger).due_at is None
    assert complete(ledger, at=12) == 1


def test_a_study_that_waits_keeps_no_other_from_being_judged(ledger: Ledger) -> None:
    for number in range(101):
        say(ledger, EvidenceKind.ARCHIVE_COUNT, at=0, study=f"1.{number}", instances=2)
        receive(ledger, a_header(f"1.{number}"))
    receive(ledger, a_header("2.1"), at=1)
    assert complete(ledger, at=6) + complete(ledger, at=6) == 1
    assert study_row(ledger, "2.1").closed_by == ClosedBy.QUIET_TIME


def test_a_late_object_opens_the_study_again_and_asks_for_new_proof(ledger: Ledger) -> None:
    say(ledger, EvidenceKind.ARCHIVE_COUNT, at=0, instances=1)
    receive(ledger)
    complete(ledger)
    receive(ledger, a_header(instance=2), at=50)
    assert study_row(ledger).state == StudyState.RECEIVING
    complete(ledger, at=60)
    assert study_row(ledger).closed_by == ClosedBy.QUIET_TIME
