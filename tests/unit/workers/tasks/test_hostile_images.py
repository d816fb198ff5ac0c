"""Work on an image that kills its decoder ends as `failed`; the worker and other work go on."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from builders import (
    a_header,
    an_image_model,
    complete,
    only,
    receive,
    register,
    result_rows,
    work_rows,
)
from dicom_files import a_jpeg_ls_file
from hostile_nursery import COMMAND, CRASH, HANG, KILL
from medqueue.ledger.tables import instances
from medqueue.storage.artifacts import ArtifactStore
from medqueue.storage.instances import InstanceStore
from schemas.result import ResultStatus
from schemas.work import Stage, WorkState
from workers.diagnose_study import SeriesDiagnosis
from workers.preprocess.isolated import IsolatedPreparation, Nursery
from workers.tasks.performing import WorkFailed, perform
from workers.tasks.process import WorkerProcess


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    started = Nursery(COMMAND)
    started.start()
    yield started
    started.stop()


@pytest.fixture
def worker(process: WorkerProcess, nursery: Nursery) -> Iterator[WorkerProcess]:
    """A worker process with a real decoder of the hostile nursery."""
    preparation = IsolatedPreparation(nursery, seconds=0.5)
    settings = process.settings
    series = SeriesDiagnosis(
        process.ledger,
        InstanceStore(settings.instances_dir, min_free_mib=0),
        ArtifactStore(settings.artifacts_dir),
        preparation,
    )
    yield replace(process, series=series)
    preparation.close()


def take_in(worker: WorkerProcess, study: str, first_pixel: int) -> None:
    """Receive a study of one image as a door does."""
    receive(worker.ledger, a_header(study))
    with worker.ledger.read() as connection:
        row = connection.execute(
            instances.select().where(instances.c.sop_instance_uid == f"{study}.1.1")
        ).one()
    place = worker.settings.instances_dir / row.path
    place.parent.mkdir(parents=True, exist_ok=True)
    picture = np.arange(40 * 40, dtype=np.uint16).reshape(40, 40)
    picture[0, 0] = first_pixel
    a_jpeg_ls_file(Path(worker.settings.data_dir), picture).rename(place)


@pytest.mark.parametrize(
    ("first_pixel", "tries", "error"),
    [
        (HANG, 1, ("undecodable", "decoding did not come to an end in time")),
        (CRASH, 1, ("undecodable", "a decoder crashed on it (SIGSEGV)")),
        (KILL, 3, ("decoder-lost", "3 attempts failed: the decoder was killed")),
    ],
)
def test_what_kills_a_decoder_fails_alone(
    worker: WorkerProcess, clock: Any, first_pixel: int, tries: int, error: tuple[str, str]
) -> None:
    ledger = worker.ledger
    register(ledger, an_image_model())
    take_in(worker, "1.2.3", first_pixel)
    take_in(worker, "1.2.4", 200)
    complete(ledger)
    due = [row.id for row in work_rows(ledger, stage=Stage.PREPARE_SERIES)]

    for _ in range(tries):
        for work_id in due:
            with suppress(WorkFailed):
                perform(worker, work_id, worker.series.prepare)
        clock.seconds += 1000

    failed = only(result_rows(ledger, status=ResultStatus.FAILED))
    assert failed.study_instance_uid == "1.2.3"
    assert failed.error["code"] == error[0]
    assert failed.error["detail"].startswith(error[1])
    handed_on = only(work_rows(ledger, stage=Stage.DIAGNOSE_IMAGE))
    assert handed_on.state == WorkState.PENDING
