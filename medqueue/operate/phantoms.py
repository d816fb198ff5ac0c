"""Made-up pixels that look like a chest radiograph or a CT slice from afar; nobody's body."""

import numpy as np
from numpy.typing import NDArray

_RIBS = 9


def chest(rows: int, columns: int, *, bits: int, opacity: float, seed: int) -> NDArray[np.uint16]:
    """Return a frontal chest radiograph as MONOCHROME2: air is dark, bone is bright.

    Args:
        rows: height.
        columns: width.
        bits: bits stored; values use most of their range.
        opacity: how dense a patch in one lower lung is, from 0 to 1.
        seed: of the noise.
    """
    y, x = _grid(rows, columns)
    image = 0.62 * _soft_ellipse(x, y, (0.0, 0.15), (0.92, 1.25))
    for side in (-1, 1):
        lung = _soft_ellipse(x, y, (side * 0.42, -0.05), (0.30, 0.62))
        ribs = 0.5 + 0.5 * np.cos((y + 0.25 * np.abs(x)) * _RIBS * np.pi)
        image -= lung * (0.42 - 0.06 * ribs)
    image += 0.22 * _soft_ellipse(x, y, (0.0, 0.0), (0.09, 1.3))  # spine
    image += 0.20 * _soft_ellipse(x, y, (0.14, 0.28), (0.30, 0.26))  # heart
    image += opacity * 0.45 * _soft_ellipse(x, y, (-0.42, 0.30), (0.22, 0.20))
    return _digitise(image, bits, noise=0.012, seed=seed)


def ct_slice(size: int, *, level: float, seed: int) -> NDArray[np.uint16]:
    """Return an axial slice, in values that a rescale intercept of -1024 makes Hounsfield units.

    Args:
        size: rows and columns.
        level: place along the body, from 0 to 1.
        seed: of the noise.
    """
    y, x = _grid(size, size)
    body = _soft_ellipse(x, y, (0.0, 0.0), (0.85, 0.65))
    lungs = sum(
        _soft_ellipse(x, y, (side * 0.38, -0.05), (0.24, 0.30 + 0.15 * level)) for side in (-1, 1)
    )
    bone = _soft_ellipse(x, y, (0.0, 0.42), (0.10, 0.10))
    hounsfield = -1000 + body * 1040 - lungs * 850 + bone * 600
    noise = np.random.default_rng(seed).normal(0, 12, hounsfield.shape)
    return np.clip(hounsfield + noise + 1024, 0, 4095).astype(np.uint16)


def _grid(rows: int, columns: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    y, x = np.ogrid[-1 : 1 : rows * 1j, -1 : 1 : columns * 1j]
    return y.astype(np.float32), x.astype(np.float32)


def _soft_ellipse(
    x: NDArray[np.float32],
    y: NDArray[np.float32],
    centre: tuple[float, float],
    radii: tuple[float, float],
) -> NDArray[np.float32]:
    """Return 1 inside, 0 outside, and a smooth edge between."""
    distance = ((x - centre[0]) / radii[0]) ** 2 + ((y - centre[1]) / radii[1]) ** 2
    edge: NDArray[np.float32] = 1 / (1 + np.exp(np.clip((distance - 1) * 9, -30, 30)))
    return edge


def _digitise(
    image: NDArray[np.float32], bits: int, *, noise: float, seed: int
) -> NDArray[np.uint16]:
    grain = np.random.default_rng(seed).standard_normal(image.shape, dtype=np.float32) * noise
    full = 2**bits - 1
    digital: NDArray[np.uint16] = (np.clip(image + grain, 0, 1) * full * 0.9).astype(np.uint16)
    return digital
