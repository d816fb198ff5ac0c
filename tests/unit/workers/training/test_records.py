"""Labelled texts from JSON lines, in the plain form and in that of others."""

import json
from pathlib import Path
from typing import Any

import pytest

from medqueue.errors import ConfigurationError
from workers.training.records import (
    Record,
    RecordForm,
    known_labels,
    label_records,
    of_split,
    read_records,
    without_texts_of,
)

OPENI = RecordForm(text=("FINDINGS", "IMPRESSION"), labels="major")


def write(folder: Path, *records: Any) -> Path:
    path = folder / "reports.jsonl"
    path.write_text("\n".join(json.dumps(record) for record in records), encoding="utf-8")
    return path


def a_record(text: str, *stated: str, split: str = "train") -> Record:
    return Record(text, frozenset(stated), frozenset(stated), split, None)


@pytest.mark.parametrize(
    "labels",
    [
        ["effusion"],
        {"effusion": "present", "edema": "absent", "mass": "uncertain"},
        {"effusion": True, "edema": False},
    ],
)
def test_labels_are_a_list_or_an_object(tmp_path: Path, labels: Any) -> None:
    path = write(tmp_path, {"text": "Effusion.", "labels": labels, "split": "val"})

    (record,) = read_records(path, RecordForm())

    assert (record.text, record.stated, record.split) == ("Effusion.", {"effusion"}, "val")


def test_several_fields_are_joined_under_their_names(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        {"FINDINGS": "Clear.", "IMPRESSION": "Normal.", "major": []},
        {"FINDINGS": None, "IMPRESSION": "Normal.", "major": []},
    )

    assert [record.text for record in read_records(path, OPENI)] == [
        "FINDINGS: Clear.\nIMPRESSION: Normal.",
        "IMPRESSION: Normal.",
    ]


def test_a_plain_record_is_read_whatever_form_is_named(tmp_path: Path) -> None:
    path = write(tmp_path, {"text": "Effusion.", "labels": ["effusion"]})

    assert read_records(path, OPENI)[0].stated == {"effusion"}


@pytest.mark.parametrize("line", ["[]", "{}", "no json", '{"text": 1, "labels": 3}'])
def test_a_line_that_is_no_record_is_refused_without_quoting_it(tmp_path: Path, line: str) -> None:
    path = tmp_path / "reports.jsonl"
    path.write_text(line, encoding="utf-8")

    with pytest.raises(ConfigurationError, match="line 1") as caught:
        read_records(path, RecordForm())
    assert "no json" not in str(caught.value)


def test_terms_say_which_words_of_the_data_mean_a_label() -> None:
    records = [
        a_record("1", "Calcified Granuloma/lung"),
        a_record("2", "normal"),
        a_record("3", "No Indexing"),
        a_record("4", "normal", "Deformity"),
    ]
    terms = {"granuloma": ("*Granuloma*",), "any finding": ("!normal", "!No Indexing")}

    targets = label_records(records, ("granuloma", "any finding"), terms).targets

    assert targets.tolist() == [[True, True], [False, False], [False, False], [False, True]]


def test_labels_that_the_data_never_speak_of_are_not_measured() -> None:
    records = [Record("x", frozenset(), frozenset({"edema"}), None, None)]

    assert known_labels(records, ("edema", "mass", "hernia"), {"mass": ("Mass",)}) == (
        "edema",
        "mass",
    )


def test_copies_of_a_text_are_learnt_once_and_never_measured() -> None:
    training = [a_record("No  effusion."), a_record("NO EFFUSION"), a_record("Edema. XXXX")]

    once = of_split(training, "train")

    assert len(once) == 2
    assert without_texts_of(once, [a_record("edema", split="val")]) == [training[1]]
