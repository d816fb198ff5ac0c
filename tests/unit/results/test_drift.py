"""Drift: a shift of inputs is seen and alarmed, what chance makes of few inputs is not."""

from datetime import timedelta

import numpy as np
import pytest

from builders import NOW, an_image_model, register
from medqueue.ledger import input_figures
from medqueue.ledger.engine import Ledger
from medqueue.results.drift import FEWEST, drift_now, drift_of, index_by_chance, stability_index
from schemas.result import InputFigures
from schemas.validation import Histogram, Reference

EVEN = Histogram(edges=tuple(np.arange(1, 10) / 10), shares=(0.1,) * 10)
MODEL = an_image_model(drift=Reference(cases=500, intensity=EVEN, contrast=EVEN, score=EVEN))


def see(ledger: Ledger, intensities: list[float], *, weeks_ago: int = 0) -> None:
    others = np.linspace(0, 0.999, len(intensities))
    with ledger.write() as connection:
        for intensity, other in zip(intensities, others.tolist(), strict=True):
            figures = InputFigures(intensity=intensity, contrast=other, score=other, distance=None)
            at = NOW - timedelta(weeks=weeks_ago)
            input_figures.record(connection, MODEL.name, MODEL.version, figures, now=at)


def drift(ledger: Ledger, *, weeks: int = 4) -> dict[tuple[int, str], bool | None]:
    with ledger.read() as connection:
        found = drift_of(connection, MODEL, weeks=weeks, now=NOW)
    oldest = min((one.week for one in found), default=None)
    return {
        ((one.week - oldest).days // 7, one.figure): None if one.psi is None else one.is_alarm
        for one in found
        if oldest is not None
    }


def test_the_week_in_which_images_became_brighter_is_alarmed_for_that_alone(
    ledger: Ledger,
) -> None:
    see(ledger, np.linspace(0, 0.999, 200).tolist(), weeks_ago=1)
    see(ledger, np.linspace(0.5, 0.999, 200).tolist())

    assert drift(ledger) == {
        (0, "contrast"): False,
        (0, "intensity"): False,
        (0, "score"): False,
        (1, "contrast"): False,
        (1, "intensity"): True,
        (1, "score"): False,
    }


def test_few_inputs_are_not_judged(ledger: Ledger) -> None:
    see(ledger, [0.9] * (FEWEST - 1))

    assert set(drift(ledger).values()) == {None}


def test_weeks_before_those_asked_for_are_left_out(ledger: Ledger) -> None:
    see(ledger, [0.5] * 60, weeks_ago=3)

    assert drift(ledger, weeks=3) == {}


def test_the_released_models_of_now_are_looked_at(ledger: Ledger) -> None:
    register(ledger, MODEL)
    see(ledger, [0.95] * 100)

    alarmed = [(m.name, one.figure) for m, one in drift_now(ledger, now=NOW) if one.is_alarm]

    assert alarmed == [("chest", "intensity")]


def test_a_package_without_a_reference_has_no_drift(ledger: Ledger) -> None:
    with ledger.read() as connection:
        assert drift_of(connection, an_image_model(), weeks=1, now=NOW) == []


def test_the_index_of_what_is_spread_alike_is_nothing() -> None:
    assert stability_index(np.linspace(0, 0.999, 1000).tolist(), EVEN) == pytest.approx(0, abs=1e-3)


def test_the_index_is_that_of_its_formula() -> None:
    halves = Histogram(edges=(0.5,), shares=(0.5, 0.5))

    # (.8 - .5) ln(.8 / .5) + (.2 - .5) ln(.2 / .5)
    assert stability_index([0.1] * 80 + [0.9] * 20, halves) == pytest.approx(0.4159, abs=1e-4)


def test_by_chance_alone_an_alarm_is_rarer_than_one_in_two_hundred() -> None:
    random = np.random.default_rng(0)
    cases, inputs, trials = 500, 100, 400
    level = index_by_chance(10, inputs, cases)
    alarms = 0
    for _ in range(trials):
        edges = np.quantile(random.random(cases), np.arange(1, 10) / 10)
        reference = Histogram(edges=tuple(edges.tolist()), shares=(0.1,) * 10)
        alarms += stability_index(random.random(inputs).tolist(), reference) > level
    assert alarms / trials <= 0.005


def test_a_histogram_whose_edges_do_not_rise_is_refused() -> None:
    with pytest.raises(ValueError, match="rising edges"):
        Histogram(edges=(0.5, 0.5), shares=(0.3, 0.3, 0.4))
