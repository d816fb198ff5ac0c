"""The balance of a study adds up, whatever became of its objects."""

from collections.abc import Callable

import pytest

from builders import (
    CT_STORAGE,
    a_header,
    after,
    an_image_model,
    an_outcome,
    claim,
    complete,
    fail,
    hand_on,
    receive,
    register,
    work_rows,
)
from medqueue.ledger import evidence, work
from medqueue.ledger.engine import Ledger
from medqueue.results.balance import Balance, Fate
from medqueue.results.studies import find_study
from schemas.completeness import ClosedBy, Evidence, EvidenceKind
from schemas.manifest import Accepts
from schemas.result import ResultError, ResultStatus
from schemas.work import Stage, WorkState


def balance(ledger: Ledger) -> Balance:
    found = find_study(ledger, "1.2.3").balance
    assert found.received == (
        found.processed
        + found.waiting
        + found.failed
        + found.excluded
        + found.duplicate
        + found.conflicting
    )
    assert sum(reason.instances for reason in found.reasons) == found.failed + found.excluded
    return found


def expect(ledger: Ledger, instances: int, *, at: float = 0) -> None:
    one = Evidence(EvidenceKind.ARCHIVE_COUNT, "PACS", after(at), instances=instances)
    with ledger.write() as connection:
        evidence.record(connection, [("1.2.3", one)])


def diagnose(ledger: Ledger, *uids: str, at: float) -> None:
    """Walk all waiting work to results on these objects."""
    for row in work_rows(ledger, state=WorkState.PENDING):
        hand_on(ledger, claim(ledger, row.id, at=at), at=at)
    for row in work_rows(ledger, state=WorkState.PENDING, stage=Stage.DIAGNOSE_IMAGE):
        held = claim(ledger, row.id, at=at)
        outcome = an_outcome(held, ResultStatus.FINAL).model_copy(
            update={"sop_instance_uids": uids}
        )
        work.finish(ledger, held, outcome=outcome, now=after(at))


def test_an_open_study_waits_for_what_is_expected(ledger: Ledger) -> None:
    register(ledger, an_image_model())
    receive(ledger)
    assert (balance(ledger).expected, balance(ledger).missing) == (None, None)
    expect(ledger, 3)
    found = balance(ledger)
    assert (found.received, found.waiting, found.expected, found.missing) == (1, 1, 3, 2)


def test_every_object_has_its_place(ledger: Ledger) -> None:
    register(ledger, an_image_model(accepts=Accepts(modalities=("CR",), excluded_views=("LL",))))
    receive(ledger, a_header(instance=1))
    receive(ledger, a_header(instance=1))
    receive(ledger, a_header(instance=1), content="other")
    receive(ledger, a_header(instance=2))
    receive(ledger, a_header(instance=3, view_position="LL"))
    receive(ledger, a_header(series=2, modality="CT", sop_class_uid=CT_STORAGE))
    expect(ledger, 4)
    complete(ledger)
    assert balance(ledger).waiting == 2
    diagnose(ledger, "1.2.3.1.1", "1.2.3.1.2", at=20)
    found = balance(ledger)
    assert (found.received, found.expected, found.missing) == (6, 4, 0)
    assert (found.processed, found.waiting, found.failed, found.excluded) == (2, 0, 0, 2)
    assert (found.duplicate, found.conflicting) == (1, 1)
    assert {(reason.code, reason.instances) for reason in found.reasons} == {
        ("no-model-applies", 1),
        ("view-not-accepted", 1),
    }


@pytest.mark.parametrize(
    ("end", "fate"),
    [
        (lambda ledger, held: fail(ledger, held, at=21), Fate.FAILED),
        (
            lambda ledger, held: work.finish(
                ledger,
                held,
                outcome=an_outcome(
                    held, ResultStatus.SKIPPED, ResultError(code="unsupported-input", detail="x")
                ),
                now=after(21),
            ),
            Fate.EXCLUDED,
        ),
    ],
    ids=["failed", "skipped"],
)
def test_objects_without_a_diagnosis_have_a_reason(
    ledger: Ledger, end: Callable[..., None], fate: Fate
) -> None:
    register(ledger, an_image_model())
    receive(ledger)
    receive(ledger, a_header(instance=2))
    complete(ledger)
    (row,) = work_rows(ledger)
    end(ledger, claim(ledger, row.id, at=20))
    (reason,) = balance(ledger).reasons
    assert (reason.fate, reason.instances) == (fate, 2)
    assert reason.detail.startswith("chest 1.0.0: ")


def test_an_object_that_the_result_does_not_use_is_left_out(ledger: Ledger) -> None:
    register(ledger, an_image_model())
    receive(ledger)
    receive(ledger, a_header(instance=2))
    complete(ledger)
    diagnose(ledger, "1.2.3.1.1", at=20)
    found = balance(ledger)
    assert (found.processed, found.excluded) == (1, 1)
    assert found.reasons[0].code == "left-out"


def test_a_late_object_waits_while_the_others_stay_processed(ledger: Ledger) -> None:
    register(ledger, an_image_model())
    receive(ledger)
    complete(ledger)
    diagnose(ledger, "1.2.3.1.1", at=20)
    receive(ledger, a_header(instance=2), at=30)
    assert (balance(ledger).processed, balance(ledger).waiting) == (1, 1)
    complete(ledger, at=40)
    assert (balance(ledger).processed, balance(ledger).waiting) == (1, 1)
    diagnose(ledger, "1.2.3.1.1", "1.2.3.1.2", at=50)
    assert balance(ledger).processed == 2


def test_a_series_of_conflicts_is_counted_once(ledger: Ledger) -> None:
    receive(ledger, a_header("1.1", sop_instance_uid="9.9"), content="one")
    receive(ledger, a_header(sop_instance_uid="9.9"), content="other")
    complete(ledger)
    found = balance(ledger)
    assert (found.received, found.conflicting, found.reasons) == (1, 1, ())


def test_a_study_says_what_closed_it_and_what_was_said(ledger: Ledger) -> None:
    expect(ledger, 2)
    receive(ledger)
    opened = find_study(ledger, "1.2.3").completeness
    assert (opened.closed_by, opened.is_proven) == (None, False)
    complete(ledger, at=40)
    closed = find_study(ledger, "1.2.3").completeness
    assert (closed.closed_by, closed.is_proven) == (ClosedBy.LONGEST_WAIT, False)
    (said,) = closed.evidence
    assert (said.kind, said.source, said.instances) == (EvidenceKind.ARCHIVE_COUNT, "PACS", 2)
