"""Figures of what a model has seen: kept with its result, or not at all."""

from datetime import timedelta

from builders import (
    NOW,
    a_final,
    after,
    an_image_model,
    claim,
    complete,
    receive,
    register,
    work_rows,
)
from medqueue.ledger import input_figures, work
from medqueue.ledger.engine import Ledger
from schemas.result import InputFigures
from schemas.work import FollowUp, Stage

FIGURES = InputFigures(intensity=0.5, contrast=0.2, score=0.9, distance=1.1)


def seen(ledger: Ledger, *, limit: int = 10) -> list[float]:
    with ledger.read() as connection:
        rows = input_figures.since(
            connection, "chest", "1.0.0", NOW - timedelta(days=1), limit=limit
        )
    return [row.score for row in rows]


def test_they_are_kept_with_the_result_of_an_image(ledger: Ledger) -> None:
    model = an_image_model()
    register(ledger, model)
    receive(ledger)
    complete(ledger)
    held = claim(ledger, work_rows(ledger, stage=Stage.PREPARE_SERIES)[0].id)
    following = FollowUp(Stage.DIAGNOSE_IMAGE, model.name, model.version, "a.safetensors")
    work.finish(ledger, held, follow_up=following, now=after(11))
    assert seen(ledger) == []

    held = claim(ledger, work_rows(ledger, stage=Stage.DIAGNOSE_IMAGE)[0].id, at=12)
    outcome = a_final(held).model_copy(update={"figures": FIGURES})
    work.finish(ledger, held, outcome=outcome, now=after(13))

    assert seen(ledger) == [0.9]


def test_the_newest_come_first_and_no_more_than_asked_for(ledger: Ledger) -> None:
    for number in range(4):
        with ledger.write() as connection:
            figures = FIGURES.model_copy(update={"score": number / 10})
            input_figures.record(connection, "chest", "1.0.0", figures, now=after(number))

    assert seen(ledger, limit=2) == [0.3, 0.2]
