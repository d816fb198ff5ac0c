"""Messages as hospitals send them: character sets, kinds, corrections; no patient in answers."""

import base64
import logging

import pytest
from sqlalchemy import select

from builders import a_due_report, claim, finish, receive, result_rows, work_rows
from hl7_sender import UID, OpenADoor, OpenDoor, Sender, a_message, an_obx
from medqueue.ledger.engine import Ledger
from medqueue.ledger.linking import LinkedBy
from medqueue.ledger.tables import audit_events
from medqueue.results.documents import read_document
from medqueue.results.feed import read_feed
from medqueue.results.reports import find_report
from medqueue.results.studies import find_study
from schemas.result import ResultStatus
from schemas.work import Priority

pytestmark = pytest.mark.integration

CHINESE = "双肺纹理增多，未见气胸。"  # noqa: RUF001 - Chinese punctuation is meant
SECRET = "Zacharias"


@pytest.mark.parametrize(
    ("name", "encoding", "text"),
    [
        ("UNICODE UTF-8", "utf-8", CHINESE),
        ("", "utf-8", CHINESE),
        ("ASCII", "ascii", "Clear."),
        ("GB 18030-2000", "gb18030", CHINESE + "𠮷"),
        ("GBK", "gbk", CHINESE),
        ("GB2312", "gb2312", "未见气胸。"),
        ("BIG-5", "big5", "未見氣胸"),
        ("8859/1", "cp1252", "Pas d'épanchement \u2013 « rien »"),
        ("8859/15", "iso8859-15", "Œdème 5 €"),
        ("8859/5", "iso8859-5", "Пневмоторакса нет"),
        ("ISO IR87", "iso2022_jp", "気胸なし"),
        ("~GB 18030-2000", "gb18030", CHINESE),
    ],
)
def test_each_character_set_comes_out_as_it_went_in(
    a_door: OpenDoor, name: str, encoding: str, text: str
) -> None:
    with Sender(a_door.port) as sender:
        assert sender.ask(a_message(an_obx(text), charset=name), encoding).code == "AA"
    assert a_door.report().text == text


@pytest.mark.parametrize(
    ("name", "encoding"),
    [("UNICODE UTF-8", "gb18030"), ("", "gb18030"), ("ASCII", "latin-1"), ("KLINGON", "utf-8")],
)
def test_what_is_not_in_its_character_set_is_refused_never_guessed(
    a_door: OpenDoor, name: str, encoding: str
) -> None:
    with Sender(a_door.port) as sender:
        text = CHINESE if encoding != "latin-1" else "épanchement"
        answer = sender.ask(a_message(an_obx(text), charset=name), encoding)
    assert (answer.code, answer.error_code) == ("AR", "character-set")
    assert "MSH-18" in answer.reason
    assert a_door.reports() == []


def test_utf_16_is_refused_with_the_reason(a_door: OpenDoor) -> None:
    with Sender(a_door.port) as sender:
        answer = sender.ask(a_message(charset="UNICODE UTF-16"))
    assert (answer.code, answer.error_code) == ("AR", "character-set")
    assert "UTF-16" in answer.reason


def test_a_hospital_may_name_the_character_set_of_senders_that_name_none(
    open_door: OpenADoor,
) -> None:
    door = open_door(settings={"hl7_charset": "GBK"})
    with Sender(door.port) as sender:
        assert sender.ask(a_message(an_obx(CHINESE), charset=""), "gbk").code == "AA"
    assert door.report().text == CHINESE


def test_the_same_message_again_is_acknowledged_and_does_nothing(a_door: OpenDoor) -> None:
    with Sender(a_door.port) as sender:
        assert [sender.ask(a_message()).code for _ in range(3)] == ["AA"] * 3
    with Sender(a_door.port) as sender:
        assert sender.ask(a_message()).code == "AA"
    assert a_door.report().version == 1


def test_the_same_control_id_with_other_content_is_refused(a_door: OpenDoor) -> None:
    with Sender(a_door.port) as sender:
        sender.ask(a_message(an_obx("Clear.")))
        answer = sender.ask(a_message(an_obx(f"{SECRET}.")))
    assert (answer.code, answer.error_code) == ("AR", "idempotency-conflict")
    assert answer.segments["ERR"][3].startswith("205^")
    assert a_door.report().text == "Clear."


def test_the_same_control_id_from_another_sender_is_another_message(a_door: OpenDoor) -> None:
    with Sender(a_door.port) as sender:
        sender.ask(a_message())
        other = a_message(an_obx("Clear."), order="OBR|1||FI-2").replace("|RIS|", "|OTHER|", 1)
        assert sender.ask(other).code == "AA"
    assert len(a_door.reports()) == 2


