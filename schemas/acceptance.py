"""Whether a model was made for an input, judged by the input's header alone."""

import re

from schemas.manifest import Accepts
from schemas.result import ResultError

_PRESENTABLE = re.compile(r"[A-Z0-9_. ]{1,64}")


def image_refusal(
    accepts: Accepts,
    *,
    modality: str | None,
    sop_class_uid: str,
    body_part: str | None,
    view_position: str | None,
) -> ResultError | None:
    """Return why a model must not see this image, or None if it may.

    A missing Body Part Examined or View Position passes: many senders leave them out, unless the
    model requires the former. A missing Modality does not, since it is a type 1 attribute (PS3.3
    section C.7.3.1).
    """
    if accepts.modalities and modality not in accepts.modalities:
        return _refuse("modality-not-accepted", "modality", modality, accepts.modalities)
    if accepts.sop_classes and sop_class_uid not in accepts.sop_classes:
        return _refuse("sop-class-not-accepted", "SOP Class", sop_class_uid, accepts.sop_classes)
    named = body_part or accepts.body_part_required
    if accepts.body_parts and named and body_part not in accepts.body_parts:
        return _refuse("body-part-not-accepted", "body part", body_part, accepts.body_parts)
    if view_position and view_position in accepts.excluded_views:
        shown = _presentable(view_position)
        return ResultError(
            code="view-not-accepted", detail=f"view position {shown} is one the model never saw"
        )
    return None


def text_refusal(accepts: Accepts, *, language: str) -> ResultError | None:
    """Return why a model must not read this text, or None if it may."""
    if language.partition("-")[0] in accepts.languages:
        return None
    return _refuse("language-not-accepted", "language", language.upper(), accepts.languages)


def _refuse(code: str, what: str, value: str | None, accepted: tuple[str, ...]) -> ResultError:
    detail = f"{what} {_presentable(value)} is not among {', '.join(accepted)}"
    return ResultError(code=code, detail=detail)


def _presentable(value: str | None) -> str:
    """Return a header value if it can be a code; anything else might be a name."""
    if not value:
        return "(missing)"
    return value if _PRESENTABLE.fullmatch(value) else "(not a code)"
