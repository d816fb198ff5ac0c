"""A shadow compared with what was released: only what both concluded of the same content."""

from typing import Any

import pytest

from builders import (
    ATTEMPTS,
    a_header,
    a_text_model,
    after,
    an_image_model,
    an_outcome,
    claim,
    complete,
    finish,
    only,
    receive,
    register,
    study_row,
    submit,
    work_rows,
)
from medqueue.ledger import models, planning, work
from medqueue.ledger.engine import Ledger
from medqueue.results.shadow_agreement import Shadow, compare_shadows
from schemas.finding import Finding, Presence
from schemas.result import ResultError, ResultStatus
from schemas.work import Priority, Stage


@pytest.fixture
def site(ledger: Ledger) -> Ledger:
    """With a released version for texts, and its shadow."""
    register(ledger, a_text_model(), a_text_model(version="2.0.0"))
    with ledger.write() as connection:
        models.let_shadow(connection, "report", "2.0.0", actor="anna", now=after(0))
    return ledger


def a_finding(label: str, probability: float | None, **changes: Any) -> Finding:
    presence = Presence.PRESENT if (probability or 0) >= 0.5 else Presence.ABSENT
    return Finding(**{"label": label, "probability": probability, "presence": presence, **changes})


def conclude(ledger: Ledger, stage: Stage, report: str, *findings: Finding) -> None:
    held = claim(ledger, only(work_rows(ledger, stage=stage, subject_id=report)).id)
    outcome = an_outcome(held, ResultStatus.FINAL).model_copy(update={"findings": findings})
    work.finish(ledger, held, outcome=outcome, now=after(11))


def both(ledger: Ledger, released: list[Finding], shadow: list[Finding]) -> None:
    """Let both versions read a text."""
    report = submit(ledger)
    conclude(ledger, Stage.DIAGNOSE_REPORT, report, *released)
    conclude(ledger, Stage.SHADOW_REPORT, report, *shadow)


def compare(ledger: Ledger, name: str = "report") -> list[Shadow]:
    with ledger.read() as connection:
        return compare_shadows(connection, name)


def test_a_model_that_was_no_shadow_has_nothing_to_compare(site: Ledger) -> None:
    assert compare(site) == []


def test_presence_and_probability_are_compared_label_by_label(site: Ledger) -> None:
    both(site, [a_finding("edema", 0.9)], [a_finding("edema", 0.7)])
    both(site, [a_finding("edema", 0.4)], [a_finding("edema", 0.8), a_finding("mass", 0.1)])

    shadow = only(compare(site))
    assert (shadow.version, shadow.ended) == ("2.0.0", {ResultStatus.FINAL: 2})
    beside = only(shadow.beside)
    assert (beside.version, beside.inputs) == ("1.0.0", 2)
    edema, mass = beside.labels
    assert (edema.label, edema.stated, edema.agreed) == ("edema", 2, 1)
    assert edema.mean_difference == pytest.approx(0.3)
    assert edema.largest_difference == pytest.approx(0.4)
    assert (mass.label, mass.stated, mass.agreed, mass.mean_difference) == ("mass", 1, 0, None)


def test_of_a_label_that_is_stated_twice_the_strongest_counts(site: Ledger) -> None:
    absent, present = a_finding("edema", 0.1), a_finding("edema", 0.9)
    both(site, [present, absent], [absent, present])

    edema = only(only(only(compare(site)).beside).labels)
    assert (edema.agreed, edema.largest_difference) == (1, 0)


def test_rules_that_state_no_probability_are_compared_by_presence(site: Ledger) -> None:
    one = a_finding("edema", None, presence=Presence.UNCERTAIN)
    both(site, [one], [one])

    edema = only(only(only(compare(site)).beside).labels)
    assert (edema.agreed, edema.mean_difference, edema.largest_difference) == (1, None, None)


def test_what_only_one_of_both_concluded_on_is_not_compared(site: Ledger) -> None:
    released_only, shadow_only, failed = submit(site), submit(site), submit(site)
    conclude(site, Stage.DIAGNOSE_REPORT, released_only, a_finding("edema", 0.9))
    conclude(site, Stage.SHADOW_REPORT, shadow_only, a_finding("edema", 0.9))
    conclude(site, Stage.DIAGNOSE_REPORT, failed, a_finding("edema", 0.9))
    held = claim(site, only(work_rows(site, stage=Stage.SHADOW_REPORT, subject_id=failed)).id)
    error = ResultError(code="undecodable", detail="broken")
    work.fail(site, held, an_outcome(held, ResultStatus.FAILED, error), now=after(12))

    shadow = only(compare(site))
    assert shadow.ended == {ResultStatus.FINAL: 1, ResultStatus.FAILED: 1}
    assert shadow.beside == ()


def test_what_a_shadow_did_can_be_read_after_its_promotion(site: Ledger) -> None:
    both(site, [a_finding("edema", 0.9)], [a_finding("edema", 0.9)])
    with site.write() as connection:
        models.release(connection, "report", "2.0.0", actor="anna", now=after(20))
    assert only(only(compare(site)).beside).inputs == 1
    assert compare(site, "another") == []


def test_only_the_same_content_is_compared_and_no_version_with_itself(ledger: Ledger) -> None:
    register(ledger, an_image_model(), an_image_model(version="2.0.0"))
    with ledger.write() as connection:
        models.let_shadow(connection, "chest", "2.0.0", actor="anna", now=after(0))
    receive(ledger)
    complete(ledger)
    finish(ledger, claim(ledger, only(work_rows(ledger, stage=Stage.SHADOW_IMAGE)).id))
    again = {study_row(ledger).id: Priority.ROUTINE}
    with ledger.write() as connection:
        models.release(connection, "chest", "2.0.0", actor="anna", now=after(12))
        planning.plan_studies(connection, again, max_attempts=ATTEMPTS, now=after(13))
    of_itself = only(work_rows(ledger, stage=Stage.PREPARE_SERIES, model_version="2.0.0"))
    finish(ledger, claim(ledger, of_itself.id, at=14), at=15)
    assert only(compare(ledger, "chest")).beside == ()

    with ledger.write() as connection:
        models.release(connection, "chest", "1.0.0", actor="anna", now=after(16))
    receive(ledger, a_header(instance=2), at=17)
    complete(ledger, at=40)
    grown = work_rows(ledger, stage=Stage.PREPARE_SERIES, model_version="1.0.0")[-1]
    finish(ledger, claim(ledger, grown.id, at=41), at=42)
    assert only(compare(ledger, "chest")).beside == ()