def test_a_correction_is_the_next_version_and_its_result_is_amended(
    open_door: OpenADoor, ledger: Ledger
) -> None:
    a_due_report(ledger)  # so that a model is released
    door = open_door(ledger=ledger)
    with Sender(door.port) as sender:
        for number, (status, text) in enumerate((("P", "Clear."), ("F", "Clear!"), ("C", "No."))):
            order = f"OBR|1||FI-1{'|' * 22}{status}"
            message = a_message(an_obx(text, status=status), control_id=f"M-{number}", order=order)
            assert sender.ask(message).code == "AA"
    versions = [row for row in door.reports() if row.report_id == "FI-1"]
    assert [(row.version, row.text, row.status) for row in versions] == [
        (1, "Clear.", "preliminary"),
        (2, "Clear!", "final"),
        (3, "No.", "corrected"),
    ]
    shown = find_report(ledger, "FI-1")
    assert (shown.status, [each.status for each in shown.versions]) == (
        "corrected",
        ["preliminary", "final", "corrected"],
    )
    (work,) = work_rows(ledger, subject_id=versions[-1].id)
    finish(ledger, claim(ledger, work.id, at=100_000_000), at=100_000_001)
    (result,) = result_rows(ledger, subject_id=versions[-1].id)
    assert (result.status, result.report_id) == (ResultStatus.AMENDED, "FI-1")
    (fed,), _ = read_feed(ledger, after=None, limit=10)
    assert fed.report_status == "corrected"


def test_the_same_report_under_a_new_control_id_is_no_correction(a_door: OpenDoor) -> None:
    with Sender(a_door.port) as sender:
        for number in range(2):
            assert sender.ask(a_message(control_id=f"M-{number}")).code == "AA"
    assert a_door.report().version == 1


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("ORR^O02", "ORU R01"),
        ("ADT^A01", "ORU R01"),
        ("MDM^T11", "ORU R01"),
        ("ORU^R30", "ORU R01"),
        ("", "ORU R01"),
    ],
)
def test_a_message_of_another_kind_is_refused_with_the_reason(
    a_door: OpenDoor, kind: str, words: str
) -> None:
    with Sender(a_door.port) as sender:
        answer = sender.ask(a_message(kind=kind))
    assert (answer.code, answer.error_code) == ("AR", "unsupported-message")
    assert words in answer.reason
    assert a_door.reports() == []


@pytest.mark.parametrize(
    "version", ["2.1", "2.2", "2.3", "2.3.1", "2.4", "2.5.1", "2.7", "2.8", ""]
)
def test_every_version_of_hl7_2_is_answered_in_its_own(a_door: OpenDoor, version: str) -> None:
    kind = "ORU" if version in {"2.1", "2.2"} else "ORU^R01"
    with Sender(a_door.port) as sender:
        accepted = sender.ask(a_message(kind=kind, version=version))
        refused = sender.ask(a_message("OBX|1|TX", kind=kind, version=version, control_id="M-2"))
    assert accepted.code == "AA"
    assert accepted.segments["MSH"][11] == (version or "2.5")
    condition = refused.segments["ERR"]
    old = version.startswith(("2.1", "2.2", "2.3", "2.4"))
    assert (condition[1] if old else condition[3]).strip("^").startswith("101")


def test_an_urgent_order_hastens_its_study_and_its_report(a_door: OpenDoor) -> None:
    order = f"ORC|NW\rTQ1|1||||||||S\rOBR|1|PL-1|FI-1{'|' * 15}A-1"
    with Sender(a_door.port) as sender:
        for _ in range(2):
            message = a_message(f"ZDS|{UID}", order=order, kind="ORM^O01", control_id="O-1")
            answer = sender.ask(message)
            assert (answer.code, answer.segments["MSH"][8]) == ("AA", "ACK^O01^ACK")
        assert sender.ask(a_message()).code == "AA"
    receive(a_door.ledger)
    row = a_door.report()
    assert (row.study_instance_uid, row.priority) == (UID, Priority.URGENT)
    assert find_study(a_door.ledger, "1.2.3").urgent


def test_a_document_of_mdm_is_a_report(a_door: OpenDoor) -> None:
    document = "TXA|1|RAD|TX|||||||||DOC-7^^|||A-9"
    with Sender(a_door.port) as sender:
        message = a_message(an_obx("Clear."), kind="MDM^T02", order=document)
        assert sender.ask(message).code == "AA"
    row = a_door.report()
    assert (row.report_id, row.accession_number) == ("DOC-7", "A-9")


