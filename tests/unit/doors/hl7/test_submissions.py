"""From a message to its reports: each field where senders put it."""

import base64
from typing import Any

import pytest

from hl7_sender import UID, a_message, an_obx
from medqueue.doors.hl7.kinds import require_kind
from medqueue.doors.hl7.limits import Limits
from medqueue.doors.hl7.message import Message
from medqueue.doors.hl7.submissions import read_submissions
from medqueue.errors import NoTextError, NotHl7Error, RefusedInputError, TooLargeError
from schemas.report import ReportSubmission


def read_all(message: str) -> list[ReportSubmission]:
    parsed = Message(message.encode(), default_codec="utf-8", limits=Limits())
    require_kind(parsed.header)
    return [one.submission for one in read_submissions(parsed)]


def read(*lines: str, **parts: Any) -> ReportSubmission:
    (one,) = read_all(a_message(*lines, **parts))
    return one


@pytest.mark.parametrize(
    ("lines", "text"),
    [
        ((an_obx("One."), an_obx("Two.", number=2)), "One.\nTwo."),
        ((an_obx("Two.", number=2), an_obx("One.", number=1)), "One.\nTwo."),
        ((an_obx("One."), an_obx("Two.")), "One.\nTwo."),
        ((an_obx("One.~Two.", kind="FT"),), "One.\nTwo."),
        ((an_obx("One."), an_obx("", number=2), an_obx("Two.", number=3)), "One.\n\nTwo."),
        ((an_obx("T1 & T2 ^ 3"),), "T1 & T2 ^ 3"),
        ((an_obx("Words.", kind=""),), "Words."),
        ((an_obx("Words.", kind="ST"),), "Words."),
        ((an_obx("5", kind="NM"), an_obx("Words.", number=2)), "Words."),
        ((an_obx("R1^Pneumothorax^L", kind="CE"),), "Pneumothorax"),
        ((an_obx("R1^^L^^^^^^as written", kind="CWE"),), "as written"),
        ((an_obx("Old.", status="D"), an_obx("New.", number=2, status="C")), "New."),
        (("OBX|1|TX|||One.\rline two\rline three||||||F",), "One.\nline two\nline three"),
        ((an_obx("RIS^TEXT^^A^Words.", kind="ED"),), "Words."),
        (
            (
                an_obx(
                    f"RIS^text^plain^Base64^{base64.b64encode('未见'.encode()).decode()}", kind="ED"
                ),
            ),
            "未见",
        ),
        ((an_obx("RIS^AP^PDF^Base64^JVBERi0=", kind="ED"), an_obx("Words.", number=2)), "Words."),
    ],
)
def test_the_text_is_that_of_every_observation_with_words(
    lines: tuple[str, ...], text: str
) -> None:
    assert read(*lines).text == text


PDF = b"%PDF-1.4 made up"


@pytest.mark.parametrize(
    ("value", "content"),
    [
        (f"RIS^AP^PDF^Base64^{base64.b64encode(PDF).decode()}", PDF),
        (f"RIS^AP^PDF^Base64^{base64.b64encode(PDF).decode()[:8]} \\.br\\JSU=", None),
        (f"RIS^Application^PDF^Hex^{PDF.hex()}", PDF),
        ("RIS^AP^PDF^Base64^not base64!", b"not base64!"),
        ("RIS^TEXT^^Base64^not base64!", b"not base64!"),
        ("RIS^IM^JPEG^A^words", b"words"),
    ],
)
def test_a_document_beside_the_text_is_kept_as_it_came(value: str, content: bytes | None) -> None:
    lines = (an_obx("Words."), an_obx(value, kind="ED", number=2))
    parsed = Message(a_message(*lines).encode(), default_codec="utf-8", limits=Limits())
    (one,) = read_submissions(parsed)
    assert one.submission.text == "Words."
    if content is None:
        assert one.documents[0].media_type == "application/pdf"
    else:
        assert [document.content for document in one.documents] == [content]


