"""Which architectures there are: our own, and those that other packages bring by entry point.

Another distribution adds one with an entry point in the group `medqueue.architectures`: its name is
that of the architecture, its value a `Builder`.
"""

from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import Protocol

from torch import nn

from medqueue.errors import PackageError
from workers.models.cnn import ResidualCnn
from workers.models.compound import Ensemble, ExclusiveClasses, ImageTableFusion
from workers.models.monai_networks import VisionTransformer, build_densenet, build_resnet
from workers.models.rnn import BiGru
from workers.models.transformer import TextTransformer

ENTRY_POINT_GROUP = "medqueue.architectures"

Parameters = Mapping[str, int | float | str | bool]
"""The `parameters` table of a manifest."""


class Builder(Protocol):
    """Makes an untrained network that maps a batch to logits (n, labels).

    A batch is (n, 1, rows, columns) or (n, 1, slices, rows, columns) float32 for images and token
    numbers (n, length) int64 for texts; a network for texts is an `attention.TextNetwork`. Images
    with a table have further planes, one a number of their row (`preprocess.tabular.with_rows`).
    """

    def __call__(self, labels: int, **parameters: float | str | bool) -> nn.Module:
        """Build it for so many labels."""


def _build_ensemble(
    labels: int, *, member: str, members: int, **parameters: float | str | bool
) -> nn.Module:
    """Build `members` networks of the architecture `member`, each with the other parameters."""
    return Ensemble([build(member, labels, parameters) for _ in range(members)])


def _build_fusion(
    labels: int, *, image: str, columns: int, features: int = 32, **parameters: float | str | bool
) -> nn.Module:
    """Build a network of the architecture `image` beside a table of so many columns."""
    network = build(image, features, parameters)
    return ImageTableFusion(network, features=features, columns=columns, labels=labels)


def _build_exclusive(
    labels: int,
    *,
    network: str,
    background: int | None = None,
    **parameters: float | str | bool,
) -> nn.Module:
    """Build a network of the architecture `network` for a class each label, and a background."""
    classes = labels if background is None else labels + 1
    scores = build(network, classes, parameters)
    return ExclusiveClasses(scores, classes=classes, background=background)


BUILDERS: Mapping[str, Builder] = {
    "residual-cnn": ResidualCnn,  # type: ignore[dict-item]
    "resnet": build_resnet,  # type: ignore[dict-item]
    "densenet": build_densenet,  # type: ignore[dict-item]
    "vision-transformer": VisionTransformer,  # type: ignore[dict-item]
    "bi-gru": BiGru,  # type: ignore[dict-item]
    "text-transformer": TextTransformer,  # type: ignore[dict-item]
    "ensemble": _build_ensemble,  # type: ignore[dict-item]
    "image-table": _build_fusion,  # type: ignore[dict-item]
    "exclusive-classes": _build_exclusive,  # type: ignore[dict-item]
}


def architectures() -> dict[str, Builder]:
    """Return every known architecture by name; ours cannot be replaced by another package's."""
    found: dict[str, Builder] = {
        entry.name: entry.load() for entry in entry_points(group=ENTRY_POINT_GROUP)
    }
    return found | dict(BUILDERS)


def build(architecture: str, labels: int, parameters: Parameters) -> nn.Module:
    """Build an untrained network; unknown names and parameters that do not fit are refused."""
    known = architectures()
    if architecture not in known:
        names = ", ".join(sorted(known))
        raise PackageError(
            f"the architecture {architecture!r} is not known here; known are: {names}. "
            f"Install the package that provides it (entry point group {ENTRY_POINT_GROUP})"
        )
    try:
        return known[architecture](labels, **parameters)
    except (TypeError, ValueError) as error:
        raise PackageError(
            f"the architecture {architecture!r} does not take these parameters: {error}"
        ) from error
