"""The rules of completeness: what closes a study at once, what makes it wait, and for how long."""

from datetime import datetime

import pytest

from builders import after
from medqueue.ledger.closing import OpenStudy, expectation, judge
from medqueue.ledger.patience import Patience, read_patience
from medqueue.settings import Settings, load_settings
from schemas.completeness import ClosedBy, Evidence, EvidenceKind

LAST = 100.0
QUIET, LONGEST = 5.0, 30.0
PATIENCE = Patience(QUIET, LONGEST, whole_study_aes=frozenset({"ORTHANC"}))


def said(kind: EvidenceKind, *, at: float = LAST, source: str = "PACS", **counts: int) -> Evidence:
    return Evidence(kind=kind, source=source, at=after(at), **counts)


def of(*evidence: Evidence, received: int = 10, series: int = 1) -> OpenStudy:
    counts = {f"1.2.{number}": ("CT", received // series) for number in range(series)}
    return OpenStudy("PACS", after(LAST), counts, evidence)


def closed(study: OpenStudy, *, at: float = LAST, patience: Patience = PATIENCE) -> str | None:
    return judge(study, patience, after(at)).closed_by


def looks_at(study: OpenStudy) -> datetime | None:
    return judge(study, PATIENCE, after(LAST)).look_at


RELEASED = said(EvidenceKind.ASSOCIATION_RELEASED)
ABORTED = said(EvidenceKind.ASSOCIATION_ABORTED)


def test_nothing_known_the_quiet_time_closes_without_proof() -> None:
    assert looks_at(of()) == after(LAST + QUIET)
    assert closed(of(), at=LAST + QUIET - 0.01) is None
    assert closed(of(), at=LAST + QUIET) == ClosedBy.QUIET_TIME
    assert not ClosedBy.QUIET_TIME.is_proof


@pytest.mark.parametrize("kind", [EvidenceKind.ARCHIVE_COUNT, EvidenceKind.DECLARED])
def test_a_study_is_complete_as_soon_as_all_that_were_counted_are_there(kind: EvidenceKind) -> None:
    assert closed(of(said(kind, at=1, instances=10))) == ClosedBy.ALL_EXPECTED
    assert ClosedBy.ALL_EXPECTED.is_proof


def test_missing_objects_are_waited_for_up_to_the_longest_wait() -> None:
    study = of(said(EvidenceKind.ARCHIVE_COUNT, at=1, instances=12))
    assert looks_at(study) == after(LAST + LONGEST)
    assert closed(study, at=LAST + LONGEST) == ClosedBy.LONGEST_WAIT
    assert not ClosedBy.LONGEST_WAIT.is_proof


def test_the_longest_wait_is_never_shorter_than_the_quiet_time() -> None:
    study = of(said(EvidenceKind.ARCHIVE_COUNT, at=1, instances=12))
    slow = Patience(60.0, LONGEST)
    assert judge(study, slow, after(LAST)).look_at == after(LAST + 60)


def test_of_two_counts_the_higher_is_waited_for() -> None:
    study = of(
        said(EvidenceKind.ARCHIVE_COUNT, at=1, instances=10),
        said(EvidenceKind.DECLARED, at=1, instances=11),
    )
    assert looks_at(study) == after(LAST + LONGEST)


def test_a_count_below_what_has_come_is_out_of_date() -> None:
    study = of(said(EvidenceKind.ARCHIVE_COUNT, at=1, instances=9))
    assert expectation(study) is None
    assert looks_at(study) == after(LAST + QUIET)


def test_what_objects_announce_is_believed_once_their_association_is_released() -> None:
    announced = said(EvidenceKind.ANNOUNCED, at=1, instances=10)
    assert closed(of(announced)) is None
    assert closed(of(announced, RELEASED)) == ClosedBy.ALL_EXPECTED
    other = said(EvidenceKind.ASSOCIATION_RELEASED, source="OTHER")
    assert closed(of(announced, other)) is None


def test_a_first_object_that_announces_one_is_no_proof() -> None:
    """It may be how many there are so far, or all there are: nobody can tell."""
    announced = said(EvidenceKind.ANNOUNCED, at=1, instances=1)
    assert looks_at(of(announced, RELEASED, received=1)) == after(LAST + QUIET)


def test_an_announcement_that_changes_is_not_believed() -> None:
    so_far = Evidence(
        EvidenceKind.ANNOUNCED, "PACS", after(LAST), instances=10, is_steady=False, times=10
    )
    assert closed(of(so_far, RELEASED)) is None
    assert looks_at(of(so_far, RELEASED)) == after(LAST + QUIET)


def test_a_missing_series_is_waited_for() -> None:
    study = of(said(EvidenceKind.ANNOUNCED, at=1, series=3), received=10, series=2)
    assert looks_at(study) == after(LAST + LONGEST)


def test_a_short_series_is_waited_for_though_the_study_was_not_counted() -> None:
    short = Evidence(
        EvidenceKind.ANNOUNCED, "PACS", after(1), series_instance_uid="1.2.0", instances=8
    )
    found = expectation(of(short, received=10, series=2))
    assert found is not None
    assert (found.missing, found.is_counted) == (3, False)


def test_full_series_alone_do_not_prove_that_no_other_comes() -> None:
    full = Evidence(
        EvidenceKind.ANNOUNCED, "PACS", after(1), series_instance_uid="1.2.0", instances=10
    )
    assert closed(of(full, RELEASED)) is None


def test_a_sender_may_declare_that_it_has_sent_all() -> None:
    assert closed(of(said(EvidenceKind.DECLARED))) == ClosedBy.DECLARED
    assert closed(of(said(EvidenceKind.DECLARED, at=LAST - 1))) is None


def test_a_person_closes_whatever_is_missing() -> None:
    study = of(
        said(EvidenceKind.ARCHIVE_COUNT, at=1, instances=99), said(EvidenceKind.PERSON), ABORTED
    )
    assert closed(study) == ClosedBy.PERSON


def test_a_person_has_not_decided_about_what_came_later() -> None:
    assert closed(of(said(EvidenceKind.PERSON, at=LAST - 1))) is None


def test_after_an_abort_the_rest_is_waited_for() -> None:
    assert looks_at(of(ABORTED)) == after(LAST + LONGEST)
    assert closed(of(ABORTED), at=LAST + LONGEST) == ClosedBy.LONGEST_WAIT


def test_an_abort_is_forgotten_once_something_came_or_a_later_association_ended_well() -> None:
    earlier = said(EvidenceKind.ASSOCIATION_ABORTED, at=LAST - 1)
    assert looks_at(of(earlier)) == after(LAST + QUIET)
    repeated = said(EvidenceKind.ASSOCIATION_RELEASED, at=LAST + 2)
    assert looks_at(of(ABORTED, repeated)) == after(LAST + QUIET)


def test_a_release_closes_only_what_comes_from_a_sender_of_whole_studies() -> None:
    assert closed(of(RELEASED)) is None
    whole = said(EvidenceKind.ASSOCIATION_RELEASED, source="ORTHANC")
    assert closed(of(whole)) == ClosedBy.ASSOCIATION_RELEASED
    cut_off = said(EvidenceKind.ASSOCIATION_ABORTED, source="ORTHANC")
    assert closed(of(cut_off)) is None
    missing = said(EvidenceKind.ARCHIVE_COUNT, at=1, instances=11)
    assert closed(of(whole, missing)) is None


def test_quiet_times_follow_the_sender_and_its_slowest_modality() -> None:
    settings = load_settings({"MEDQUEUE_STUDY_QUIET_TIMES": "CT1=3, */US=60,CT1/SR=9 ,A/B/*=7.5"})
    patience = read_patience(settings)
    assert patience.quiet_of("CT1", ["CT"]) == 3
    assert patience.quiet_of("CT1", ["CT", "SR"]) == 9
    assert patience.quiet_of("CT1", ["US"]) == 3
    assert patience.quiet_of("PACS", ["US", "CR"]) == 60
    assert patience.quiet_of(None, [None]) == settings.study_quiet_seconds
    assert patience.quiet_of("A/B", ["CT"]) == 7.5
    assert (patience.shortest, patience.longest) == (3, 60)


def test_without_settings_there_is_one_quiet_time() -> None:
    patience = read_patience(Settings(whole_study_aes="A, B"))
    assert (patience.shortest, patience.longest) == (5, 30)
    assert patience.whole_study_aes == {"A", "B"}
