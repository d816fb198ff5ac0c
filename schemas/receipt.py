"""The receipt of a result: what it was derived from and by, so that it can be derived again."""

import hashlib
import json

from pydantic import BaseModel, ConfigDict


class Receipt(BaseModel):
    """Digests are SHA-256 in small hexadecimal letters."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    input: str
    """Digest of the set of instances, or of the report as it came."""
    preparation: str
    """Digest of the tables of the manifest that say how the input is prepared."""
    weights: str
    """Digest of the weights or rules."""
    settings: str
    """Digest of the whole manifest: labels, thresholds, calibration, digests of all files."""
    medqueue: str
    """Version."""
    engine: str
    """What ran the weights, with its version."""
    libraries: dict[str, str]
    """Versions of what decodes, resizes and computes beside it."""
    device: str
    """`cpu` or `cuda` with its model, and the vector instructions that the engine uses."""
    threads: int | None
    """That one computation was shared by; None where there is nothing to share."""
    seed: int | None = None
    """None: no step from an input to its findings draws by chance."""

    def same_environment(self, other: "Receipt") -> bool:
        """Return whether equal inputs must give findings that are equal to the bit."""
        return all(
            getattr(self, name) == getattr(other, name)
            for name in ("medqueue", "engine", "libraries", "device", "threads")
        )


def digest_of(tables: object) -> str:
    """Return the digest of tables of a manifest, as dumped for JSON; the order does not matter."""
    text = json.dumps(tables, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()
