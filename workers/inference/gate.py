"""Whether an image is one that the model was made for, judged by its header alone."""

from schemas.manifest import Manifest
from schemas.result import ResultError


def refusal(
    manifest: Manifest,
    *,
    modality: str | None,
    sop_class_uid: str,
    body_part: str | None,
    view_position: str | None,
) -> ResultError | None:
    """Return why the model must not look at this image, or None where it may.

    An empty list in the manifest accepts everything. An image without Body Part Examined or View
    Position passes, since many senders leave them out; one without Modality does not, since it is
    a type 1 attribute (PS3.3 section C.7.3.1). The sentences quote only the manifest: header
    values are the sender's free text.
    """
    accepts = manifest.accepts
    if accepts.sop_classes and sop_class_uid not in accepts.sop_classes:
        return ResultError(
            code="sop-class-not-accepted",
            detail=f"{manifest.name} was not made for objects of this SOP Class",
        )
    if accepts.modalities and _code(modality) not in _codes(accepts.modalities):
        return ResultError(
            code="modality-not-accepted",
            detail=f"{manifest.name} was made for Modality {_listed(accepts.modalities)} only",
        )
    if accepts.body_parts and _code(body_part) not in _codes((*accepts.body_parts, "")):
        return ResultError(
            code="body-part-not-accepted",
            detail=(
                f"{manifest.name} was made for Body Part Examined "
                f"{_listed(accepts.body_parts)} only"
            ),
        )
    if _code(view_position) in _codes(accepts.excluded_views):
        return ResultError(
            code="view-not-accepted",
            detail=(
                f"{manifest.name} has never seen images of View Position "
                f"{_listed(accepts.excluded_views)}"
            ),
        )
    return None


def _code(value: str | None) -> str:
    """Bring a Code String to the form in which it is compared (PS3.5 section 6.2, VR CS)."""
    return (value or "").strip().upper()


def _codes(values: tuple[str, ...]) -> frozenset[str]:
    return frozenset(_code(value) for value in values)


def _listed(values: tuple[str, ...]) -> str:
    return ", ".join(values)
