"""Pictures of findings over HTTP: for readers of results, by the address in the finding."""

from pathlib import Path

import pytest

from builders import a_due_series, a_final, after, claim, hand_on, work_rows
from http_client import Client, bearer, compose, tokens
from medqueue.errors import LeaseLostError
from medqueue.ledger import work
from medqueue.ledger.engine import Ledger
from schemas.finding import Finding, Presence
from schemas.result import Caution, Picture
from schemas.work import Claim, Stage

UNUSUAL = Caution(code="unusual-image", detail="image 1 of 1 is unusual")
PICTURE = Picture(id="0" * 31 + "1", content=b"\x89PNG made up")


def a_held_diagnosis(ledger: Ledger) -> Claim:
    hand_on(ledger, claim(ledger, a_due_series(ledger)))
    return claim(ledger, work_rows(ledger, stage=Stage.DIAGNOSE_IMAGE)[0].id, at=12)


def finish_with_picture(ledger: Ledger, held: Claim) -> None:
    finding = Finding(
        label="nodule", probability=0.9, presence=Presence.PRESENT, explanation=PICTURE.address
    )
    outcome = a_final(held).model_copy(
        update={"pictures": (PICTURE,), "findings": (finding,), "cautions": (UNUSUAL,)}
    )
    work.finish(ledger, held, outcome=outcome, now=after(13))


def test_a_picture_is_there_as_soon_as_its_result_is(ledger: Ledger, tmp_path: Path) -> None:
    client = Client(compose(ledger, tmp_path))
    held = a_held_diagnosis(ledger)
    assert client.get(PICTURE.address).status_code == 404

    finish_with_picture(ledger, held)

    answer = client.get(PICTURE.address)
    assert (answer.status_code, answer.content) == (200, PICTURE.content)
    assert answer.headers["content-type"] == "image/png"


def test_a_late_worker_leaves_no_picture(ledger: Ledger, tmp_path: Path) -> None:
    held = a_held_diagnosis(ledger)
    work.finish(ledger, held, outcome=a_final(held), now=after(13))

    with pytest.raises(LeaseLostError):
        finish_with_picture(ledger, held)

    assert Client(compose(ledger, tmp_path)).get(PICTURE.address).status_code == 404


def test_an_address_that_no_picture_can_have_is_refused(ledger: Ledger, tmp_path: Path) -> None:
    assert Client(compose(ledger, tmp_path)).get("/explanations/..%2Fledger").status_code in {
        404,
        422,
    }


def test_the_page_of_a_study_shows_the_picture_and_the_caution(
    ledger: Ledger, tmp_path: Path
) -> None:
    finish_with_picture(ledger, a_held_diagnosis(ledger))

    page = Client(compose(ledger, tmp_path)).get("/view/studies/1.2.3").text

    assert f'src="{PICTURE.address}"' in page
    assert "unusual-image" in page
    assert UNUSUAL.detail in page


def test_a_picture_is_for_those_who_may_read_results(ledger: Ledger, tmp_path: Path) -> None:
    finish_with_picture(ledger, a_held_diagnosis(ledger))
    guarded = Client(compose(ledger, tmp_path, api_tokens=tokens(pacs="send", ris="read")))

    answers = [
        guarded.get(PICTURE.address, headers=headers).status_code
        for headers in ({}, bearer("pacs"), bearer("ris"))
    ]

    assert answers == [401, 403, 200]
