"""The tokenizer: numbers for words and characters, with their place in the submitted text."""

import json

import pytest

from medqueue.errors import PackageError
from workers.models.attention import PADDING, UNKNOWN
from workers.models.tokenizer import (
    PADDING_TOKEN,
    UNKNOWN_TOKEN,
    Tokenizer,
    learn_vocabulary,
    parse_tokenizer,
    write_tokenizer,
)
from workers.preprocess.text import split


def tokenizer(*words: str) -> Tokenizer:
    return Tokenizer([PADDING_TOKEN, UNKNOWN_TOKEN, *words])


def test_padding_and_unknown_have_the_numbers_that_networks_know() -> None:
    tokens = tokenizer("lung").tokens

    assert (tokens.index(PADDING_TOKEN), tokens.index(UNKNOWN_TOKEN)) == (PADDING, UNKNOWN)


@pytest.mark.parametrize(
    ("text", "words", "numbers"),
    [
        ("Lungs are CLEAR", ("lung", "clear"), [2, UNKNOWN, 3]),
        ("未见气胸", ("气", "胸"), [UNKNOWN, UNKNOWN, 2, 3]),
        ("a 5 mm and a 12.3 cm nodule", ("0", "nodule"), [1, 2, 1, 1, 1, 2, 1, 3]),
    ],
)
def test_english_is_cut_into_words_and_chinese_into_characters(
    text: str, words: tuple[str, ...], numbers: list[int]
) -> None:
    (piece,) = tokenizer(*words).pieces(split(text), 100)

    assert piece.numbers == numbers


def test_every_token_points_at_its_place_in_the_submitted_text() -> None:
    text = "INDICATION: cough.\r\nFINDINGS: Small  effusion.\n肺炎 possible."

    for piece in tokenizer().pieces(split(text, "en"), 100):
        places = zip(piece.starts, piece.ends, strict=True)
        assert [text[start:end] for start, end in places] == [
            *("Small", "effusion", "."),
            *("肺", "炎", "possible", "."),
        ]


def test_why_the_study_was_made_is_not_read() -> None:
    assert tokenizer().pieces(split("INDICATION: Rule out pneumonia."), 100) == []


def test_a_long_text_is_read_in_pieces_of_whole_sentences() -> None:
    document = split("One two three. Four five. Six seven eight nine ten eleven twelve.")

    pieces = tokenizer().pieces(document, 7)

    assert [len(piece.numbers) for piece in pieces] == [7, 7, 1]


def test_the_vocabulary_is_what_comes_often_the_most_frequent_first() -> None:
    documents = [split("No effusion."), split("Small effusion. No mass."), split("Edema.")]

    learnt = learn_vocabulary(documents, min_count=2)

    assert learnt.tokens == (PADDING_TOKEN, UNKNOWN_TOKEN, ";", "effusion", "no")


def test_what_is_written_reads_back() -> None:
    written = write_tokenizer(tokenizer("lung", "肺", '"'))

    assert parse_tokenizer(written).tokens == tokenizer("lung", "肺", '"').tokens


@pytest.mark.parametrize(
    "content",
    [
        b"not json",
        json.dumps({"form": "other", "tokens": [PADDING_TOKEN, UNKNOWN_TOKEN]}).encode(),
        json.dumps({"form": "words-and-han-1", "tokens": ["lung", "heart"]}).encode(),
        json.dumps(
            {"form": "words-and-han-1", "tokens": [PADDING_TOKEN, UNKNOWN_TOKEN, "a", "a"]}
        ).encode(),
    ],
)
def test_another_file_is_refused(content: bytes) -> None:
    with pytest.raises(PackageError):
        parse_tokenizer(content)
