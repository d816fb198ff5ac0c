"""Performing a queued training: claim it, train under a lease, and end it in the ledger.

It runs in this process, so that it ends with its worker: two that write into one folder could not
both be right. The worker that takes it up afterwards goes on from the checkpoint.
"""

import contextlib
from datetime import UTC, datetime
from pathlib import Path

from medqueue.errors import LeaseLostError, MedqueueError
from medqueue.ledger import trainings
from medqueue.ledger.lease import Heartbeat
from medqueue.logs import get_logger
from schemas.manifest import Manifest
from schemas.training import TrainingClaim
from workers.tasks.performing import WorkFailed
from workers.tasks.process import WorkerProcess

_logger = get_logger(__name__)


def perform_training(process: WorkerProcess, training_id: str) -> None:
    """Perform one queued training, if it still waits.

    Raises:
        WorkFailed: it has ended as failed, which is in the ledger.
    """
    claim = trainings.claim(
        process.ledger,
        training_id,
        worker=process.name,
        lease_seconds=process.settings.lease_seconds,
        now=_now(),
    )
    if claim is None:
        return
    config = (process.settings.trainings_dir / f"{claim.id}.toml").resolve()
    _logger.info("training-begun", training=claim.id)
    try:
        with Heartbeat(process.ledger, claim, renew=trainings.renew):
            _train(config, claim)
        trainings.finish(process.ledger, claim, now=_now())
    except LeaseLostError:
        _logger.warning("late-training-discarded", training=claim.id)
    except MedqueueError as error:
        _fail(process, claim, error.code, error.detail)
    except Exception as error:
        # Only the type is kept: the text of an unknown error may quote the data.
        _logger.exception("training-raised", training=claim.id)
        _fail(process, claim, MedqueueError.code, type(error).__name__)
    else:
        _logger.info("training-done", training=claim.id)


def _train(config: Path, claim: TrainingClaim) -> None:
    from workers.training.produce import train_package  # torch: the train workers alone need it

    with contextlib.chdir(claim.started_in):
        train_package(
            config, Path(claim.folder), _say_nothing, processes=1, device="auto", seconds=30
        )


def _say_nothing(manifest: Manifest, measured: object) -> None:
    """Leave the figures in the package."""


def _fail(process: WorkerProcess, claim: TrainingClaim, code: str, detail: str) -> None:
    trainings.fail(process.ledger, claim, code=code, detail=detail, now=_now())
    raise WorkFailed(f"{code}; see: medqueue trainings") from None


def _now() -> datetime:
    return datetime.now(UTC)
