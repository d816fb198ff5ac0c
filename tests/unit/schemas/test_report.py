"""A submitted report: what is accepted, and what could hurt later is not."""

from typing import Any

import pytest
from pydantic import ValidationError

from schemas.report import MAX_TEXT_CHARACTERS, ReportSubmission, guess_language


def test_a_text_alone_is_a_report() -> None:
    submission = ReportSubmission(text="Lungs clear.")
    assert submission.model_dump() == {
        "text": "Lungs clear.",
        "language": None,
        "accession_number": None,
        "study_instance_uid": None,
        "patient_id": None,
        "patient_id_issuer": None,
        "report_id": None,
        "status": None,
        "urgent": False,
    }


def test_a_text_is_not_trimmed_because_spans_count_its_characters() -> None:
    assert ReportSubmission(text="  a\r\n").text == "  a\r\n"


def test_identifiers_are_trimmed_of_the_blanks_that_hl7_pads_with() -> None:
    assert ReportSubmission(text="a", report_id=" R-1  ").report_id == "R-1"


def test_the_longest_text_passes() -> None:
    ReportSubmission(text="a" * MAX_TEXT_CHARACTERS)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"text": ""},
        {"text": " \n\t "},
        {"text": "a\x00b"},
        {"text": "lone \ud800 surrogate"},
        {"text": "a" * (MAX_TEXT_CHARACTERS + 1)},
        {"text": 7},
        {"text": "a", "language": "english"},
        {"text": "a", "study_instance_uid": "1..2"},
        {"text": "a", "report_id": ""},
        {"text": "a", "report_id": "   "},
        {"text": "a", "patient_id": "p" * 129},
        {"text": "a", "patient_id": "P\x00"},
        {"text": "a", "accession_number": "A\n1"},
        {"text": "a", "patient_name": "DOE"},
    ],
    ids=repr,
)
def test_what_is_no_report_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ReportSubmission(**fields)


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Lungs clear.", "en"),
        ("双肺纹理清晰。", "zh"),
        ("CT示右肺上叶结节 大小约 12 mm。", "zh"),
        ("Seen by Dr. 李.", "en"),
        ("12 / 7", "en"),
        ("", "en"),
    ],
)
def test_chinese_is_told_from_english_by_its_script(text: str, language: str) -> None:
    assert guess_language(text) == language
