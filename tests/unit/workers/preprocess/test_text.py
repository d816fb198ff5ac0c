"""Texts are cut where a reader would cut them, and no character is changed."""

# Chinese punctuation is meant:
# ruff: noqa: RUF001

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.document import SectionKind
from workers.preprocess.text import detect_language, normalise, split


def cut(text: str) -> list[tuple[str, list[str]]]:
    document = split(text)
    return [
        (section.kind.value, [document.slice(sentence) for sentence in section.sentences])
        for section in document.sections
    ]


def test_english_headings_part_the_sections() -> None:
    assert cut("INDICATION: Cough. FINDINGS: Clear lungs.\nImpression:\n1. Normal.") == [
        ("history", ["Cough."]),
        ("findings", ["Clear lungs."]),
        ("impression", ["1. Normal."]),
    ]


def test_chinese_headings_part_the_sections() -> None:
    assert cut("临床诊断：咳嗽\n检查所见：心影不大。未见气胸。【诊断意见】肺炎") == [
        ("history", ["咳嗽"]),
        ("findings", ["心影不大。", "未见气胸。"]),
        ("impression", ["肺炎"]),
    ]


def test_a_text_without_headings_is_one_body() -> None:
    assert cut("History of asthma. No effusion") == [
        ("body", ["History of asthma.", "No effusion"])
    ]


def test_an_unknown_heading_in_capitals_ends_the_history() -> None:
    sections = cut("HISTORY: Pneumonia.\nPORTABLE CHEST, 3 VIEWS: No effusion.")

    assert sections == [("history", ["Pneumonia."]), ("body", ["No effusion."])]


def test_a_blank_line_ends_a_history_that_no_heading_ends() -> None:
    sections = cut("INDICATION: Pneumonia.\r\n\r\nThe lungs are clear.")

    assert sections == [("history", ["Pneumonia."]), ("body", ["The lungs are clear."])]


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("No pleural\r\neffusion.\r\nClear.", ["No pleural\r\neffusion.", "Clear."]),
        ("NO EDEMA OR\nEFFUSION.\nCLEAR.", ["NO EDEMA OR\nEFFUSION.", "CLEAR."]),
        ("A 3.5 cm mass.No edema.", ["A 3.5 cm mass.", "No edema."]),
        ("Seen by Dr. Who vs. none.", ["Seen by Dr. Who vs. none."]),
        ("1. Edema 2. No mass", ["1. Edema", "2. No mass"]),
        ("未见气胸\n心影增大！", ["未见气胸", "心影增大！"]),
    ],
)
def test_sentences_end_where_they_end(text: str, sentences: list[str]) -> None:
    assert cut(text) == [("body", sentences)]


@given(st.text(alphabet="No. x_X\r\n:：。HISTORY气1)", max_size=200))
def test_spans_are_in_order_and_inside_their_section(text: str) -> None:
    document = split(text)

    last = 0
    for section in document.sections:
        for sentence in section.sentences:
            assert last <= sentence.start < sentence.end <= section.end <= len(text)
            assert document.slice(sentence) == document.slice(sentence).strip()
            last = sentence.end


def test_no_word_of_a_text_without_headings_is_lost() -> None:
    text = "Heart normal.\nNo effusion;\tclear  lungs 未见气胸。Done"

    kept = "".join("".join(sentences) for _, sentences in cut(text))
    assert "".join(kept.split()) == "".join(text.split())


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("The lungs are clear.", "en"),
        ("双肺CT平扫未见明显异常。", "zh"),
        ("Dr. 王 reports clear lungs without effusion.", "en"),
        ("12345", "en"),
    ],
)
def test_the_script_tells_the_language(text: str, language: str) -> None:
    assert detect_language(text) == language


def test_a_declared_language_is_believed() -> None:
    assert split("CT", "zh-CN").language == "zh"


def test_copies_that_differ_in_form_alone_are_one_text() -> None:
    first = "FINDINGS: No effusion.\r\nSeen on XXXX."
    second = "findings:  no effusion\nseen on ___"

    assert normalise(first) == normalise(second) == "findings no effusion seen on"
    assert normalise("胸腔积液（－）") == normalise("胸腔积液(-)")
    assert normalise("No effusion") != normalise("Effusion")


def test_only_sections_about_the_images_count_for_findings() -> None:
    assert {kind for kind in SectionKind if kind.describes_this_study} == {
        SectionKind.FINDINGS,
        SectionKind.IMPRESSION,
        SectionKind.BODY,
    }
