"""Where each input of the demo stands: asked over HTTP, as any other program would."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import httpx

from medqueue.operate.demo_inputs import DemoReport, DemoStudy
from schemas.result import Result, ResultKind
from schemas.work import Stage, WorkState

STEPS: dict[ResultKind, tuple[str, ...]] = {
    ResultKind.IMAGE: ("received", "complete", "prepare", "diagnose", "result"),
    ResultKind.TEXT: ("received", "read", "result"),
}
_STEP_OF_STAGE = {
    Stage.PREPARE_SERIES: "prepare",
    Stage.DIAGNOSE_IMAGE: "diagnose",
    Stage.DIAGNOSE_REPORT: "read",
}


@dataclass(slots=True)
class Tracked:
    """One input, followed from its last byte to its result."""

    item: DemoStudy | DemoReport
    address: str
    """Path of its history in the API."""
    sent_at: datetime
    steps: list[str] = field(default_factory=lambda: ["received"])
    """The steps that it has reached, in order."""
    result: Result | None = None

    @property
    def as_expected(self) -> bool:
        """Whether it has ended as it should."""
        return self.result is not None and self.result.status is self.item.expected

    @property
    def seconds(self) -> float | None:
        """Seconds from the last byte to the result."""
        if self.result is None:
            return None
        return (self.result.completed_at - self.sent_at).total_seconds()


def refresh(client: httpx.Client, tracked: Tracked) -> None:
    """Ask where one input stands, and note new steps and the result.

    Raises:
        httpx.HTTPError: the API does not answer.
    """
    answer = client.get(tracked.address)
    answer.raise_for_status()
    history = answer.json()
    for step in _reached(history):
        if step not in tracked.steps:
            tracked.steps.append(step)
    if history["results"]:
        tracked.result = Result.model_validate(history["results"][-1])
        tracked.steps.append("result")


def _reached(history: dict[str, Any]) -> list[str]:
    """Return the steps that a history shows, in their order."""
    steps = ["complete"] if history.get("completed_at") else []
    parts = history.get("series", [history])
    begun = {
        Stage(work["stage"])
        for part in parts
        for work in part["work"]
        if WorkState(work["state"]) is not WorkState.PENDING
    }
    return steps + [step for stage, step in _STEP_OF_STAGE.items() if stage in begun]
