"""Publishing: one message for each piece of work, its task name and its opaque id."""

from collections.abc import Sequence

from celery import Celery
from kombu.exceptions import KombuError
from redis.exceptions import RedisError

from medqueue.broker.routing import TRAINING_QUEUE, queue_name
from medqueue.ledger import dispatch
from medqueue.ledger.engine import Ledger
from medqueue.logs import get_logger
from schemas.training import TRAINING_TASK
from schemas.work import TASK_NAMES, WorkToPublish

_logger = get_logger(__name__)


def publish(app: Celery, ledger: Ledger, due: Sequence[WorkToPublish]) -> None:
    """Send the messages of work that is marked as published.

    Raises:
        RedisError, KombuError, OSError: the broker is away; the mark is taken back from what it
            did not get, and the relay publishes that when the broker is there again.
    """
    published = 0
    try:
        with app.producer_pool.acquire(block=True, timeout=5) as producer:
            for work in due:
                app.send_task(
                    TASK_NAMES[work.stage],
                    args=[work.id],
                    queue=queue_name(work.stage, work.priority),
                    producer=producer,
                )
                published += 1
    except (RedisError, KombuError, OSError):
        dispatch.unpublish(ledger, [work.id for work in due[published:]])
        raise
    finally:
        if published:
            _logger.info("published", works=[work.id for work in due[:published]])


def publish_trainings(app: Celery, ids: Sequence[str]) -> None:
    """Send the messages of queued trainings; a worker that gets one too many does nothing.

    Raises:
        RedisError, KombuError, OSError: the broker is away; the relay publishes again later.
    """
    for id_ in ids:
        app.send_task(TRAINING_TASK, args=[id_], queue=TRAINING_QUEUE)
