"""The tasks that Celery finds: one for each stage, and training. A message holds one opaque id."""

from celery import shared_task

from schemas.manifest import Manifest
from schemas.result import Outcome
from schemas.training import TRAINING_TASK
from schemas.work import TASK_NAMES, Claim, FollowUp, Stage
from workers.cross_check import cross_check
from workers.diagnose_report import diagnose_report
from workers.tasks.performing import WorkFailed, perform
from workers.tasks.process import worker_process
from workers.tasks.queued_training import perform_training


@shared_task(name=TASK_NAMES[Stage.PREPARE_SERIES], throws=(WorkFailed,))
def prepare_series(work_id: str) -> None:
    """Prepare the images of one series for one model."""
    process = worker_process()

    def do(claim: Claim, manifest: Manifest) -> FollowUp | None:
        return process.series.prepare(claim, manifest)

    perform(process, work_id, do)


@shared_task(name=TASK_NAMES[Stage.DIAGNOSE_IMAGE], throws=(WorkFailed,))
def diagnose_image(work_id: str) -> None:
    """Let one model diagnose one prepared series."""
    process = worker_process()

    def do(claim: Claim, manifest: Manifest) -> Outcome | None:
        return process.series.diagnose(claim, manifest, process.networks.get(manifest))

    ended = perform(process, work_id, do)
    if ended is not None:
        process.series.forget(ended)


@shared_task(name=TASK_NAMES[Stage.SHADOW_IMAGE], throws=(WorkFailed,))
def shadow_image(work_id: str) -> None:
    """Let one model, which is not released, diagnose one series unseen."""
    diagnose_image(work_id)


@shared_task(name=TASK_NAMES[Stage.SHADOW_REPORT], throws=(WorkFailed,))
def shadow_report(work_id: str) -> None:
    """Let one model, which is not released, read one report text unseen."""
    diagnose_report_text(work_id)


@shared_task(name=TASK_NAMES[Stage.DIAGNOSE_REPORT], throws=(WorkFailed,))
def diagnose_report_text(work_id: str) -> None:
    """Let one model read one report text."""
    process = worker_process()

    def do(claim: Claim, manifest: Manifest) -> Outcome:
        return diagnose_report(process.ledger, claim, manifest, process.labelers.get(manifest))

    perform(process, work_id, do)


@shared_task(name=TASK_NAMES[Stage.CROSS_CHECK], throws=(WorkFailed,))
def cross_check_report(work_id: str) -> None:
    """Compare what an image model and a rules model say of one study and its report."""
    process = worker_process()

    def do(claim: Claim, manifest: Manifest) -> Outcome | None:
        mapping = process.mappings.get(manifest)
        return cross_check(process.ledger, claim, manifest, mapping, process.labelers.get)

    perform(process, work_id, do)


@shared_task(name=TRAINING_TASK, throws=(WorkFailed,))
def train(training_id: str) -> None:
    """Train one model and write its package."""
    perform_training(worker_process(), training_id)
