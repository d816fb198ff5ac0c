"""What a model concludes of the prepared images of one series: findings, cautions, pictures."""

import numpy as np
from numpy.typing import NDArray

from schemas.finding import Finding, Presence
from schemas.identifiers import new_id
from schemas.manifest import Manifest
from schemas.result import InputFigures, Outcome, Picture, ResultStatus
from workers.inference.gate import cautions_on
from workers.inference.overlay import draw_overlay
from workers.inference.reading import ImageModel, Reading


def conclude(
    images: NDArray[np.float32], manifest: Manifest, model: ImageModel, *, explained: bool = True
) -> Outcome:
    """Let the model read images (n, 1, rows, columns), and judge what it says.

    A finding's probability is the highest over the images: what one view shows is there.
    `explained` is false where nobody will look at the pictures.

    Raises:
        ForeignImageError: an image is too far from those that the model was trained on; then no
            finding is stated, of the others neither.
    """
    reading = model.read(images)
    cautions = cautions_on(manifest, reading.distances)
    best = reading.probabilities.argmax(axis=0)
    findings, pictures = [], []
    for at, (label, image) in enumerate(zip(manifest.labels, best, strict=True)):
        finding = label.judge(float(reading.probabilities[image, at]))
        picture = _explain(finding, at, images[image], manifest, model) if explained else None
        if picture is not None:
            finding = finding.model_copy(update={"explanation": picture.address})
            pictures.append(picture)
        findings.append(finding)
    return Outcome(
        status=ResultStatus.FINAL,
        model=manifest.reference(),
        findings=tuple(findings),
        cautions=cautions,
        figures=_figures(images, reading, manifest),
        pictures=tuple(pictures),
    )


def _explain(
    finding: Finding,
    label: int,
    image: NDArray[np.float32],
    manifest: Manifest,
    model: ImageModel,
) -> Picture | None:
    """Return the picture of a finding that is present, of the image that shows it best."""
    if finding.presence is not Presence.PRESENT or manifest.preparation is None:
        return None
    explanation = model.explain(image, label)
    if explanation is None:
        return None
    content = draw_overlay(image, explanation, finding, manifest, manifest.preparation)
    return Picture(id=new_id(), content=content)


def _figures(
    images: NDArray[np.float32], reading: Reading, manifest: Manifest
) -> InputFigures | None:
    if manifest.preparation is None:
        return None
    grey = images[:, :1] * manifest.preparation.std + manifest.preparation.mean
    return InputFigures(
        intensity=float(grey.mean()),
        contrast=float(grey.std(axis=(1, 2, 3)).mean()),
        score=float(reading.probabilities.max()),
        distance=None if reading.distances is None else float(reading.distances.max()),
    )
