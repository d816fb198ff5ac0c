"""The overview: counts by state."""

from builders import NOW, a_due_report, a_due_series, after, claim, finish, submit
from medqueue.ledger import audit
from medqueue.ledger.engine import Ledger
from medqueue.results.overview import take_overview
from schemas.result import ResultKind, ResultStatus
from schemas.study import StudyState
from schemas.work import Stage, WorkState


def test_an_empty_ledger_has_a_zero_for_every_state(ledger: Ledger) -> None:
    overview = take_overview(ledger, now=NOW)
    assert overview.work == {(stage, state): 0 for stage in Stage for state in WorkState}
    assert set(overview.results.values()) == {0}
    assert overview.studies == {StudyState.RECEIVING: 0, StudyState.COMPLETE: 0}
    assert overview.waiting_seconds == dict.fromkeys(Stage, 0.0)


def test_everything_is_counted_where_it_stands(ledger: Ledger) -> None:
    a_due_series(ledger)
    finish(ledger, claim(ledger, a_due_report(ledger)))
    submit(ledger, "肺炎。")
    with ledger.write() as connection:
        audit.record(connection, now=NOW, actor="X", action="refused", code="not-dicom")
        audit.record(connection, now=NOW, actor="X", action="release")
    overview = take_overview(ledger, now=after(40))
    assert overview.studies[StudyState.COMPLETE] == 1
    assert overview.reports == 2
    assert overview.work[Stage.PREPARE_SERIES, WorkState.PENDING] == 1
    assert overview.work[Stage.DIAGNOSE_REPORT, WorkState.DONE] == 1
    assert overview.results[ResultKind.TEXT, ResultStatus.FINAL] == 1
    assert overview.results[ResultKind.TEXT, ResultStatus.SKIPPED] == 1
    assert overview.refusals == {"not-dicom": 1}
    assert overview.waiting_seconds[Stage.PREPARE_SERIES] == 30
    assert overview.work_in(WorkState.PENDING) == 1
    assert overview.results_with(ResultStatus.FINAL) == 1
