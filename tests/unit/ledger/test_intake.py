"""Intake: what becomes of an instance that a door records."""

import pytest
from sqlalchemy import select

from builders import (
    a_header,
    after,
    an_image_model,
    complete,
    count,
    only,
    receive,
    register,
    study_row,
)
from medqueue.ledger import dispatch
from medqueue.ledger.engine import Ledger
from medqueue.ledger.tables import audit_events, instances, series, studies
from schemas.study import Disposition, StudyState
from schemas.work import Priority


def test_the_first_instance_opens_the_study(ledger: Ledger) -> None:
    assert receive(ledger, at=3) is Disposition.KEPT

    study = study_row(ledger)
    assert study.state == StudyState.RECEIVING
    assert study.received_at == study.last_instance_at == after(3)
    assert (study.patient_id, study.accession_number, study.calling_ae) == ("P-1", "A-1", "PACS")
    assert count(ledger, series) == count(ledger, instances) == 1


def test_further_instances_join_the_study_and_prolong_its_wait(ledger: Ledger) -> None:
    receive(ledger)
    receive(ledger, a_header(instance=2), at=1)
    receive(ledger, a_header(series=2), at=2)

    assert (count(ledger, studies), count(ledger, series), count(ledger, instances)) == (1, 2, 3)
    assert study_row(ledger).last_instance_at == after(2)


def test_an_exact_duplicate_changes_nothing_but_its_count(ledger: Ledger) -> None:
    receive(ledger)
    before = study_row(ledger)

    assert receive(ledger, at=3) is None

    now = study_row(ledger)
    assert now.duplicates == 1
    assert {**now._mapping, "duplicates": 0} == {**before._mapping}
    assert count(ledger, instances) == 1


def test_a_duplicate_does_not_reopen_a_complete_study(ledger: Ledger) -> None:
    receive(ledger)
    complete(ledger)

    receive(ledger, at=20)

    assert study_row(ledger).state == StudyState.COMPLETE


def test_other_content_under_the_same_uid_is_kept_as_a_conflict_and_flagged(
    ledger: Ledger,
) -> None:
    receive(ledger, content="one")

    assert receive(ledger, content="other") is Disposition.CONFLICT

    with ledger.read() as connection:
        kept = connection.execute(select(instances.c.disposition, instances.c.sha256)).all()
        events = connection.execute(select(audit_events)).all()
    assert sorted(row.disposition for row in kept) == ["conflict", "kept"]
    event = only(events)
    assert (event.action, event.actor) == ("instance-conflict", "PACS")
    assert event.subject_id == study_row(ledger).id


def test_a_conflict_sent_again_is_a_duplicate(ledger: Ledger) -> None:
    receive(ledger, content="one")
    receive(ledger, content="other")

    assert receive(ledger, content="other") is None
    assert receive(ledger, content="one") is None
    assert (count(ledger, instances), count(ledger, audit_events)) == (2, 1)


def test_a_uid_taken_in_another_study_is_a_conflict_there(ledger: Ledger) -> None:
    receive(ledger, a_header(study="1.1", sop_instance_uid="9.9"), content="one")

    second = receive(ledger, a_header(study="1.2", sop_instance_uid="9.9"), content="other")

    assert second is Disposition.CONFLICT
    assert count(ledger, studies) == 2


def test_an_urgent_instance_raises_its_study_for_good(ledger: Ledger) -> None:
    receive(ledger)
    receive(ledger, a_header(instance=2, priority=Priority.URGENT))
    receive(ledger, a_header(instance=3))

    assert study_row(ledger).priority == Priority.URGENT


@pytest.mark.parametrize("published", [False, True])
def test_an_urgent_copy_raises_work_that_waits(ledger: Ledger, *, published: bool) -> None:
    register(ledger, an_image_model())
    receive(ledger)
    complete(ledger)
    if published:
        dispatch.take_unpublished(ledger, limit=10, now=after(10))

    receive(ledger, a_header(priority=Priority.URGENT), at=11)

    raised = only(dispatch.take_unpublished(ledger, limit=10, now=after(11)))
    assert raised.priority is Priority.URGENT
