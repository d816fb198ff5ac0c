"""A result as HL7 v2: another library reads what it says."""

import hl7
import pytest

from finished_result import a_result
from schemas.result import Result, ResultStatus
from workers.delivery.oru import observation_message


def parsed(result: Result) -> hl7.Message:
    return hl7.parse(observation_message(result, sending_facility="MEDQUEUE"))


def test_the_findings_are_observations_of_the_patient_and_the_order() -> None:
    message = parsed(a_result())

    assert str(message.segment("MSH")[9]) == "ORU^R01^ORU_R01"
    assert message.unescape(str(message.segment("PID")[3])) == "P|1"
    assert message.unescape(str(message.segment("OBR")[18])) == "A^1"
    observed = [(str(one[2]), str(one[3]), str(one[5])) for one in message.segments("OBX")]
    assert observed == [
        ("ST", "113014^DICOM Study^DCM", "1.2.3"),
        ("CWE", "233604007^Pneumonia^SCT", "52101004^Present^SCT"),
        ("NM", "233604007^Pneumonia^SCT", "0.8314"),
        (
            "CWE",
            "Nodule \\T\\ mass^Nodule \\T\\ mass^99MEDQUEUE",
            "82334004^Indeterminate^SCT",
        ),
    ]


def test_it_says_which_model_and_that_it_is_not_for_clinical_use() -> None:
    note = str(parsed(a_result()).segment("NTE")[3])
    assert "NOT FOR CLINICAL USE" in note
    assert "chest 1.2.3" in note


@pytest.mark.parametrize(
    ("status", "expected"), [(ResultStatus.FINAL, "R"), (ResultStatus.AMENDED, "C")]
)
def test_no_person_has_verified_it(status: ResultStatus, expected: str) -> None:
    message = parsed(a_result(status=status))
    assert str(message.segment("OBR")[25]) == expected
    assert {str(one[11]) for one in message.segments("OBX")} == {expected}


def test_a_repeat_is_the_same_message() -> None:
    once, again = (observation_message(a_result(), sending_facility="MEDQUEUE") for _ in range(2))
    assert once == again
