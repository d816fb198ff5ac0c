"""The picture of an explanation: the prepared image, what spoke for the finding, and a legend."""

from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from schemas.finding import Finding
from schemas.manifest import ImagePreparation, Manifest, Saliency
from workers.inference.reading import Explanation

_SIDE = 448
"""Width of the picture in pixels; small prepared images are enlarged without smoothing."""
_LINE, _FONT_SIZE, _MARGIN = 18, 13, 8
_STRONGEST = 0.5
"""Opacity where most speaks for the finding; the image stays visible below."""
# Dark to light and from violet to yellow, so that it reads without colour vision too.
_ANCHORS = np.array([[40, 11, 84], [101, 21, 110], [188, 55, 84], [249, 142, 9], [252, 255, 164]])
_NAMES = {Saliency.GRAD_CAM: "Grad-CAM", Saliency.INTEGRATED_GRADIENTS: "Integrated gradients"}


def draw_overlay(
    image: NDArray[np.float32],
    explanation: Explanation,
    finding: Finding,
    manifest: Manifest,
    preparation: ImagePreparation,
) -> bytes:
    """Return a PNG without metadata; nothing on it says whose image it is.

    Args:
        image: as prepared, (1, rows, columns).
        explanation: of that image.
        finding: what was found.
        manifest: of the model that found it.
        preparation: undoes the normalisation.
    """
    grey = np.clip(image[0] * preparation.std + preparation.mean, 0, 1)
    strength = explanation.values[..., np.newaxis] * _STRONGEST
    mixed = (1 - strength) * grey[..., np.newaxis] * 255 + strength * _coloured(explanation.values)
    rows, columns = grey.shape
    shown = Image.fromarray(np.rint(mixed).astype(np.uint8)).resize(
        (_SIDE, max(1, round(_SIDE * rows / columns))), Image.Resampling.NEAREST
    )
    said = f" {finding.probability:.0%}" if finding.probability is not None else ""
    use = "cleared for clinical use" if manifest.cleared_for_clinical_use else None
    lines = [
        f"{finding.label}{said}: {_NAMES[explanation.method]}",
        f"{manifest.name} {manifest.version}, as the model saw it: {columns} x {rows}",
        use or "Research only, not for clinical use",
    ]
    picture = Image.new("RGB", (_SIDE, shown.height + _LINE * (len(lines) + 1) + 2 * _MARGIN))
    picture.paste(shown, (0, 0))
    _write_legend(picture, shown.height + _MARGIN, lines)
    content = BytesIO()
    picture.save(content, "PNG", optimize=False)
    return content.getvalue()


def _write_legend(picture: Image.Image, top: int, lines: list[str]) -> None:
    draw = ImageDraw.Draw(picture)
    font = ImageFont.load_default(_FONT_SIZE)
    for number, line in enumerate(lines):
        draw.text((_MARGIN, top + number * _LINE), line, fill="white", font=font)
    scale = np.linspace(0, 1, 120, dtype=np.float32)[np.newaxis].repeat(10, axis=0)
    below = top + len(lines) * _LINE
    draw.text((_MARGIN, below), "speaks for it: little", fill="white", font=font)
    start = _MARGIN + int(draw.textlength("speaks for it: little ", font=font))
    bar = Image.fromarray(np.rint(_coloured(scale)).astype(np.uint8))
    picture.paste(bar, (start, below + 4))
    draw.text((start + bar.width + _MARGIN, below), "much", fill="white", font=font)


def _coloured(values: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return colours (..., 3), 0..255, of values 0..1."""
    at = np.linspace(0, 1, len(_ANCHORS))
    return np.stack([np.interp(values, at, channel) for channel in _ANCHORS.T], axis=-1)
