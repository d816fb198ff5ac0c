"""Model versions: known under one content for ever, one of each name released."""

import pytest
from sqlalchemy import select, update

from builders import a_text_model, after, an_image_model, only, register, sha256
from medqueue.errors import NotFoundError, PackageError
from medqueue.ledger import models
from medqueue.ledger.engine import Ledger
from medqueue.ledger.tables import audit_events
from medqueue.ledger.tables import models as model_versions
from schemas.result import ResultKind


def released(ledger: Ledger, kind: ResultKind = ResultKind.IMAGE) -> list[str]:
    with ledger.read() as connection:
        return [f"{m.name} {m.version}" for m in models.released(connection, kind)]


def release(ledger: Ledger, version: str) -> None:
    with ledger.write() as connection:
        models.release(connection, "chest", version, actor="anna", now=after(1))


def test_the_first_version_of_a_name_is_released_at_once(ledger: Ledger) -> None:
    register(ledger, an_image_model(version="1.0.0"), an_image_model(version="2.0.0"))

    assert released(ledger) == ["chest 1.0.0"]


def test_registering_again_changes_nothing(ledger: Ledger) -> None:
    register(ledger, an_image_model(version="1.0.0"), an_image_model(version="2.0.0"))
    release(ledger, "2.0.0")

    register(ledger, an_image_model(version="1.0.0"))

    assert released(ledger) == ["chest 2.0.0"]


def test_the_same_version_with_other_weights_is_refused(ledger: Ledger) -> None:
    register(ledger, an_image_model())

    with pytest.raises(PackageError, match="a version never changes"):
        register(ledger, an_image_model(sha256=sha256("other")))


@pytest.mark.parametrize(
    "change",
    [
        {"labels": ({"name": "pneumonia", "threshold": 0.31},)},
        {"temperature": 1.1},
        {"cleared_for_clinical_use": True},
        {"intended_use": "Diagnosis."},
    ],
)
def test_the_same_version_with_another_manifest_is_refused(
    ledger: Ledger, change: dict[str, object]
) -> None:
    """Another threshold gives other findings: readers could not tell which version said what."""
    register(ledger, an_image_model())

    with pytest.raises(PackageError, match=rf"manifest \({next(iter(change))}\); a version never"):
        register(ledger, an_image_model(**change))


def test_a_manifest_from_before_a_field_was_known_is_still_the_same(ledger: Ledger) -> None:
    register(ledger, an_image_model())
    with ledger.write() as connection:
        stored = connection.execute(select(model_versions.c.manifest)).scalar_one()
        shorter = {name: value for name, value in stored.items() if name != "temperature"}
        connection.execute(update(model_versions).values(manifest=shorter))

    register(ledger, an_image_model())

    assert released(ledger) == ["chest 1.0.0"]


def test_a_release_switches_versions_forth_and_back(ledger: Ledger) -> None:
    register(ledger, an_image_model(version="1.0.0"), an_image_model(version="2.0.0"))

    release(ledger, "2.0.0")
    assert released(ledger) == ["chest 2.0.0"]
    release(ledger, "1.0.0")
    assert released(ledger) == ["chest 1.0.0"]


def test_a_release_is_on_record_with_who_did_it(ledger: Ledger) -> None:
    register(ledger, an_image_model(version="1.0.0"), an_image_model(version="2.0.0"))
    release(ledger, "2.0.0")

    with ledger.read() as connection:
        events = connection.execute(select(audit_events).order_by(audit_events.c.seq)).all()
    first, second = events
    assert (first.actor, first.action, first.detail) == ("medqueue", "release", "chest 1.0.0")
    assert (second.actor, second.at, second.detail) == ("anna", after(1), "chest 2.0.0")


def test_the_release_of_an_unknown_version_leaves_the_old_one_released(ledger: Ledger) -> None:
    register(ledger, an_image_model())

    with pytest.raises(NotFoundError, match="medqueue models list"):
        release(ledger, "9.9.9")
    assert released(ledger) == ["chest 1.0.0"]


def test_released_models_are_listed_by_kind_and_name(ledger: Ledger) -> None:
    register(ledger, an_image_model("b"), a_text_model("t"), an_image_model("a"))

    assert released(ledger) == ["a 1.0.0", "b 1.0.0"]
    assert released(ledger, ResultKind.TEXT) == ["t 1.0.0"]


def test_a_manifest_comes_back_as_it_was_registered(ledger: Ledger) -> None:
    manifest = an_image_model(temperature=1.37, labels=({"name": "pneumonia", "threshold": 0.31},))
    register(ledger, manifest)

    with ledger.read() as connection:
        assert models.find(connection, "chest", "1.0.0") == manifest
        with pytest.raises(NotFoundError):
            models.find(connection, "chest", "2.0.0")
        assert only(models.released(connection, ResultKind.IMAGE)) == manifest


def test_rolling_back_releases_the_version_before(ledger: Ledger) -> None:
    register(ledger, an_image_model(version="1.0.0"), an_image_model(version="2.0.0"))
    release(ledger, "2.0.0")

    with ledger.write() as connection:
        assert models.roll_back(connection, "chest", actor="anna", now=after(2)) == "1.0.0"

    assert released(ledger) == ["chest 1.0.0"]


def test_without_an_earlier_release_there_is_nothing_to_roll_back_to(ledger: Ledger) -> None:
    register(ledger, an_image_model(version="1.0.0"), an_image_model(version="2.0.0"))

    with ledger.write() as connection, pytest.raises(NotFoundError, match="no earlier release"):
        models.roll_back(connection, "chest", actor="anna", now=after(2))


def test_a_candidate_waits_for_a_person_even_as_the_first_of_its_name(ledger: Ledger) -> None:
    register(ledger, an_image_model(candidate=True))
    assert released(ledger) == []

    release(ledger, "1.0.0")

    assert released(ledger) == ["chest 1.0.0"]


def test_a_candidate_that_is_rolled_back_waits_again(ledger: Ledger) -> None:
    register(ledger, an_image_model(candidate=True))
    release(ledger, "1.0.0")

    with ledger.write() as connection:
        assert models.roll_back(connection, "chest", actor="anna", now=after(2)) is None

    assert released(ledger) == []
