"""Every source of chance in training: seeded, put down, and taken up again."""

import random
from typing import Any

import numpy as np
import torch


def seed_everything(seed: int) -> torch.Generator:
    """Seed every source of chance that torch and its layers use; return our own generator."""
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - libraries that torch calls draw from the old generator
    torch.manual_seed(seed)
    return torch.Generator().manual_seed(seed)


def chance_state() -> dict[str, Any]:
    """Return the states of all generators of this process but our own."""
    kind, keys, *rest = np.random.get_state()  # noqa: NPY002 - see seed_everything
    return {
        "python": random.getstate(),
        "numpy": [kind, np.asarray(keys).tolist(), *rest],
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def restore_chance(state: dict[str, Any]) -> None:
    """Set all generators of this process to the states that `chance_state` returned."""
    version, numbers, gauss = state["python"]
    random.setstate((version, tuple(numbers), gauss))
    kind, keys, *rest = state["numpy"]
    np.random.set_state((kind, np.array(keys, dtype=np.uint32), *rest))  # noqa: NPY002 - see above
    torch.set_rng_state(state["torch"])
    if state["cuda"]:
        torch.cuda.set_rng_state_all(state["cuda"])
