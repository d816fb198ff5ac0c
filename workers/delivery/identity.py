"""Identifiers of the objects that we make: the same result gives the same ones, on every try."""

from enum import StrEnum
from uuid import UUID, uuid5

_NAMESPACE = UUID("8c5ad3a4-6a1e-5d0c-9f57-3f1b5d6f2a11")
"""Any fixed one; a new one would give every object sent so far a second identity."""


class Made(StrEnum):
    """What is made of one result."""

    STRUCTURED_REPORT = "structured-report"
    SECONDARY_CAPTURE = "secondary-capture"


def series_uid(result_id: str, made: Made) -> str:
    """Return the Series Instance UID of what is made of a result."""
    return _uid(f"{result_id}/{made}")


def instance_uid(result_id: str, made: Made) -> str:
    """Return the SOP Instance UID of what is made of a result."""
    return _uid(f"{result_id}/{made}/1")


def _uid(name: str) -> str:
    # PS3.5 section B.2: a UID derived from a UUID.
    return f"2.25.{uuid5(_NAMESPACE, name).int}"