def test_sections_that_only_their_codes_tell_get_their_headings() -> None:
    sections = ("11329-0^History^LN", "59776-5^^LN", "71020&IMP^X", "^检查所见", "^IMPRESSION")
    texts = ("Cough.", "Clear.", "Normal.", "未见气胸", "Impression: none")
    lines = [
        f"OBX|{number}|TX|{code}||{text}"
        for number, (code, text) in enumerate(zip(sections, texts, strict=True), start=1)
    ]
    assert read(*lines).text == (
        "HISTORY:\nCough.\nFINDINGS:\nClear.\nIMPRESSION:\nNormal.\n检查所见:\n未见气胸\n"
        "Impression: none"
    )


def test_one_section_alone_gets_no_heading() -> None:
    assert read("OBX|1|TX|59776-5^^LN||Clear.").text == "Clear."


@pytest.mark.parametrize(
    ("field", "patient"),
    [
        ("P-1", "PID|1||P-1"),
        ("P-1", "PID|1||X^^^A^SS~P-1^^^B^MR~Y^^^C^PI"),
        ("P-1", "PID|1||X^^^A^SS~P-1^^^B^PI"),
        ("P-1", "PID|1||X^^^A^SS~P-1"),
        ("X", "PID|1||X^^^A^SS"),
        ("P-1", "PID|1|P-1"),
        ("P-1", 'PID|1|P-1|""'),
        ("P&1", "PID|1||P\\T\\1"),
        ("P", "PID|1||P&1"),
        (None, "PID|1"),
        (None, "PV1|1"),
    ],
)
def test_the_patient_is_known_by_the_medical_record_number(field: str | None, patient: str) -> None:
    assert read(patient=patient).patient_id == field


@pytest.mark.parametrize(
    ("patient", "number", "issuer"),
    [
        ("PID|1||P-1^^^HOSP^MR", "P-1", "HOSP"),
        ("PID|1||P-1^^^HOSP&1.2.3&ISO^MR", "P-1", "HOSP"),
        ("PID|1||P-1^^^&1.2.3&ISO^MR", "P-1", None),
        ("PID|1||P-1", "P-1", None),
        ("PID|1||X^^^A^SS~P-1^^^B^MR", "P-1", "B"),
        ("PID|1|P-1^^^OLD", "P-1", "OLD"),
    ],
)
def test_the_issuer_is_that_of_the_number_that_is_taken(
    patient: str, number: str, issuer: str | None
) -> None:
    found = read(patient=patient)
    assert (found.patient_id, found.patient_id_issuer) == (number, issuer)


@pytest.mark.parametrize(
    ("order", "observations", "status"),
    [
        ("P", "F", "preliminary"),
        ("F", "F", "final"),
        ("C", "F", "corrected"),
        ("f", "", "final"),
        ("R", "", "preliminary"),
        ("", "F", "final"),
        ("", "FP", "preliminary"),
        ("", "FC", "corrected"),
        ("?", "?", None),
        ("", "", None),
    ],
)
def test_the_order_says_what_the_report_is_else_its_observations(
    order: str, observations: str, status: str | None
) -> None:
    lines = [an_obx("Words.", number=n, status=one) for n, one in enumerate(observations or " ")]
    assert read(*lines, order=f"OBR|1||FI-1{'|' * 22}{order}").status == status


@pytest.mark.parametrize(
    ("event", "completion", "status"),
    [
        ("T02", "AU", "final"),
        ("T02", "DI", "preliminary"),
        ("T02", "", None),
        ("T10", "AU", "corrected"),
    ],
)
def test_a_document_says_what_it_is_by_its_event_and_its_completion(
    event: str, completion: str, status: str | None
) -> None:
    document = f"TXA|1|DI|TX{'|' * 9}DOC-1{'|' * 5}{completion}"
    assert read(document, an_obx("Words."), kind=f"MDM^{event}").status == status


