"""Replaying: a result comes out as it did, and what has changed since is named."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from pydicom import dcmread
from sqlalchemy import Row, update

from builders import NOW, a_header, complete, only, register, result_rows, submit, work_rows
from chest_images import an_image
from medqueue.errors import InstanceLostError, NotFoundError
from medqueue.ledger import intake
from medqueue.ledger.engine import Ledger
from medqueue.ledger.tables import results
from medqueue.settings import Settings, load_settings
from medqueue.storage.instances import InstanceStore
from medqueue.storage.packages import read_manifest
from schemas.study import StoredInstance
from schemas.work import Stage
from workers.models.package import BUNDLED_FOLDER
from workers.replay import command, replay
from workers.tasks import process, registered

_LENGTH_OF_GROUP = 132 + 12
"""Preamble, prefix and the element that states the length of the meta information after it."""


@pytest.fixture(autouse=True)
def settings(
    ledger: Ledger, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Settings]:
    monkeypatch.setenv("MEDQUEUE_DATABASE_URL", database_url)
    monkeypatch.setenv("MEDQUEUE_DATA_DIR", str(tmp_path / "data"))
    process.worker_process.cache_clear()
    yield load_settings()
    process.worker_process().ledger.close()
    process.worker_process().series._prepare_files.close()  # type: ignore[attr-defined]
    process._NURSERY.stop()
    process.worker_process.cache_clear()


@pytest.fixture
def image(tmp_path: Path, settings: Settings) -> StoredInstance:
    """An image as a door stores it: meta information and data set."""
    path = an_image(tmp_path)
    content = path.read_bytes()
    meta = _LENGTH_OF_GROUP + dcmread(path).file_meta.FileMetaInformationGroupLength
    with InstanceStore(settings.instances_dir, min_free_mib=0).receive(content[:meta]) as incoming:
        incoming.write(content[meta:])
        return incoming.keep()


@pytest.fixture
def of_image(ledger: Ledger, image: StoredInstance) -> Row[Any]:
    """The result of the bundled model on it."""
    register(ledger, read_manifest(BUNDLED_FOLDER / "cxr-pneumonia"))
    with ledger.write() as connection:
        intake.record_instance(connection, a_header(), image, calling_ae="PACS", now=NOW)
    complete(ledger)
    registered.prepare_series(only(work_rows(ledger)).id)
    registered.diagnose_image(only(work_rows(ledger, stage=Stage.DIAGNOSE_IMAGE)).id)
    return only(result_rows(ledger))


def of_text(ledger: Ledger, model: str) -> Row[Any]:
    register(ledger, read_manifest(BUNDLED_FOLDER / model).model_copy(update={"candidate": False}))
    submit(ledger, "There is a small pleural effusion. No edema.", language="en")
    registered.diagnose_report_text(only(work_rows(ledger)).id)
    return only(result_rows(ledger))


def test_an_image_result_comes_out_equal_to_the_bit(
    ledger: Ledger, settings: Settings, of_image: Row[Any]
) -> None:
    again = replay(ledger, settings, of_image.id)

    assert of_image.receipt["input"] == of_image.input_digest
    assert (again.differences, again.same_environment) == ((), True)


@pytest.mark.parametrize("model", ["chest-rules-en", "chest-rnn"])
def test_a_text_result_comes_out_equal_to_the_bit(
    ledger: Ledger, settings: Settings, model: str
) -> None:
    again = replay(ledger, settings, of_text(ledger, model).id)

    assert (again.differences, again.same_environment) == ((), True)


def test_a_changed_file_is_named(
    ledger: Ledger, settings: Settings, image: StoredInstance, of_image: Row[Any]
) -> None:
    path = settings.instances_dir / image.path
    content = bytearray(path.read_bytes())
    content[-1000:] = bytes(255 - value for value in content[-1000:])
    path.write_bytes(content)

    again = replay(ledger, settings, of_image.id)

    assert again.differences[0] == "input: another one"


def test_a_file_that_is_gone_is_an_error_of_its_own(
    ledger: Ledger, settings: Settings, image: StoredInstance, of_image: Row[Any]
) -> None:
    (settings.instances_dir / image.path).unlink()

    with pytest.raises(InstanceLostError):
        replay(ledger, settings, of_image.id)


def changed_by(ledger: Ledger, row: Row[Any], by: float, **receipt: Any) -> None:
    """Write another probability, and other fields of the receipt, into a result."""
    findings = [{**one, "probability": one["probability"] + by} for one in row.findings]
    with ledger.write() as connection:
        connection.execute(
            update(results)
            .where(results.c.id == row.id)
            .values(findings=findings, receipt={**row.receipt, **receipt})
        )


def test_the_smallest_difference_counts_in_the_same_environment(
    ledger: Ledger, settings: Settings, of_image: Row[Any]
) -> None:
    changed_by(ledger, of_image, -1e-7)

    (difference,) = replay(ledger, settings, of_image.id).differences
    assert difference.startswith("Pneumonia: then 0.")


def test_a_small_difference_is_let_pass_in_another_environment(
    ledger: Ledger, settings: Settings, of_image: Row[Any]
) -> None:
    changed_by(ledger, of_image, -5e-5, device="cpu of another make")

    again = replay(ledger, settings, of_image.id)
    assert (again.is_equal, again.same_environment) == (True, False)


def test_a_large_difference_is_not_let_pass_in_another_environment(
    ledger: Ledger, settings: Settings, of_image: Row[Any]
) -> None:
    changed_by(ledger, of_image, -5e-4, device="cpu of another make")

    assert not replay(ledger, settings, of_image.id).is_equal


def test_only_a_result_that_a_model_came_to_can_be_replayed(
    ledger: Ledger, settings: Settings
) -> None:
    with pytest.raises(NotFoundError, match="no result"):
        replay(ledger, settings, "0" * 32)


def test_the_command_says_whether_it_is_equal(ledger: Ledger, of_image: Row[Any]) -> None:
    equal = CliRunner().invoke(command, [of_image.id, "--json"], catch_exceptions=False)
    changed_by(ledger, of_image, 0.1)
    different = CliRunner().invoke(command, [of_image.id], catch_exceptions=False)

    assert (equal.exit_code, json.loads(equal.output)["equal"]) == (0, True)
    assert different.exit_code == 1
    assert "DIFFERENT" in different.output
