"""Performing work: claim it, do it under a lease, and end it in the ledger, whatever happens.

A message is only a bell: what is lost, sent twice or late does no harm, since the worker that
holds the claim alone can write, and only once.
"""

import functools
from collections.abc import Callable
from datetime import UTC, datetime
from typing import NoReturn

from kombu.exceptions import KombuError
from redis.exceptions import RedisError
from sqlalchemy.exc import DBAPIError

from medqueue.broker.publishing import publish
from medqueue.errors import (
    LeaseLostError,
    MedqueueError,
    UnavailableError,
    UnsupportedInputError,
    WorkError,
)
from medqueue.ledger import models, work
from medqueue.ledger.engine import Ledger
from medqueue.ledger.lease import Heartbeat
from medqueue.logs import get_logger
from schemas.manifest import Manifest
from schemas.result import Outcome, ResultError, ResultStatus
from schemas.work import Claim, FollowUp, WorkToPublish
from workers.inference.receipt import receipt_of
from workers.tasks.process import WorkerProcess

_logger = get_logger(__name__)

Conclusion = Outcome | FollowUp | None
"""How work ends well: with a result, with its next stage, or with neither if it is superseded."""


class WorkFailed(Exception):  # noqa: N818 - Flower shows the name
    """Tells Celery, and so Flower, that work ended as failed; the ledger has it already."""


def perform(
    process: WorkerProcess, work_id: str, do: Callable[[Claim, Manifest], Conclusion]
) -> Claim | None:
    """Perform one piece of work, if it is still to be done and nobody else does it.

    Errors end as data: for good as a `failed` or `skipped` result, for now as another try later.

    Returns:
        The claim if the work has ended for good and well, else None.

    Raises:
        WorkFailed: it has ended as failed, which is in the ledger.
    """
    try:
        claim = work.claim(
            process.ledger,
            work_id,
            worker=process.name,
            lease_seconds=process.settings.lease_seconds,
            now=_now(),
        )
        if claim is None:
            return None
        manifest = _manifest(process.ledger, claim.model_name, claim.model_version)
        return _attempt(process, claim, manifest, do)
    except LeaseLostError:
        _logger.warning("late-result-discarded", work=work_id)
    except DBAPIError as error:
        # The relay takes it up when the lease runs out. Celery must not hear of it: it would tell
        # Redis, Flower and the log, and an SQL error quotes its parameters.
        _logger.warning("work-not-ended", work=work_id, error=type(error).__name__)
    return None


@functools.lru_cache(maxsize=64)
def _manifest(ledger: Ledger, name: str, version: str) -> Manifest:
    """Return the manifest of a registered version; what was registered once never changes."""
    with ledger.read() as connection:
        return models.find(connection, name, version)


def _attempt(
    process: WorkerProcess,
    claim: Claim,
    manifest: Manifest,
    do: Callable[[Claim, Manifest], Conclusion],
) -> Claim | None:
    try:
        with Heartbeat(process.ledger, claim):
            conclusion = do(claim, manifest)
        _end_well(process, claim, _with_receipt(conclusion, claim, manifest))
    except LeaseLostError:
        raise
    except UnsupportedInputError as error:
        _end_well(process, claim, _without_diagnosis(ResultStatus.SKIPPED, manifest, error))
    except WorkError as error:
        _fail(process, claim, _without_diagnosis(ResultStatus.FAILED, manifest, error))
    except MedqueueError as error:
        _try_again(process, claim, manifest, error.code, error.detail)
    except (DBAPIError, MemoryError) as error:
        _try_again(process, claim, manifest, UnavailableError.code, type(error).__name__)
    except Exception as error:
        # Only the type is kept: the text of an unknown error may quote the input.
        _logger.exception("work-raised", work=claim.id)
        _try_again(process, claim, manifest, MedqueueError.code, type(error).__name__)
    else:
        return claim
    return None


def _with_receipt(conclusion: Conclusion, claim: Claim, manifest: Manifest) -> Conclusion:
    if isinstance(conclusion, Outcome) and conclusion.status is ResultStatus.FINAL:
        receipt = receipt_of(manifest, claim.input_digest)
        return conclusion.model_copy(update={"receipt": receipt})
    return conclusion


def _end_well(process: WorkerProcess, claim: Claim, conclusion: Conclusion) -> None:
    outcome = conclusion if isinstance(conclusion, Outcome) else None
    follow_up = conclusion if isinstance(conclusion, FollowUp) else None
    following = work.finish(process.ledger, claim, outcome=outcome, follow_up=follow_up, now=_now())
    if following is not None:
        _publish(process, following)
    _logger.info(
        "work-done",
        work=claim.id,
        stage=claim.stage,
        status=outcome.status if outcome else "follow-up" if follow_up else "superseded",
    )


def _publish(process: WorkerProcess, following: WorkToPublish) -> None:
    try:
        publish(process.app, process.ledger, [following])
    except (RedisError, KombuError, OSError) as error:
        _logger.warning("follow-up-left-to-the-relay", error=type(error).__name__)


def _try_again(
    process: WorkerProcess, claim: Claim, manifest: Manifest, code: str, detail: str
) -> None:
    """Give the work back for another try, or fail it when none is left."""
    if claim.attempt < claim.max_attempts:
        work.give_back(process.ledger, claim, error_code=code, error_detail=detail, now=_now())
        return
    failed = Outcome(
        status=ResultStatus.FAILED,
        model=manifest.reference(),
        error=ResultError(code=code, detail=f"{claim.attempt} attempts failed: {detail}"),
    )
    _fail(process, claim, failed)


def _fail(process: WorkerProcess, claim: Claim, failed: Outcome) -> NoReturn:
    work.fail(process.ledger, claim, failed, now=_now())
    code = failed.error.code if failed.error else ResultStatus.FAILED
    raise WorkFailed(f"{code}; see: medqueue failures show {claim.id}") from None


def _without_diagnosis(status: ResultStatus, manifest: Manifest, error: WorkError) -> Outcome:
    return Outcome(
        status=status,
        model=manifest.reference(),
        error=ResultError(code=error.code, detail=error.detail),
    )


def _now() -> datetime:
    return datetime.now(UTC)
