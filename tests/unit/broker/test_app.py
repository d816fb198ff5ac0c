"""The Celery application: its tasks resolve by name, and its settings are those that matter."""

from pathlib import Path

import pytest
from celery.exceptions import QueueNotFound
from kombu import Queue

from medqueue.broker.app import broker_url, create_app, require_answer
from medqueue.broker.routing import QUEUES
from medqueue.errors import UnavailableError
from medqueue.settings import Settings
from schemas.work import TASK_NAMES, Stage


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path)


def test_every_stage_has_a_task_under_its_name_on_the_wire(settings: Settings) -> None:
    app = create_app(settings)
    app.loader.import_default_modules()
    assert set(TASK_NAMES) == set(Stage)
    assert set(TASK_NAMES.values()) <= set(app.tasks)


def test_messages_are_json_and_nothing_else_is_read(settings: Settings) -> None:
    conf = create_app(settings).conf
    assert (conf.task_serializer, conf.accept_content) == ("json", ["json"])


def test_no_result_is_kept_beside_the_ledger(settings: Settings) -> None:
    conf = create_app(settings).conf
    assert conf.result_backend is None
    assert conf.task_ignore_result is True


def test_a_message_outlives_its_worker_and_none_is_hoarded(settings: Settings) -> None:
    conf = create_app(settings).conf
    assert (conf.task_acks_late, conf.task_reject_on_worker_lost) == (True, True)
    assert conf.worker_prefetch_multiplier == 1


def test_a_queue_that_nobody_consumes_cannot_be_sent_to(settings: Settings) -> None:
    app = create_app(settings)
    assert [queue.name for queue in app.conf.task_queues] == list(QUEUES)
    assert all(isinstance(queue, Queue) for queue in app.conf.task_queues)
    with pytest.raises(QueueNotFound, match="prepare-serie"):
        app.amqp.router.route({"queue": "prepare-serie"}, "medqueue.prepare_series")


def test_the_url_that_is_set_wins_over_the_embedded_socket(tmp_path: Path) -> None:
    named = Settings(data_dir=tmp_path, redis_url="redis://elsewhere:6379/3")
    assert broker_url(named) == "redis://elsewhere:6379/3"
    assert broker_url(Settings(data_dir=tmp_path)).startswith("redis+socket:///")


def test_a_broker_that_is_away_is_told_without_its_address(settings: Settings) -> None:
    with pytest.raises(UnavailableError, match="the broker does not answer") as caught:
        require_answer(settings)()
    assert str(settings.data_dir) not in caught.value.detail
