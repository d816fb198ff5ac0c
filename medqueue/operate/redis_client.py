"""A plain connection to the broker's Redis, for questions that must be answered at once."""

from urllib.parse import quote

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from medqueue.broker.embedded import socket_path
from medqueue.errors import ConfigurationError
from medqueue.settings import Settings

_ANSWER_SECONDS = 1.0
"""A server that lives answers in milliseconds, even while it loads its file: then with an error."""


def connect(settings: Settings) -> redis.Redis:
    """Return a client that tries once and does not wait; it connects at its first command.

    Raises:
        ConfigurationError: the URL is none of Redis.
    """
    url = settings.redis_url
    if url is None:
        url = f"unix://{quote(str(socket_path(settings)))}"
    try:
        client: redis.Redis = redis.Redis.from_url(
            url.replace("redis+socket://", "unix://", 1),
            socket_timeout=_ANSWER_SECONDS,
            socket_connect_timeout=_ANSWER_SECONDS,
            retry=Retry(NoBackoff(), 0),  # the library's own retries take seconds
        )
    except ValueError:
        raise ConfigurationError(
            "MEDQUEUE_REDIS_URL: give a URL like redis://host:6379/0, or leave it unset"
        ) from None
    return client