@pytest.mark.parametrize(
    ("order", "accession", "report"),
    [
        (f"OBR|1|PL|FI^RIS|X{'|' * 14}ACC", "ACC", "FI"),
        ("OBR|1|PL|FI", "FI", "FI"),
        ("ORC|RE|PL|FI\rOBR|1", "FI", "FI"),
        ("OBR|1|PL", None, "PL"),
        ("ORC|RE|PL\rOBR|1", None, "PL"),
        ("OBR|1", None, None),
        ("NTE|1", None, None),
    ],
)
def test_the_filler_names_the_report_and_ihe_the_accession_number(
    order: str, accession: str | None, report: str | None
) -> None:
    found = read(order=order)
    assert (found.accession_number, found.report_id) == (accession, report)


@pytest.mark.parametrize(
    ("line", "uid"),
    [
        (f"ZDS|{UID}^RIS^Application^DICOM", UID),
        (f"IPC|A|RP|{UID}", UID),
        (f"OBX|9|ST|113014^DICOM Study^DCM||{UID}", UID),
        (f"ZDS|{UID}\rZDS|1.2.3", None),
        ("ZDS|not a uid", None),
    ],
)
def test_the_study_is_named_where_ihe_puts_it(line: str, uid: str | None) -> None:
    assert read(an_obx("Clear."), line).study_instance_uid == uid


@pytest.mark.parametrize(
    ("order", "urgent"),
    [
        ("TQ1|1||||||||S^STAT\rOBR|1", True),
        ("TQ1|1||||||||R\rOBR|1", False),
        ("OBR|1||||S", True),
        (f"OBR|1{'|' * 26}^^^^^S", True),
        ("ORC|RE||||||^^^^^A\rOBR|1", True),
        ("OBR|1||||R", False),
    ],
)
def test_urgency_is_read_from_every_version_of_the_standard(order: str, urgent: bool) -> None:
    assert read(order=order).urgent is urgent


def test_orders_without_a_text_of_their_own_are_no_reports() -> None:
    found = read_all(a_message("OBR|2||FI-2", an_obx("Clear.")))
    assert [one.report_id for one in found] == ["FI-2"]


def test_orders_under_one_number_are_one_report() -> None:
    found = read(an_obx("One."), "OBR|2||FI-1", an_obx("Two."))
    assert found.text == "One.\nTwo."


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_segments_may_end_as_senders_end_them(line_end: str) -> None:
    (found,) = read_all(a_message().replace("\r", line_end))
    assert found.text == "No pneumothorax."


def test_other_delimiters_and_a_byte_order_mark_are_understood() -> None:
    message = a_message(an_obx("5 * 3")).replace("|", "#").replace("^", "*").replace("&", "$")
    (found,) = read_all("\ufeff" + message)
    assert (found.text, found.patient_id) == ("5 * 3", "P-1")


@pytest.mark.parametrize(
    ("message", "error"),
    [
        ("", NotHl7Error),
        ("MSH", NotHl7Error),
        ("MSH|", NotHl7Error),
        ("MSH|^~\\&", RefusedInputError),
        ("MSH||||", RefusedInputError),
        ("MSH|^^^^|\rOBX|1", NotHl7Error),
        ("MSHA|^~\\&|x", NotHl7Error),
        ("FHS|^~\\&\r" + a_message(), NotHl7Error),
        (a_message() * 2, NotHl7Error),
        (a_message(control_id=""), NotHl7Error),
        (a_message(an_obx("x", status="X")), NoTextError),
        (a_message(order=f"OBR|1||FI{'|' * 22}X"), NoTextError),
        (a_message(an_obx("RIS^AP^PDF^Base64^JVBERi0=", kind="ED")), NoTextError),
        (a_message("PV1|" + "^" * 60_000), TooLargeError),
        (a_message(an_obx("x" * 200_001)), RefusedInputError),
    ],
    ids=map(str, range(15)),
)
def test_what_cannot_be_a_report_is_refused(message: str, error: type[RefusedInputError]) -> None:
    with pytest.raises(error):
        read_all(message)


def test_a_key_tells_nothing_of_the_control_id() -> None:
    parsed = Message(a_message(control_id="P-1").encode(), default_codec="utf-8", limits=Limits())
    (one,) = read_submissions(parsed)
    assert one.key.startswith("hl7:")
    assert "P-1" not in one.key
