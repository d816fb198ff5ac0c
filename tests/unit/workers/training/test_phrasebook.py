"""The texts that we write ourselves: the same for a seed, and labelled as they say."""

import pytest

from medqueue.errors import ConfigurationError
from workers.models.lexicon import parse_lexicon
from workers.models.package import BUNDLED_FOLDER
from workers.models.rules import RuleLabeler
from workers.preprocess.text import split
from workers.training.phrasebook import ANY_FINDING, write_records


def test_the_same_seed_writes_the_same_texts() -> None:
    assert write_records(3, {"train": 20}, ("en", "zh")) == write_records(
        3, {"train": 20}, ("en", "zh")
    )
    assert write_records(3, {"train": 20}, ("en",)) != write_records(4, {"train": 20}, ("en",))


def test_languages_take_turns_and_splits_are_of_the_size_asked_for() -> None:
    records = write_records(0, {"train": 10, "val": 4}, ("en", "zh"))

    assert [record.split for record in records] == ["train"] * 10 + ["val"] * 4
    assert [split(record.text).language for record in records] == ["en", "zh"] * 7


def test_no_slot_is_left_open() -> None:
    for record in write_records(1, {"train": 2000}, ("en", "zh")):
        assert not set("{}") & set(record.text)
        assert "  " not in record.text


def test_any_finding_is_stated_where_one_is() -> None:
    for record in write_records(2, {"train": 200}, ("en", "zh")):
        assert (ANY_FINDING in record.stated) == bool(record.stated - {ANY_FINDING})


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_labels_agree_with_the_rules_where_the_rules_read_the_same(language: str) -> None:
    """Two authors of labels, program and lexicon: gross mistakes in either would part them."""
    lexicon = BUNDLED_FOLDER / f"chest-rules-{language}" / "lexicon.yaml"
    rules = RuleLabeler(parse_lexicon(lexicon.read_bytes()))
    agreed = all_of = 0
    for record in write_records(5, {"train": 400}, (language,)):
        found = {f.label for f in rules.label(split(record.text)) if f.presence == "present"}
        stated, found = record.stated - {ANY_FINDING}, found & record.known
        agreed += 2 * len(stated & found)
        all_of += len(stated) + len(found)

    assert agreed / all_of >= 0.9


def test_a_language_without_a_phrasebook_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="en, zh"):
        write_records(0, {"train": 1}, ("fr",))
