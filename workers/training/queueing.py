"""Putting a training into the queue, for a worker with the role train."""

import shutil
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from kombu.exceptions import KombuError
from redis.exceptions import RedisError

from medqueue.broker.app import create_app
from medqueue.broker.publishing import publish_trainings
from medqueue.ledger import schema, trainings
from medqueue.ledger.engine import open_ledger
from medqueue.settings import load_settings
from schemas.identifiers import new_id
from workers.training.config import read_config
from workers.training.produce import check_folder


def queue_training(config: Path, folder: Path) -> str:
    """Record a training and ring for it; return its id.

    The configuration is copied, so it may change afterwards.

    Raises:
        ConfigurationError: the file or the folder is none to train with.
    """
    read_config(config)
    check_folder(folder)
    settings = load_settings()
    ledger = open_ledger(settings.ledger_url)
    try:
        schema.require_current(ledger)
        settings.trainings_dir.mkdir(parents=True, exist_ok=True)
        id_ = new_id()
        shutil.copyfile(config, settings.trainings_dir / f"{id_}.toml")
        now = datetime.now(UTC)
        trainings.add(
            ledger, id_, folder=str(folder.resolve()), started_in=str(Path.cwd()), now=now
        )
        # The relay rings again later, should the broker be away.
        with suppress(RedisError, KombuError, OSError):
            publish_trainings(create_app(settings), trainings.take_due(ledger, now=now))
        return id_
    finally:
        ledger.close()
