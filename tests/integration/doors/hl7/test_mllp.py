"""The HL7 door on the wire: framing, pieces, limits; it stays alive and loses nothing after AA."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from sqlalchemy.exc import OperationalError

from hl7_sender import CR, FS, VT, OpenADoor, OpenDoor, Sender, a_message, an_obx, framed
from medqueue.doors.admission import Admission
from medqueue.doors.hl7.listener import Hl7Door
from medqueue.errors import ConfigurationError
from medqueue.ledger import report_intake
from medqueue.ledger.engine import Ledger
from medqueue.settings import Settings
from medqueue.storage.instances import InstanceStore

pytestmark = pytest.mark.integration

MIB = 1024 * 1024


def test_a_report_is_acknowledged_and_in_the_ledger(a_door: OpenDoor) -> None:
    with Sender(a_door.port) as sender:
        answer = sender.ask(a_message())
    assert (answer.code, answer.control_id) == ("AA", "M-1")
    assert answer.segments["MSH"][2:6] == ["MEDQUEUE", "AI", "RIS", "HOSPITAL"]
    assert answer.segments["MSH"][8] == "ACK^R01^ACK"
    row = a_door.report()
    assert (row.text, row.report_id, row.accession_number) == ("No pneumothorax.", "FI-1", "A-1")
    assert (row.patient_id, row.source, row.language) == ("P-1", "hl7", "en")


def test_aa_comes_after_the_commit_on_either_database(open_door: OpenADoor, ledger: Ledger) -> None:
    door = open_door(ledger=ledger)
    with Sender(door.port) as sender:
        for number in range(5):
            order = f"OBR|1||FI-{number}"
            assert sender.ask(a_message(control_id=f"M-{number}", order=order)).code == "AA"
            assert len(door.reports()) == number + 1


def test_a_message_may_come_byte_by_byte(a_door: OpenDoor) -> None:
    with Sender(a_door.port) as sender:
        for byte in framed(a_message(an_obx("未见气胸。"))):
            sender.send(bytes((byte,)))
        assert sender.answer().code == "AA"
    assert a_door.report().text == "未见气胸。"


def test_many_messages_may_come_in_one_piece(a_door: OpenDoor) -> None:
    blocks = [framed(a_message(control_id=f"M-{n}", order=f"OBR|1||FI-{n}")) for n in range(20)]
    with Sender(a_door.port) as sender:
        sender.send(b"".join(blocks))
        answers = [sender.answer() for _ in blocks]
    assert [answer.control_id for answer in answers] == [f"M-{n}" for n in range(20)]
    assert {answer.code for answer in answers} == {"AA"}
    assert len(a_door.reports()) == 20


@pytest.mark.parametrize(
    "stream",
    [
        b"noise" + framed(a_message()),
        CR + b"\n\x00" + framed(a_message()),
        FS + CR + framed(a_message()),
        VT + a_message().encode() + FS,  # no carriage return, ever
        VT + a_message().encode() + FS + b"\n",
        VT + b"MSH|^~\\&|broken off" + framed(a_message()),
        VT + VT + a_message().encode() + FS + CR,
        VT + b"\r\n" + a_message().encode() + FS + CR,
    ],
    ids=["noise", "line ends", "stray end", "no CR", "LF", "half", "two VT", "blank line"],
)
def test_wrong_framing_is_survived(a_door: OpenDoor, stream: bytes) -> None:
    with Sender(a_door.port) as sender:
        sender.send(stream)
        assert sender.answer().code in {"AA", "AR"}
        sender.send(b"" if a_door.reports() else framed(a_message()))
    wait_until(lambda: [row.text for row in a_door.reports()] == ["No pneumothorax."])


def test_the_control_characters_of_word_processors_stay_inside_the_message(
    a_door: OpenDoor,
) -> None:
    text = "Findings:\x0bno effusion \x1c here"
    with Sender(a_door.port) as sender:
        assert sender.ask(a_message(an_obx(text))).code == "AA"
    assert a_door.report().text == "Findings:\nno effusion  here"


def test_the_last_message_before_a_half_close_is_answered(a_door: OpenDoor) -> None:
    with Sender(a_door.port) as sender:
        sender.send(framed(a_message())[:-1])
        sender.socket.shutdown(1)
        assert sender.answer().code == "AA"


def test_half_messages_leave_nothing_behind(a_door: OpenDoor) -> None:
    half = framed(a_message())[:-20]
    for _ in range(30):
        with Sender(a_door.port) as sender:
            sender.send(half)
    wait_until(lambda: a_door.door.connections == [])
    assert a_door.reports() == []
    assert_alive(a_door)


def test_a_message_of_50_mb_is_refused_and_the_connection_goes_on(a_door: OpenDoor) -> None:
    head = a_message(an_obx("x"))[:-20].encode()
    before = psutil.Process().memory_info().rss
    peak = before
    with Sender(a_door.port) as sender:
        sender.send(VT + head)
        for _ in range(50):
            sender.send(b"x" * MIB)
            peak = max(peak, psutil.Process().memory_info().rss)
        sender.send(FS + CR)
        answer = sender.answer()
        assert (answer.code, answer.control_id) == ("AR", "M-1")
        assert answer.error_code == "too-large"
        assert sender.ask(a_message(control_id="M-2")).code == "AA"
    assert peak - before < 30 * MIB


def test_an_endless_message_ends_with_the_connection(open_door: OpenADoor) -> None:
    door = open_door(message_length=1024, thrown_away=4096, garbage=512)
    with Sender(door.port) as sender:
        sender.send(VT + b"MSH|^~\\&|" + b"x" * 20_000)
        assert sender.is_closed_by_the_door()
    assert_alive(door)


def test_somebody_who_speaks_something_else_is_shown_out(open_door: OpenADoor) -> None:
    door = open_door(garbage=1024)
    with Sender(door.port) as sender:
        sender.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 100)
        assert sender.is_closed_by_the_door()
    assert_alive(door)


def test_a_sender_that_dawdles_is_cut(open_door: OpenADoor) -> None:
    door = open_door(message_seconds=0.3)
    with Sender(door.port) as sender:
        sender.send(framed(a_message())[:50])
        assert sender.is_closed_by_the_door()
    assert_alive(door)


def test_a_new_sender_takes_the_place_of_the_one_idle_longest(open_door: OpenADoor) -> None:
    door = open_door(connections=2)
    with Sender(door.port) as oldest, Sender(door.port) as busy:
        assert oldest.ask(a_message()).code == "AA"
        busy.send(framed(a_message())[:10])
        wait_until(lambda: is_receiving(door))
        with Sender(door.port) as newest:
            assert newest.ask(a_message()).code == "AA"
            assert oldest.is_closed_by_the_door()
            busy.send(framed(a_message())[10:])
            assert busy.answer().code == "AA"


def test_when_the_disk_is_full_the_sender_shall_try_again(open_door: OpenADoor) -> None:
    door = open_door(min_free_mib=1 << 30)
    with Sender(door.port) as sender:
        answer = sender.ask(a_message())
    assert (answer.code, answer.error_code) == ("AE", "out-of-resources")
    assert "207" in answer.segments["ERR"][3]


def test_when_the_ledger_is_away_the_sender_shall_try_again(
    a_door: OpenDoor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_args: object, **_options: object) -> None:
        raise OperationalError("select", {}, Exception("down"))

    with Sender(a_door.port) as sender:
        with monkeypatch.context() as patch:
            patch.setattr(report_intake, "record_reports", fail)
            assert sender.ask(a_message()).code == "AE"
        assert sender.ask(a_message()).code == "AA"


def test_a_fault_of_ours_stays_with_its_message(
    a_door: OpenDoor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_args: object, **_options: object) -> None:
        raise ZeroDivisionError("Zacharias")

    with Sender(a_door.port) as sender:
        with monkeypatch.context() as patch:
            patch.setattr(report_intake, "record_reports", fail)
            answer = sender.ask(a_message())
        assert (answer.code, answer.error_code) == ("AE", "internal")
        assert "Zacharias" not in answer.content
        assert sender.ask(a_message()).code == "AA"


def test_a_stop_lets_the_message_in_transfer_end(a_door: OpenDoor) -> None:
    block = framed(a_message())
    with Sender(a_door.port) as idle, Sender(a_door.port) as busy:
        busy.send(block[:40])
        wait_until(lambda: is_receiving(a_door))
        time.sleep(0.05)  # for the bytes to be read; a later arrival would count as not begun
        stopping = threading.Thread(target=a_door.door.stop, args=(10.0,))
        stopping.start()
        assert idle.is_closed_by_the_door()
        busy.send(block[40:])
        assert busy.answer().code == "AA"
        stopping.join(10)
        assert not stopping.is_alive()


def test_an_acknowledgement_is_never_acknowledged(a_door: OpenDoor) -> None:
    with Sender(a_door.port) as sender:
        sender.send(framed(a_message(kind="ACK", control_id="M-0")))
        assert sender.ask(a_message()).control_id == "M-1"


@pytest.mark.parametrize(
    ("senders", "bind", "words"),
    [
        (None, "0.0.0.0", "MEDQUEUE_HL7_SENDERS"),  # noqa: S104 - that is what it refuses
        ("10.0.0.300", "127.0.0.1", "MEDQUEUE_HL7_SENDERS"),
    ],
)
def test_beyond_loopback_the_door_wants_an_allow_list(
    sqlite_ledger: Ledger, tmp_path: Path, senders: str | None, bind: str, words: str
) -> None:
    admission = Admission(
        sqlite_ledger, InstanceStore(tmp_path / "i", min_free_mib=0), max_attempts=3
    )
    settings = Settings(data_dir=tmp_path, bind=bind, hl7_senders=senders)
    with pytest.raises(ConfigurationError, match=words):
        Hl7Door(settings, admission, port=0)


def test_a_stranger_gets_no_answer(sqlite_ledger: Ledger, tmp_path: Path) -> None:
    admission = Admission(
        sqlite_ledger, InstanceStore(tmp_path / "i", min_free_mib=0), max_attempts=3
    )
    door = Hl7Door(Settings(data_dir=tmp_path, hl7_senders="10.0.0.0/8"), admission, port=0)
    door.start()
    try:
        with Sender(door.port) as sender:
            assert sender.is_closed_by_the_door()
    finally:
        door.stop(2.0)


def assert_alive(door: OpenDoor) -> None:
    with Sender(door.port) as sender:
        assert sender.ask(a_message(control_id="alive")).code == "AA"


def is_receiving(door: OpenDoor) -> bool:
    """Whether a message is on its way; a waiting connection would count as idle."""
    return any(one._deframer.inside for one in door.door.connections)


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, "did not happen within 10 s"
        time.sleep(0.01)
