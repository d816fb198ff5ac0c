"""Which Celery workers answer, asked over the broker."""

from celery import Celery
from celery.utils.nodenames import gethostname
from kombu.exceptions import KombuError
from redis.exceptions import RedisError

_ANSWER_SECONDS = 1.0
"""An idle or working worker answers in milliseconds; only a hanging or dead one does not."""


def worker_answers(app: Celery, role: str) -> bool:
    """Tell whether this machine's worker of a role answers a ping; returns as soon as it does."""
    node = f"{role}@{gethostname()}"
    return bool(_ping(app, destination=[node]))


def alive(app: Celery) -> list[str]:
    """Return the names of all workers that answer, on whatever machine, in order."""
    return sorted(name for answer in _ping(app, destination=None) for name in answer)


def _ping(app: Celery, *, destination: list[str] | None) -> list[dict[str, object]]:
    try:
        answers = app.control.ping(destination=destination, timeout=_ANSWER_SECONDS)
    except (KombuError, RedisError, OSError):
        return []
    return list(answers or [])
