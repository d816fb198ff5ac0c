"""The yardstick of `medqueue bench queue`: the same work as a plain Celery chain, without a ledger.

Nothing else uses it: what is lost here stays lost.
"""

import functools
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
from celery import shared_task
from celery.signals import celeryd_after_setup, worker_process_init
from celery.worker import WorkController
from numpy.typing import NDArray

from medqueue.broker.app import create_app
from medqueue.broker.routing import Role, queues_of
from medqueue.logs import configure_logs
from medqueue.settings import Settings, load_settings
from medqueue.storage.artifacts import ArtifactStore
from medqueue.storage.packages import read_manifest
from schemas.manifest import ImagePreparation, Manifest
from schemas.result import ResultKind
from workers.models.package import bundled_packages
from workers.models.shelf import take_package
from workers.preprocess.pixels import prepare_image

PREPARE, DIAGNOSE = "plain.prepare", "plain.diagnose"
_IMAGES = "images"


@dataclass(frozen=True, slots=True)
class _Process:
    settings: Settings
    manifest: Manifest
    preparation: ImagePreparation
    artifacts: ArtifactStore


@functools.cache
def _process() -> _Process:
    settings = load_settings()
    manifests = (read_manifest(folder) for folder in bundled_packages())
    manifest = next(one for one in manifests if one.kind is ResultKind.IMAGE)
    if manifest.preparation is None:
        raise AssertionError("an image model says how to prepare images")
    return _Process(settings, manifest, manifest.preparation, ArtifactStore(settings.artifacts_dir))


@functools.cache
def _predict() -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
    from workers.inference.session import Session  # torch: gpu workers alone need it

    process = _process()
    return Session(take_package(process.manifest, process.settings.models_dir)).predict


@shared_task(name=PREPARE)
def prepare(file: str) -> str:
    """Prepare one image to a file, and return its name."""
    process = _process()
    images = prepare_image(Path(file), process.preparation)
    return process.artifacts.put(Path(file).stem, {_IMAGES: images})


@shared_task(name=DIAGNOSE)
def diagnose(artifact: str, folder: str) -> None:
    """Diagnose the prepared image, and leave the result as a file."""
    process = _process()
    probabilities = _predict()(process.artifacts.get(artifact)[_IMAGES]).max(axis=0)
    findings = {
        label.name: float(probability)
        for label, probability in zip(process.manifest.labels, probabilities, strict=True)
    }
    name = Path(artifact).stem
    partial = Path(folder) / f"{name}.part"
    partial.write_text(json.dumps(findings), encoding="utf-8")
    partial.rename(partial.with_suffix(".json"))
    process.artifacts.drop(artifact)


@celeryd_after_setup.connect
def _warm_up(instance: WorkController, **_: object) -> None:
    if not set(instance.app.amqp.queues.consume_from).isdisjoint(queues_of(Role.GPU)):
        _predict()


@worker_process_init.connect
def _forget_parent(**_: object) -> None:
    _process.cache_clear()


@click.command()
@click.option("--role", type=click.Choice([role.value for role in Role]), required=True)
def main(role: str) -> None:
    """Run a worker with the pools and settings of ours."""
    settings = load_settings()
    configure_logs(f"plain-{role}", settings.log_level)
    app = create_app(settings)
    app.conf.include = [__name__]
    pool = {
        Role.CPU: ["--pool=prefork", f"--concurrency={settings.cpu_processes}"],
        Role.GPU: ["--pool=threads", f"--concurrency={settings.gpu_threads}"],
    }[Role(role)]
    queues = ",".join(queues_of(Role(role)))
    quiet = ["--without-mingle", "--without-gossip", f"--loglevel={settings.log_level}"]
    app.worker_main(["worker", f"--hostname=plain-{role}@%h", f"--queues={queues}", *quiet, *pool])
