"""Subgroups: by what headers say, large enough to mean something, without guesses."""

import numpy as np

from workers.training.subgroups import subgroups_of


def test_groups_are_told_apart_and_small_ones_left_out() -> None:
    rows = [{"PatientSex": " f", "PatientAge": "004Y"}] * 12 + [{"PatientSex": "M"}] * 12 + [{}] * 3
    rows += [{"PatientSex": "O"}] * 2
    targets = np.arange(len(rows)) % 2 == 0
    probabilities = np.where(targets, 0.8, 0.2)
    probabilities[12:24] = 1 - probabilities[12:24]

    found = subgroups_of(rows, probabilities, targets, 0.5)

    assert [(group.attribute, group.value) for group in found] == [
        ("sex", "F"),
        ("sex", "M"),
        ("age", "00 to under 5"),
    ]
    assert (found[0].auroc, found[0].sensitivity, found[0].specificity) == (1, 1, 1)
    assert (found[1].auroc, found[1].sensitivity, found[1].specificity) == (0, 0, 0)
    assert found[0].sensitivity_interval is not None
    assert found[0].sensitivity_interval.low < 0.7


def test_a_group_of_one_class_has_no_area_and_half_the_figures() -> None:
    (only,) = subgroups_of([{"ViewPosition": "AP"}] * 10, np.full(10, 0.9), np.ones(10, bool), 0.5)

    assert (only.present, only.auroc, only.specificity) == (10, None, None)
    assert only.sensitivity == 1


def test_what_differs_in_nearly_every_case_makes_no_groups() -> None:
    rows = [{"ManufacturerModelName": f"scanner {at // 10}"} for at in range(400)]

    assert subgroups_of(rows, np.full(400, 0.9), np.ones(400, bool), 0.5) == []
