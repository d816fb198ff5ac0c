"""The DICOM objects of one result on images: a Structured Report, and a Secondary Capture."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from medqueue.errors import InstanceLostError
from medqueue.results.deliverable import Deliverable
from schemas.manifest import ImagePreparation
from workers.delivery.evidence import read_evidence
from workers.delivery.secondary_capture import preparation_for_display, secondary_capture
from workers.delivery.structured_report import structured_report

Prepare = Callable[[Sequence[Path], ImagePreparation], NDArray[np.float32]]
"""Prepared images (images, 1, rows, columns) of files; see `workers.preprocess.isolated`."""


def objects_of(
    deliverable: Deliverable,
    path_of: Callable[[str], Path],
    prepare: Prepare,
    *,
    window: tuple[float, float] | None,
) -> list[Dataset]:
    """Make the objects of a result; the same ones at every call.

    Args:
        deliverable: the result and its files.
        path_of: where a file of the instance store lies.
        prepare: decodes, apart from this process.
        window: that the model looks through, if it has one of its own.

    Raises:
        InstanceLostError: an image is not there any more.
        WorkError: one cannot be read any more.
    """
    result = deliverable.result
    paths = [
        path_of(deliverable.files[uid])
        for uid in result.sop_instance_uids
        if uid in deliverable.files
    ]
    if len(paths) < len(result.sop_instance_uids) or not all(path.is_file() for path in paths):
        raise InstanceLostError(
            "an image of the result is not in the instance store; restore it, then requeue"
        )
    evidence = [read_evidence(path) for path in paths]
    # Of a volume, its middle.
    at = len(paths) // 2
    display = preparation_for_display(evidence[at], window)
    frames = prepare([paths[at]], display)
    grey = np.rint(frames[len(frames) // 2, 0] * 255).astype(np.uint8)
    return [
        structured_report(result, evidence, amends=deliverable.amends),
        secondary_capture(result, evidence[at], grey),
    ]
