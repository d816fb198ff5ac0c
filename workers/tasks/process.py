"""What the tasks of one worker process share: ledger, stores, and loaded models."""

import functools
import os
import platform
from dataclasses import dataclass

from celery.signals import worker_process_init

from medqueue.ledger.engine import Ledger, open_ledger
from medqueue.settings import Settings, load_settings
from medqueue.storage.artifacts import ArtifactStore
from medqueue.storage.instances import InstanceStore
from schemas.manifest import Manifest
from workers.diagnose_study import SeriesDiagnosis
from workers.inference.host import ModelHost
from workers.inference.session import Session
from workers.models.lexicon import parse_lexicon
from workers.models.rules import RuleLabeler
from workers.models.shelf import take_package


@dataclass(frozen=True, slots=True)
class WorkerProcess:
    """One process of a worker; its threads share it."""

    name: str
    settings: Settings
    ledger: Ledger
    series: SeriesDiagnosis
    sessions: ModelHost[Session]
    labelers: ModelHost[RuleLabeler]


@functools.cache
def worker_process() -> WorkerProcess:
    """Return this process's share, opened on first use."""
    settings = load_settings()
    ledger = open_ledger(settings.ledger_url)

    def load_session(manifest: Manifest) -> Session:
        return Session(take_package(manifest, settings.data_dir))

    def load_labeler(manifest: Manifest) -> RuleLabeler:
        return RuleLabeler(parse_lexicon(take_package(manifest, settings.data_dir).weights))

    return WorkerProcess(
        name=f"{platform.node()}:{os.getpid()}",
        settings=settings,
        ledger=ledger,
        series=SeriesDiagnosis(
            ledger,
            InstanceStore(settings.instances_dir, min_free_mib=settings.min_free_mib),
            ArtifactStore(settings.artifacts_dir),
        ),
        sessions=ModelHost(load_session),
        labelers=ModelHost(load_labeler),
    )


@worker_process_init.connect
def _forget_parent(**_: object) -> None:
    """A forked process must not share its parent's database connections."""
    worker_process.cache_clear()
