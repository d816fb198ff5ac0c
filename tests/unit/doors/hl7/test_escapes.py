"""Escape sequences: what is meant comes out, and what is none stays."""

import pytest

from medqueue.doors.hl7.escapes import Escapes

ESCAPES = Escapes(field="|", component="^", repetition="~", escape="\\", subcomponent="&")


@pytest.mark.parametrize(
    ("sent", "meant"),
    [
        (r"a\F\b\S\c\T\d\R\e\E\f\P\g", "a|b^c&d~e\\f#g"),
        (r"one\.br\two\.BR\three", "one\ntwo\nthree"),
        (r"one\.sp2\two", "one\n\ntwo"),
        (r"one\.sk3\two", "one   two"),
        (r"\.ce\title\.in+4\\.ti-2\text\.fi\\.nf\ ", "\ntitletext "),
        (r"\H\bold\N\ text", "bold text"),
        (r"\X0D0A\x", "\nx"),
        (r"\XE69CAA\\XE8A781\x", "未见x"),
        (r"\XE6\\X9C\\XAA\x", "未x"),
        (r"\XFF\x", r"\XFF\x"),
        (r"\XF\x", r"\XF\x"),
        (r"\Zab1\local", "local"),
        (r"C:\temp 5 mm", r"C:\temp 5 mm"),
        (r"ends with \ ", r"ends with \ "),
        (r"5\6 and \\ two", r"5\6 and \\ two"),
        (r"\inx\y \.spx\ \C2842\ \M248242\ ", r"\inx\y \.spx\ \C2842\ \M248242\ "),
        (r"\.sp9999\x", "\n" * 100 + "x"),
        ("tab\there\x00\x07 gone\x85next", "tab\there gone\nnext"),
        ("", ""),
    ],
)
def test_a_sequence_becomes_what_it_means(sent: str, meant: str) -> None:
    assert ESCAPES.resolve(sent, "utf-8") == meant


def test_hexadecimal_bytes_are_in_the_character_set_of_the_message() -> None:
    assert ESCAPES.resolve(r"\XCEB4BCFB\ ".strip(), "gb18030") == "未见"


def test_a_sender_may_choose_its_own_characters() -> None:
    other = Escapes(field="#", component="*", repetition="!", escape="%", subcomponent="$")
    assert other.resolve(r"%F%%S%%R%%T%%E% \F\ ", "utf-8") == "#*!$% \\F\\ "


def test_a_sender_without_an_escape_character_has_no_sequences() -> None:
    none = Escapes(field="|", component="^", repetition="~", escape="", subcomponent="&")
    assert none.resolve(r"a\T\b", "utf-8") == r"a\T\b"
