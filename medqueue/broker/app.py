"""The Celery application and its settings, each with its reason."""

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from celery import Celery
from kombu.entity import Queue
from kombu.exceptions import KombuError
from redis.exceptions import RedisError

from medqueue.broker.embedded import socket_path
from medqueue.broker.routing import QUEUES
from medqueue.errors import UnavailableError
from medqueue.settings import Settings

TASKS_MODULE = "workers.tasks.registered"
"""By name: the broker knows that workers exist, not what they import."""

_VISIBILITY_TIMEOUT_SECONDS = 3600
"""Redis gives an unacknowledged message out again after so long: a backstop only, since leases
recover sooner. Three times the longest work, or long work would run twice at once."""


def broker_url(settings: Settings) -> str:
    """Return the URL of Redis: the one set, or that of the embedded server's socket."""
    return settings.redis_url or f"redis+socket://{quote(str(socket_path(settings)))}"


def create_app(settings: Settings) -> Celery:
    """Return the Celery application, for workers, the relay and Flower alike."""
    app = Celery("medqueue", broker=broker_url(settings), include=[TASKS_MODULE])
    app.conf.update(_configuration())
    return app


def require_answer(settings: Settings) -> Callable[[], None]:
    """Return a check that raises `UnavailableError` while the broker does not answer."""
    app = create_app(settings)

    def check() -> None:
        try:
            with app.connection_for_read() as connection:
                connection.default_channel.client.ping()
        except (KombuError, RedisError, OSError) as error:
            raise UnavailableError(
                f"the broker does not answer ({type(error).__name__}); work waits in the ledger "
                "until it does"
            ) from None

    return check


def _configuration() -> dict[str, Any]:
    return {
        # JSON only: a pickled message would run whatever its sender liked.
        "task_serializer": "json",
        "accept_content": ["json"],
        # Results are in the ledger; a second copy would need care and could hold PHI.
        "result_backend": None,
        "task_ignore_result": True,
        # A message is taken off only after the work; attempts are capped by the ledger.
        "task_acks_late": True,
        "task_reject_on_worker_lost": True,
        # One message at a time: a deeper prefetch lets routine work stand before urgent work.
        "worker_prefetch_multiplier": 1,
        "task_queues": [Queue(name) for name in QUEUES],
        # A typo must be an error, not a queue that nobody consumes.
        "task_create_missing_queues": False,
        "task_default_queue": QUEUES[0],
        # Flower shows what these events tell.
        "worker_send_task_events": True,
        # Libraries leak; a fresh process now and then costs nothing (prefork only).
        "worker_max_tasks_per_child": 200,
        # Our own JSON logs, with the process's name.
        "worker_hijack_root_logger": False,
        "worker_redirect_stdouts": False,
        # After a lost connection the message goes to another worker at once, so this one's run
        # would end at the fence; letting it go saves the time.
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        "broker_connection_retry_on_startup": True,
        # Without end: the supervisor judges a worker, not a count of attempts.
        "broker_connection_max_retries": None,
        # Two deadlock Flower without a word.
        "broker_pool_limit": 10,
        # The relay publishes again by itself; it must not hang in a retry.
        "task_publish_retry": False,
        "broker_transport_options": {
            "visibility_timeout": _VISIBILITY_TIMEOUT_SECONDS,
            # How often the backstop looks; the default of kombu obeyed 5 s after 91 s.
            "unacked_restore_interval": 10,
            "unacked_restore_throttle": 1,
            # A dead network must show as an error, not as silence.
            "socket_timeout": 10,
            "socket_connect_timeout": 5,
            "socket_keepalive": True,
            "health_check_interval": 25,
            # Who asks has a loop of its own; kombu's would be six silent seconds more.
            "max_retries": 1,
            "interval_start": 0,
            # Urgent queues come first in the list of a worker, and are emptied first.
            "queue_order_strategy": "priority",
        },
    }
