"""One series, in two stages: prepare its images, then let a model diagnose them."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Row

from medqueue.errors import ArtifactLostError, InstanceLostError, UnsupportedInputError
from medqueue.ledger import planning
from medqueue.ledger.engine import Ledger
from medqueue.storage.artifacts import ArtifactStore
from medqueue.storage.instances import InstanceStore
from schemas.manifest import ImagePreparation, Manifest
from schemas.preparation import TablePreparation
from schemas.result import Outcome
from schemas.work import Claim, FollowUp, Stage
from workers.inference.conclusion import conclude
from workers.inference.reading import ImageModel
from workers.preprocess.fitness import refuse_unfit_pixels

_IMAGES = "images"

Prepare = Callable[[Sequence[Path], ImagePreparation, TablePreparation | None], NDArray[np.float32]]
"""Prepared images (images, planes, rows, columns) of files; see `workers.preprocess.isolated`."""


class SeriesDiagnosis:
    """What both stages need: the ledger's index, the objects, and the files between the stages."""

    def __init__(
        self,
        ledger: Ledger,
        instances: InstanceStore,
        artifacts: ArtifactStore,
        prepare_files: Prepare,
    ) -> None:
        self._ledger = ledger
        self._instances = instances
        self._artifacts = artifacts
        self._prepare_files = prepare_files

    def prepare(self, claim: Claim, manifest: Manifest) -> FollowUp | None:
        """Leave the series' images, as the model wants them, in a file for the next stage.

        Returns:
            The next stage, or None where the series has grown since: then its new content has
            work of its own, or will have when the study is quiet again.

        Raises:
            UndecodableError: an image is damaged; a series with a hole is not diagnosed.
            UnsupportedInputError: an image is of a form that the model cannot take, or is none to
                ask any model about.
        """
        rows = self._planned_rows(claim, manifest)
        if rows is None:
            return None
        name = self._artifacts.put(claim.id, {_IMAGES: self._prepared(rows, manifest)})
        return FollowUp(Stage.DIAGNOSE_IMAGE, manifest.name, manifest.version, name)

    def diagnose(self, claim: Claim, manifest: Manifest, model: ImageModel) -> Outcome | None:
        """Let the model look at the prepared images; None as for `prepare`.

        A shadow prepares them itself: it has this one stage, and nobody waits for it.

        Raises:
            ForeignImageError: an image is too far from those that the model was trained on.
        """
        rows = self._planned_rows(claim, manifest)
        if rows is None:
            return None
        left = self._left_for(claim)
        images = self._prepared(rows, manifest) if left is None else left
        outcome = conclude(images, manifest, model, explained=claim.stage is not Stage.SHADOW_IMAGE)
        uids = tuple(row.sop_instance_uid for row in rows)
        return outcome.model_copy(update={"sop_instance_uids": uids})

    def forget(self, claim: Claim) -> None:
        """Remove the file between the stages, once the result is in the ledger."""
        if claim.artifact is not None:
            self._artifacts.drop(claim.artifact)

    def _left_for(self, claim: Claim) -> NDArray[np.float32] | None:
        """Return what the first stage left. A wiped folder costs time, not a result."""
        if claim.artifact is None:
            return None
        try:
            return self._artifacts.get(claim.artifact)[_IMAGES]
        except ArtifactLostError:
            return None

    def _planned_rows(self, claim: Claim, manifest: Manifest) -> Sequence[Row[Any]] | None:
        """Return the instances that the work is about, or None if there are others by now."""
        with self._ledger.statement() as connection:
            kept = planning.kept_instances(connection, claim.subject_id)
        fitting, _ = planning.fitting_instances(manifest, kept)
        digest = planning.digest_of(row.sha256 for row in fitting)
        return fitting if digest == claim.input_digest else None

    def _prepared(self, rows: Sequence[Row[Any]], manifest: Manifest) -> NDArray[np.float32]:
        if manifest.preparation is None:
            raise UnsupportedInputError(f"{manifest.name} does not say how to prepare images")
        paths = [self._path_of(row) for row in rows]
        images = self._prepare_files(paths, manifest.preparation, manifest.table)
        refuse_unfit_pixels(images[:, :1], manifest.preparation)
        return images

    def _path_of(self, row: Row[Any]) -> Path:
        path = self._instances.path_of(row.path)
        if not path.is_file():
            raise InstanceLostError(
                f"the file of instance {row.id} is not in the instance store; mount or restore "
                "the store, then requeue"
            )
        return path
