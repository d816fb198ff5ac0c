"""A worker process for tests: a real ledger and stores, no Celery, and a clock that is set."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pytest
from celery import Celery

from builders import after
from medqueue.errors import PackageError
from medqueue.ledger.engine import Ledger
from medqueue.settings import Settings
from medqueue.storage.artifacts import ArtifactStore
from medqueue.storage.instances import InstanceStore
from schemas.manifest import Manifest
from workers.diagnose_study import SeriesDiagnosis
from workers.inference.host import ModelHost
from workers.inference.reading import ImageModel
from workers.models.agreement import Mapping
from workers.models.rules import RuleLabeler
from workers.preprocess.series import prepare_series
from workers.tasks import performing
from workers.tasks.process import WorkerProcess


@dataclass
class Clock:
    """The time in seconds after the start of the test."""

    seconds: float = 10

    def __call__(self) -> datetime:
        return after(self.seconds)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The time at which work is performed."""
    clock = Clock()
    monkeypatch.setattr(performing, "_now", clock)
    return clock


@pytest.fixture
def process(ledger: Ledger, tmp_path: Path, clock: Clock) -> WorkerProcess:
    """A process without any model: a test hands in what a task would do."""
    settings = Settings(data_dir=tmp_path)
    app = Celery("worker", broker="memory://")

    def no_network(manifest: Manifest) -> ImageModel:
        raise PackageError(f"{manifest.name} is not here")

    def no_mapping(manifest: Manifest) -> Mapping:
        raise PackageError(f"{manifest.name} is not here")

    def no_labeler(manifest: Manifest) -> RuleLabeler:
        raise PackageError(f"{manifest.name} is not here")

    return WorkerProcess(
        name="host:7",
        settings=settings,
        ledger=ledger,
        app=app,
        series=SeriesDiagnosis(
            ledger,
            InstanceStore(settings.instances_dir, min_free_mib=0),
            ArtifactStore(settings.artifacts_dir),
            prepare_series,
        ),
        networks=ModelHost(no_network),
        labelers=ModelHost(no_labeler),
        mappings=ModelHost(no_mapping),
    )
