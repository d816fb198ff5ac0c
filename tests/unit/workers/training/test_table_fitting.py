"""Fitting a table: figures of the textbook, learnt from the rows that are given and no others."""

import tomllib
from typing import Any

import pytest

from medqueue.errors import ConfigurationError
from schemas.preparation import CategoryColumn, NumberColumn, TablePreparation
from workers.preprocess.tabular import Row, table_of
from workers.training.packaging import toml_of
from workers.training.table_fitting import fit_table

AGES: list[Row] = [{"PatientAge": text} for text in ("010Y", "020Y", "020Y", "040Y", "110Y")] + [{}]


def fitted(rows: list[Row], **declared: Any) -> tuple[float | None, float, float]:
    (column,) = fit_table(rows, [NumberColumn(attribute="PatientAge", **declared)]).columns
    assert column.attribute == "PatientAge"
    return column.fill, column.centre, column.spread


@pytest.mark.parametrize(
    ("scale", "centre", "spread"),
    [
        ("none", 0, 1),
        ("min-max", 10, 100),
        ("z-score", 40, pytest.approx(36.3318)),
        ("robust", 20, 20),
    ],
)
def test_scales_are_those_of_the_textbook(scale: str, centre: float, spread: float) -> None:
    assert fitted(AGES, scale=scale)[1:] == (centre, spread)


@pytest.mark.parametrize(
    ("missing", "fill"), [("mean", 40), ("median", 20), ("mode", 20), ("drop", None)]
)
def test_a_missing_number_is_filled_by_what_the_others_are(
    missing: str, fill: float | None
) -> None:
    assert fitted(AGES, missing=missing)[0] == fill


def test_a_constant_fill_is_taken_as_it_is() -> None:
    assert fitted(AGES, missing="constant", constant=33)[0] == 33


def test_a_number_that_never_changes_has_a_spread_of_one() -> None:
    assert fitted([{"PatientAge": "7"}] * 3, scale="z-score") == (7, 7, 1)


def test_words_are_learnt_in_order_and_rare_ones_left_unknown() -> None:
    rows: list[Row] = [{"Manufacturer": word} for word in ("b", "A", " a ", "B", "c")]
    declared = CategoryColumn(attribute="Manufacturer", min_count=2)

    table = fit_table(rows, [declared])

    assert table.features == ("Manufacturer=A", "Manufacturer=B")
    assert table_of(rows[-1:], table).tolist() == [[0, 0]]


@pytest.mark.parametrize(
    ("declared", "fill"),
    [({"missing": "mode"}, "M"), ({"missing": "constant", "constant": "f"}, "F"), ({}, "M")],
)
def test_a_missing_word_is_the_commonest_or_a_given_one(declared: Any, fill: str) -> None:
    rows: list[Row] = [{"PatientSex": word} for word in "FMM"]

    (column,) = fit_table(rows, [CategoryColumn(attribute="PatientSex", **declared)]).columns

    assert column.fill == fill


def test_an_attribute_that_no_image_has_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="KVP"):
        fit_table(AGES, [NumberColumn(attribute="KVP")])


def test_what_was_fitted_is_data_and_survives_the_manifest_to_the_bit() -> None:
    rows: list[Row] = [{**row, "PatientSex": "F"} for row in AGES]
    declared = [NumberColumn(attribute="PatientAge"), CategoryColumn(attribute="PatientSex")]
    table = fit_table(rows, declared)

    read = TablePreparation.model_validate(
        tomllib.loads(toml_of(table.model_dump(mode="json", exclude_none=True)))
    )

    assert read == table
    assert table_of(rows, read).tobytes() == table_of(rows, table).tobytes()
