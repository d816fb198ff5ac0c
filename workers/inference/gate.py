"""Judging an image by its distance from the training images: usual, to be marked, or foreign."""

import numpy as np
from numpy.typing import NDArray

from medqueue.errors import ForeignImageError, ModelError
from schemas.manifest import Gate, Manifest
from schemas.result import Caution

UNUSUAL = "unusual-image"


def cautions_on(manifest: Manifest, distances: NDArray[np.float32] | None) -> tuple[Caution, ...]:
    """Return what readers of the result should know, by the levels of the manifest.

    Args:
        manifest: of the model; without `[gate]` nothing is judged.
        distances: of the images of one series.

    Raises:
        ForeignImageError: an image is beyond the level at which it is refused.
        ModelError: the manifest has a gate, but no distances were measured.
    """
    gate = manifest.gate
    if gate is None:
        return ()
    if distances is None:
        raise ModelError(f"{manifest.name} has a gate, but what runs it measures no distance")
    farthest = float(distances.max(initial=0))
    if gate.refuse_beyond is not None and not farthest <= gate.refuse_beyond:
        raise ForeignImageError(
            f"{_place(distances)} is foreign to {manifest.name} {manifest.version}: distance "
            f"{farthest:.2f} from its training images, refused beyond {gate.refuse_beyond:.2f}"
        )
    if not farthest <= gate.mark_beyond:
        return (_caution(gate, manifest, distances),)
    return ()


def _caution(gate: Gate, manifest: Manifest, distances: NDArray[np.float32]) -> Caution:
    return Caution(
        code=UNUSUAL,
        detail=f"{_place(distances)} is unusual for {manifest.name} {manifest.version}: distance "
        f"{float(distances.max()):.2f} from its training images, usual up to "
        f"{gate.mark_beyond:.2f}; its probabilities may mean less here",
    )


def _place(distances: NDArray[np.float32]) -> str:
    return f"image {int(np.argmax(distances)) + 1} of {len(distances)}"