def test_the_study_and_the_urgency_are_kept(a_door: OpenDoor) -> None:
    with Sender(a_door.port) as sender:
        lines = ("TQ1|1||||||||S^STAT", an_obx("Clear."), f"ZDS|{UID}^RIS^Application^DICOM")
        assert sender.ask(a_message(*lines)).code == "AA"
    row = a_door.report()
    assert (row.study_instance_uid, row.priority) == (UID, 1)


BROKEN = [
    f"MSH|^~\\&|RIS|||||ORU^R01||P|2.5\rPID|1||{SECRET}\rOBX|1|TX|||{SECRET}\r",
    f"PID|1||{SECRET}\r",
    f"MSH|{SECRET}",
    f"MSH|^~\\&\r{SECRET}",
    a_message(an_obx(f"{SECRET} \N{SNOWMAN}"), kind=f"ORU^{SECRET}"),
    a_message(an_obx(SECRET, status="W"), patient=f"PID|1||{SECRET}||{SECRET}"),
    a_message(an_obx("Clear."), patient=f"PID|1||{SECRET * 20}"),
    a_message(an_obx("Clear."), patient=f"PID|1||{SECRET}", version="3.0"),
    a_message(an_obx(f"RIS^AP^PDF^Base64^{SECRET}", kind="ED")),
    a_message(an_obx(SECRET * 30_000)),
    a_message(an_obx(SECRET + "|" * 60_000)),
    a_message() + a_message(an_obx(SECRET)),
]


@pytest.mark.parametrize("message", BROKEN, ids=map(str, range(len(BROKEN))))
def test_nothing_of_a_patient_is_in_a_refusal_or_a_log(
    a_door: OpenDoor,
    message: str,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    with Sender(a_door.port) as sender:
        answer = sender.ask(message)
        assert sender.ask(a_message(control_id="alive", order="OBR|1||alive")).code == "AA"
    assert answer.code == "AR"
    assert answer.reason
    captured = capfd.readouterr()
    with a_door.ledger.read() as connection:
        audited = str(connection.execute(select(audit_events)).all())
    for place in (answer.content, captured.out, captured.err, caplog.text, audited):
        assert SECRET not in place


def test_a_pdf_beside_the_text_is_kept_once_with_its_version(
    open_door: OpenADoor, ledger: Ledger
) -> None:
    door = open_door(ledger=ledger)
    pdf = b"%PDF-1.4 " + bytes(range(256)) * 4000  # larger than one read

    def message(control_id: str, content: bytes) -> str:
        value = f"RIS^AP^PDF^Base64^{base64.b64encode(content).decode()}"
        beside = an_obx(value, kind="ED", number=2)
        return a_message(an_obx("Clear."), beside, control_id=control_id)

    with Sender(door.port) as sender:
        for control_id, content in (("M-1", pdf), ("M-2", pdf), ("M-3", pdf + b".")):
            assert sender.ask(message(control_id, content)).code == "AA"
    first, second = door.reports()
    assert read_document(ledger, first.id, 1)[1] == pdf
    assert read_document(ledger, second.id, 1)[1] == pdf + b"."
    (known,) = find_report(ledger, "FI-1").documents
    assert (known.number, known.media_type, known.size) == (1, "application/pdf", len(pdf) + 1)


def test_a_report_of_two_patients_is_two_reports(a_door: OpenDoor) -> None:
    second = ("PID|2||P-2", "OBR|1||FI-2", an_obx("Second."))
    with Sender(a_door.port) as sender:
        assert sender.ask(a_message(an_obx("First."), *second)).code == "AA"
        assert sender.ask(a_message(an_obx("First."), *second)).code == "AA"
    assert [(row.patient_id, row.report_id, row.text) for row in a_door.reports()] == [
        ("P-1", "FI-1", "First."),
        ("P-2", "FI-2", "Second."),
    ]


@pytest.mark.parametrize("report_first", [True, False])
def test_a_chinese_report_and_its_film_meet_in_any_order(
    a_door: OpenDoor, report_first: bool
) -> None:
    message = a_message(an_obx(CHINESE), charset="GB 18030-2000")
    if not report_first:
        receive(a_door.ledger)
    with Sender(a_door.port) as sender:
        assert sender.ask(message, "gb18030").code == "AA"
    if report_first:
        receive(a_door.ledger)
    (linked,) = find_study(a_door.ledger, "1.2.3").reports
    assert (linked.report_id, linked.linked_by) == ("FI-1", LinkedBy.ACCESSION_AND_PATIENT)
    assert find_report(a_door.ledger, "FI-1").study_instance_uid == "1.2.3"
