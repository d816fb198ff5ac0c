"""A row of the table: what a header says, as the numbers that training fitted."""

from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError
from pydicom import Dataset

from chest_images import an_image
from medqueue.errors import UnsupportedInputError
from schemas.preparation import FittedCategory, FittedNumber, NumberColumn, TablePreparation
from workers.preprocess.tabular import number_of, read_row, row_of, table_of

AGE = FittedNumber(attribute="PatientAge", fill=50, centre=40, spread=10)
SEX = FittedCategory(
    attribute="PatientSex", words=("F", "M"), encode="one-hot", unknown="ignore", fill="F"
)


def a_header(**attributes: str) -> Dataset:
    header = Dataset()
    for keyword, value in attributes.items():
        setattr(header, keyword, value)
    return header


def a_table(*columns: FittedNumber | FittedCategory) -> TablePreparation:
    return TablePreparation(columns=columns)


@pytest.mark.parametrize(
    ("text", "years"),
    [("045Y", 45), ("018M", 1.5), ("052W", 52 * 7 / 365.25), ("010D", 10 / 365.25), ("61.5", 61.5)],
)
def test_an_age_is_read_in_years_whatever_its_unit(text: str, years: float) -> None:
    assert number_of(text) == pytest.approx(years)


@pytest.mark.parametrize("text", ["", "old", "45X", "nan", "inf", "1e999"])
def test_what_is_no_number_is_none(text: str) -> None:
    assert number_of(text) is None


def test_a_file_tells_its_attributes_and_leaves_out_what_it_lacks(tmp_path: Path) -> None:
    path = an_image(tmp_path, PatientAge="045Y", PatientSex="F", Manufacturer="Acme  Rays")

    assert read_row(path) == {
        "PatientAge": "045Y",
        "PatientSex": "F",
        "Manufacturer": "Acme  Rays",
        "Modality": "CR",
        "BodyPartExamined": "CHEST",
        "ViewPosition": "PA",
    }


def test_an_age_that_is_missing_is_the_time_from_birth_to_study() -> None:
    row = row_of(a_header(PatientBirthDate="19700101", StudyDate="20200101"))

    assert number_of(row["PatientAge"]) == pytest.approx(50, abs=0.01)


@pytest.mark.parametrize(
    "dates", [{"PatientBirthDate": "20300101", "StudyDate": "20200101"}, {"StudyDate": "20200101"}]
)
def test_an_age_that_cannot_be_is_missing(dates: dict[str, str]) -> None:
    assert "PatientAge" not in row_of(a_header(**dates))


def test_numbers_are_scaled_and_words_have_a_place_each() -> None:
    table = a_table(AGE, SEX)

    prepared = table_of([{"PatientAge": "060Y", "PatientSex": " m"}], table)

    assert table.features == ("PatientAge", "PatientSex=F", "PatientSex=M")
    assert prepared.dtype == np.float32
    assert prepared.tolist() == [[2, 0, 1]]


def test_what_is_missing_is_filled_as_in_training() -> None:
    assert table_of([{}], a_table(AGE, SEX)).tolist() == [[1, 1, 0]]


def test_a_word_that_training_has_not_seen_is_nothing_or_refused() -> None:
    row = {"PatientSex": "O"}

    assert table_of([row], a_table(SEX)).tolist() == [[0, 0]]
    with pytest.raises(UnsupportedInputError, match="PatientSex"):
        table_of([row], a_table(SEX.model_copy(update={"unknown": "refuse"})))


def test_label_encoding_numbers_the_words_from_one() -> None:
    column = SEX.model_copy(update={"encode": "label"})

    prepared = table_of([{"PatientSex": word} for word in ("F", "M", "O")], a_table(column))

    assert prepared.tolist() == [[1], [2], [0]]


@pytest.mark.parametrize("column", [AGE, SEX])
def test_a_missing_value_without_a_fill_is_refused(column: FittedNumber | FittedCategory) -> None:
    with pytest.raises(UnsupportedInputError, match=column.attribute):
        table_of([{}], a_table(column.model_copy(update={"fill": None})))


def test_a_constant_is_given_where_it_is_asked_for_and_only_there() -> None:
    for wrong in ({"missing": "constant"}, {"missing": "mean", "constant": 3}):
        with pytest.raises(ValidationError, match="go together"):
            NumberColumn(attribute="KVP", **wrong)
