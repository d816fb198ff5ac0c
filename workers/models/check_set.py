"""The file of a check set: a few inputs with the probabilities that the model must give."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load as load_safetensors
from safetensors.numpy import save as save_safetensors

from medqueue.errors import PackageError

MAX_INPUTS = 256
"""A check runs before each release; more would only take longer."""


@dataclass(frozen=True, slots=True)
class ImageChecks:
    """Prepared images (n, 1, rows, columns) float32 with their probabilities (n, labels)."""

    images: NDArray[np.float32]
    probabilities: NDArray[np.float32]


class TextCheck(BaseModel):
    """A text with the probability of each label of the model, in order."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: str
    language: str | None = None
    probabilities: tuple[float, ...]


_TEXT_CHECK = TypeAdapter(TextCheck)


def write_image_checks(checks: ImageChecks) -> bytes:
    """Return the content of the file for images."""
    return save_safetensors({"images": checks.images, "probabilities": checks.probabilities})


def parse_image_checks(content: bytes) -> ImageChecks:
    """Read the file for images; whether it fits the model shows when the model runs.

    Raises:
        PackageError: it is not such a file, or holds nothing or too much.
    """
    try:
        arrays = load_safetensors(content)
        images, probabilities = arrays["images"], arrays["probabilities"]
    except (SafetensorError, KeyError) as error:
        raise PackageError(
            "the check set must be safetensors with 'images' and 'probabilities': "
            f"{str(error).splitlines()[0]}"
        ) from error
    if images.dtype != np.float32 or probabilities.dtype != np.float32:
        raise PackageError("the images and probabilities of the check set must be float32")
    _require_some(len(images))
    return ImageChecks(images, probabilities)


def write_text_checks(checks: Sequence[TextCheck]) -> bytes:
    """Return the content of the file for texts."""
    return "".join(f"{check.model_dump_json()}\n" for check in checks).encode()


def parse_text_checks(content: bytes) -> list[TextCheck]:
    """Read the file for texts.

    Raises:
        PackageError: as for images.
    """
    lines = content.splitlines()
    _require_some(len(lines))
    try:
        return [_TEXT_CHECK.validate_json(line) for line in lines]
    except ValidationError as error:
        # Without the input: a vendor's text may be a patient's.
        fault = error.errors(include_input=False, include_url=False)[0]
        raise PackageError(
            "each line of the check set must be JSON with text, language and probabilities: "
            f"{fault['msg']}"
        ) from None


def _require_some(count: int) -> None:
    if not 0 < count <= MAX_INPUTS:
        raise PackageError(f"the check set has {count} inputs; needed are 1 to {MAX_INPUTS}")
