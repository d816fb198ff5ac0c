"""Reports and studies find each other, whichever comes last; doubts are shown, not joined."""

import pytest

from builders import (
    a_header,
    a_text_model,
    an_image_model,
    claim,
    complete,
    finish,
    receive,
    register,
    result_rows,
    submit,
    work_rows,
)
from medqueue.errors import IdempotencyConflictError
from medqueue.ledger.engine import Ledger
from medqueue.ledger.linking import LinkConflict, LinkedBy
from medqueue.results.reports import find_report, list_reports
from medqueue.results.studies import find_study
from schemas.result import ResultKind
from schemas.work import Stage

ORDER = {"accession_number": "A-1", "patient_id": "P-1"}


def links(ledger: Ledger, study: str = "1.2.3") -> list[tuple[str, str | None, str | None]]:
    found = find_study(ledger, study).reports
    return [(report.id, report.linked_by, report.conflict) for report in found]


def studies_of(ledger: Ledger, report: str) -> list[tuple[str, str | None, str | None]]:
    found = find_report(ledger, report).studies
    return [(study.study_instance_uid, study.linked_by, study.conflict) for study in found]


def read_text(ledger: Ledger, report: str) -> None:
    (row,) = work_rows(ledger, subject_id=report)
    finish(ledger, claim(ledger, row.id, at=100), at=101)


@pytest.mark.parametrize("study_first", [True, False])
@pytest.mark.parametrize(
    ("fields", "by"),
    [
        ({"study_instance_uid": "1.2.3"}, LinkedBy.STUDY_INSTANCE_UID),
        (ORDER, LinkedBy.ACCESSION_AND_PATIENT),
    ],
)
def test_the_partner_that_comes_last_is_joined(
    ledger: Ledger, study_first: bool, fields: dict[str, str], by: LinkedBy
) -> None:
    if study_first:
        receive(ledger)
    report = submit(ledger, **fields)
    if not study_first:
        assert studies_of(ledger, report) == []
        receive(ledger)
    assert links(ledger) == [(report, by, None)]
    assert studies_of(ledger, report) == [("1.2.3", by, None)]
    assert find_report(ledger, report).study_instance_uid == "1.2.3"
    (listed,), _ = list_reports(ledger, limit=10)
    assert listed.study_instance_uid == "1.2.3"


@pytest.mark.parametrize("study_first", [True, False])
def test_a_study_shows_the_results_of_its_images_and_of_its_texts(
    ledger: Ledger, study_first: bool
) -> None:
    register(ledger, a_text_model(), an_image_model())
    if study_first:
        receive(ledger)
    read_text(ledger, submit(ledger, **ORDER))
    if not study_first:
        receive(ledger)
    complete(ledger)
    (image,) = work_rows(ledger, stage=Stage.PREPARE_SERIES)
    finish(ledger, claim(ledger, image.id, at=200), at=201)
    kinds = [result.kind for result in find_study(ledger, "1.2.3").results]
    assert sorted(kinds) == [ResultKind.IMAGE, ResultKind.TEXT]
    (text,) = result_rows(ledger, kind=ResultKind.TEXT)
    assert text.study_instance_uid == ("1.2.3" if study_first else None)


def test_two_studies_of_one_order_are_both_shown_and_none_is_chosen(ledger: Ledger) -> None:
    receive(ledger, a_header("1.2.3"))
    receive(ledger, a_header("1.2.4"))
    report = submit(ledger, **ORDER)
    assert [uid for uid, _, _ in studies_of(ledger, report)] == ["1.2.3", "1.2.4"]
    assert find_report(ledger, report).study_instance_uid is None


def test_another_patient_under_the_accession_number_is_a_conflict_not_a_link(
    ledger: Ledger,
) -> None:
    receive(ledger)
    report = submit(ledger, accession_number="A-1", patient_id="P-2")
    assert links(ledger) == [(report, None, LinkConflict.OTHER_PATIENT)]
    assert studies_of(ledger, report) == [("1.2.3", None, LinkConflict.OTHER_PATIENT)]
    assert find_report(ledger, report).study_instance_uid is None


