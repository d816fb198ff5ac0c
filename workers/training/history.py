"""The history of a training: a line of JSON for each epoch, written while it runs.

A line is `{"epoch", "of", "step", "loss", "learning_rate", "val": {"loss", "auroc", "accuracy"}}`.
"""

import json
from pathlib import Path
from typing import Any

from workers.training.progress import Epoch, Start

HISTORY_NAME = "history.jsonl"
MAX_HISTORY_BYTES = 64 * 1024**2
"""A line has some 200 bytes; more is no history of ours."""


class History:
    """Writes the history of one training into its folder."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / HISTORY_NAME

    def begin(self, start: Start) -> None:
        """Begin it anew with the epochs that count: a killed process may have written more."""
        part = self._path.with_suffix(".part")
        part.write_text("".join(map(_line, start.epochs)), encoding="utf-8")
        part.replace(self._path)

    def batch(self, done: int) -> None:
        """Write nothing: a line is of an epoch."""

    def epoch(self, epoch: Epoch) -> None:
        """Add its line."""
        with self._path.open("a", encoding="utf-8") as file:
            file.write(_line(epoch))


def read_history(folder: Path) -> list[dict[str, Any]]:
    """Return the lines of the training that made the package in a folder; none if it has none."""
    path = folder / HISTORY_NAME
    if not path.is_file() or path.stat().st_size > MAX_HISTORY_BYTES:
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _line(epoch: Epoch) -> str:
    content = {
        "epoch": epoch.number,
        "of": epoch.of,
        "step": epoch.step,
        "loss": epoch.loss,
        "learning_rate": epoch.learning_rate,
        "val": dict(epoch.validation),
    }
    return json.dumps(content) + "\n"
