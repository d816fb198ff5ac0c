"""A model version that the ledger knows."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict

from schemas.manifest import Manifest


class RegisteredModel(BaseModel):
    """A version with its manifest, and whether new inputs go to it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    manifest: Manifest
    released: bool
    registered_at: datetime
    released_at: datetime | None
    """When it was last made the one that new inputs go to; None if never."""
    shadow: bool = False
    """Whether it runs beside the released one, unseen."""