@pytest.mark.parametrize(
    ("of_report", "of_study", "by", "conflict"),
    [
        ("HOSP", "HOSP", LinkedBy.ACCESSION_AND_PATIENT, None),
        ("HOSP", "hosp", LinkedBy.ACCESSION_AND_PATIENT, None),
        ("HOSP", None, LinkedBy.ACCESSION_AND_PATIENT, None),
        (None, "HOSP", LinkedBy.ACCESSION_AND_PATIENT, None),
        ("HOSP", "CLINIC", None, LinkConflict.OTHER_ISSUER),
    ],
)
def test_the_same_number_of_another_issuer_is_another_patient(
    ledger: Ledger,
    of_report: str | None,
    of_study: str | None,
    by: LinkedBy | None,
    conflict: LinkConflict | None,
) -> None:
    receive(ledger, a_header(patient_id_issuer=of_study))
    report = submit(ledger, patient_id_issuer=of_report, **ORDER)
    assert links(ledger) == [(report, by, conflict)]
    assert studies_of(ledger, report) == [("1.2.3", by, conflict)]
    assert find_report(ledger, report).study_instance_uid == ("1.2.3" if by else None)


def test_a_named_study_is_believed_and_another_issuer_is_shown(ledger: Ledger) -> None:
    receive(ledger, a_header(patient_id_issuer="HOSP"))
    report = submit(
        ledger, study_instance_uid="1.2.3", patient_id="P-1", patient_id_issuer="CLINIC"
    )
    assert links(ledger) == [(report, LinkedBy.STUDY_INSTANCE_UID, LinkConflict.OTHER_ISSUER)]


def test_without_a_patient_the_accession_number_alone_joins_nothing(ledger: Ledger) -> None:
    receive(ledger)
    report = submit(ledger, accession_number="A-1")
    assert links(ledger) == [(report, None, LinkConflict.PATIENT_UNKNOWN)]


def test_the_results_of_a_conflict_stay_out_of_the_study(ledger: Ledger) -> None:
    register(ledger, a_text_model())
    receive(ledger)
    read_text(ledger, submit(ledger, accession_number="A-1", patient_id="P-2"))
    assert find_study(ledger, "1.2.3").results == ()


def test_a_named_study_is_believed_and_another_patient_is_shown(ledger: Ledger) -> None:
    receive(ledger)
    report = submit(ledger, study_instance_uid="1.2.3", patient_id="P-2")
    assert links(ledger) == [(report, LinkedBy.STUDY_INSTANCE_UID, LinkConflict.OTHER_PATIENT)]


def test_a_report_that_names_a_study_belongs_to_no_other(ledger: Ledger) -> None:
    receive(ledger)
    submit(ledger, study_instance_uid="1.2.9", **ORDER)
    assert links(ledger) == []


def test_a_correction_leaves_the_version_before_it_marked(ledger: Ledger) -> None:
    receive(ledger)
    submit(ledger, "Clear.", report_id="R-1", **ORDER)
    submit(ledger, "Not clear.", report_id="R-1", **ORDER)
    found = find_study(ledger, "1.2.3").reports
    assert [(report.version, report.is_superseded) for report in found] == [(1, True), (2, False)]


def test_a_correction_may_move_a_report_to_its_true_study(ledger: Ledger) -> None:
    receive(ledger, a_header("1.2.3"))
    receive(ledger, a_header("1.2.4", accession_number="A-2"))
    submit(ledger, "Clear.", report_id="R-1", **ORDER)
    moved = submit(ledger, "Clear.", report_id="R-1", accession_number="A-2", patient_id="P-1")
    assert links(ledger, "1.2.4") == [(moved, LinkedBy.ACCESSION_AND_PATIENT, None)]
    assert find_study(ledger, "1.2.3").reports[0].is_superseded


def test_one_report_id_on_two_patients_orders_is_refused(ledger: Ledger) -> None:
    submit(ledger, report_id="R-1", **ORDER)
    with pytest.raises(IdempotencyConflictError, match="another patient"):
        submit(ledger, report_id="R-1", accession_number="A-2", patient_id="P-2")


def test_one_report_id_on_two_issuers_orders_is_refused(ledger: Ledger) -> None:
    submit(ledger, report_id="R-1", patient_id_issuer="HOSP", **ORDER)
    other = ORDER | {"accession_number": "A-2"}
    with pytest.raises(IdempotencyConflictError, match="another patient"):
        submit(ledger, report_id="R-1", patient_id_issuer="CLINIC", **other)


def test_a_report_alone_and_a_study_alone_have_no_partner(ledger: Ledger) -> None:
    receive(ledger, a_header(accession_number=None))
    report = submit(ledger)
    complete(ledger)
    assert (links(ledger), studies_of(ledger, report)) == ([], [])
