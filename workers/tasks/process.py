"""What the tasks of one worker process share: ledger, stores, and loaded models."""

import functools
import os
import platform
import threading
from dataclasses import dataclass

from celery import Celery, current_app
from celery.signals import celeryd_after_setup, worker_process_init, worker_shutting_down
from celery.worker import WorkController

from medqueue.broker.routing import Role, queues_of
from medqueue.ledger.engine import Ledger, open_ledger
from medqueue.settings import Settings, load_settings
from medqueue.storage.artifacts import ArtifactStore
from medqueue.storage.instances import InstanceStore
from schemas.manifest import Engine, Manifest
from workers.diagnose_report import Labeler
from workers.diagnose_study import SeriesDiagnosis
from workers.inference.host import ModelHost
from workers.inference.reading import ImageModel
from workers.models.agreement import Mapping, parse_mapping
from workers.models.lexicon import parse_lexicon
from workers.models.rules import RuleLabeler
from workers.models.shelf import take_package
from workers.preprocess.isolated import IsolatedPreparation, Nursery
from workers.tasks.warming import Warming

_NURSERY = Nursery()
"""Of decoders; the processes of a pool share the one of their parent."""


@dataclass(frozen=True, slots=True)
class WorkerProcess:
    """One process of a worker; its threads share it."""

    name: str
    settings: Settings
    ledger: Ledger
    app: Celery
    series: SeriesDiagnosis
    networks: ModelHost[ImageModel]
    labelers: ModelHost[Labeler]
    mappings: ModelHost[Mapping]


@functools.cache
def worker_process() -> WorkerProcess:
    """Return this process's share, opened on first use."""
    settings = load_settings()
    ledger = open_ledger(settings.ledger_url)

    def load_network(manifest: Manifest) -> ImageModel:
        from workers.inference.session import Session  # torch: gpu workers alone need it

        return Session(take_package(manifest, settings.models_dir))

    def load_labeler(manifest: Manifest) -> Labeler:
        package = take_package(manifest, settings.models_dir)
        if manifest.engine is Engine.RULES:
            return RuleLabeler(parse_lexicon(package.weights))
        from workers.inference.reader import TextReader  # torch: rules alone do without

        return TextReader(package)

    def load_mapping(manifest: Manifest) -> Mapping:
        return parse_mapping(take_package(manifest, settings.models_dir).weights)

    return WorkerProcess(
        name=f"{platform.node()}:{os.getpid()}",
        settings=settings,
        ledger=ledger,
        app=current_app._get_current_object(),  # noqa: SLF001 - a pool's thread may outlive the proxy
        series=SeriesDiagnosis(
            ledger,
            InstanceStore(settings.instances_dir, min_free_mib=settings.min_free_mib),
            ArtifactStore(settings.artifacts_dir),
            IsolatedPreparation(_NURSERY),
        ),
        networks=ModelHost(load_network),
        labelers=ModelHost(load_labeler),
        mappings=ModelHost(load_mapping),
    )


@celeryd_after_setup.connect
def _warm_up(instance: WorkController, **_: object) -> None:
    """Load what the first study would wait for: decoders, or the released image models."""
    wanted = set(instance.app.amqp.queues.consume_from)
    if not wanted.isdisjoint(queues_of(Role.TRAIN)):
        return
    if wanted.isdisjoint(queues_of(Role.GPU)):
        _NURSERY.start()
        return
    process = worker_process()
    warming = Warming(process.ledger, process.networks)
    warming.load()
    stop = threading.Event()
    worker_shutting_down.connect(lambda **_: stop.set(), weak=False)
    # A daemon: a model that is being loaded does not keep the process from its end.
    threading.Thread(target=warming.follow, args=(stop,), name="warming", daemon=True).start()


@worker_process_init.connect
def _forget_parent(**_: object) -> None:
    """A forked process must not share its parent's database connections."""
    worker_process.cache_clear()
