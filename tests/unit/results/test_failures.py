"""Failures as readers see them: the list of the ledger, with the input of each."""

import pytest

from builders import a_due_report, a_due_series, after, claim, fail, hand_on, only, work_rows
from medqueue.errors import NotFoundError
from medqueue.ledger import failures
from medqueue.ledger.engine import Ledger
from medqueue.results.failures import find_failure, list_failures


def test_failures_name_the_input_and_the_newest_comes_first(ledger: Ledger) -> None:
    image = a_due_series(ledger)
    text = a_due_report(ledger, study_instance_uid="1.2.9")
    fail(ledger, claim(ledger, image), at=11)
    fail(ledger, claim(ledger, text), at=12)

    on_text, on_image = list_failures(ledger, limit=10)

    assert (on_image.id, on_image.study_instance_uid, on_image.report) == (image, "1.2.3", None)
    assert (on_text.id, on_text.study_instance_uid) == (text, "1.2.9")
    assert on_text.report == on_text.subject_id
    assert list_failures(ledger, limit=1) == [on_text]


def test_a_diagnosis_whose_series_is_prepared_again_is_listed_no_more(ledger: Ledger) -> None:
    preparation = a_due_series(ledger)
    hand_on(ledger, claim(ledger, preparation))
    diagnosis = only(work_rows(ledger, stage="diagnose-image")).id
    fail(ledger, claim(ledger, diagnosis, at=12), at=13)
    failures.requeue(ledger, [diagnosis], actor="anna", now=after(20))

    assert list_failures(ledger, limit=10) == []
    assert find_failure(ledger, diagnosis).study_instance_uid == "1.2.3"


def test_an_unknown_failure_is_not_found(ledger: Ledger) -> None:
    with pytest.raises(NotFoundError):
        find_failure(ledger, "0" * 32)
    assert list_failures(ledger, limit=1) == []
