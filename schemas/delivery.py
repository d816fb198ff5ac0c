"""Deliveries: one result on its way to one destination."""

from datetime import datetime
from enum import StrEnum

from pydantic import BaseModel, ConfigDict


class DeliveryState(StrEnum):
    """Where a delivery stands."""

    PENDING = "pending"
    """Due at `next_try_at`, or being tried now."""
    DELIVERED = "delivered"
    """The destination has said that it has it."""
    FAILED = "failed"
    """Refused for good, or unanswered for too long. It can be requeued."""


class Delivery(BaseModel):
    """One row, as people and programs see it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    result_id: str
    destination: str
    state: DeliveryState
    attempts: int
    next_try_at: datetime
    error_code: str | None
    error_detail: str | None
    created_at: datetime
    delivered_at: datetime | None
