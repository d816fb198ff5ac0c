"""A load of studies and texts, sent as a PACS and a HIS do, and the count of what came of it."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from builders import work_rows
from chest_images import a_picture, a_uid, an_image
from medqueue.errors import UnavailableError
from schemas.work import WorkState
from waiting import wait_until
from whole_system import System

PROVEN_SECONDS = 40


@dataclass
class Sent:
    """What senders were told, and what was done to the system meanwhile."""

    studies: set[str] = field(default_factory=set)
    texts: set[str] = field(default_factory=set)
    faults: Counter[str] = field(default_factory=Counter)

    @property
    def accepted(self) -> int:
        return len(self.studies) + len(self.texts)


def send_everything(system: System, folder: Path, sent: Sent, *, studies: int, texts: int) -> None:
    """Send all: what is not accepted is sent again."""
    for number in range(max(studies, texts)):
        if number < studies:
            study = a_uid()
            image = an_image(folder, study=study, pixels=a_picture(800, 800))
            until_accepted(lambda image=image: not system.try_to_push(image).failed)
            sent.studies.add(study)
        if number < texts:
            key = {"Idempotency-Key": f"text-{number}"}
            content = {"text": f"No pneumothorax, text {number}.", "urgent": number % 5 == 0}
            until_accepted(lambda content=content, key=key: post(system, content, key, sent))


def post(system: System, content: dict[str, Any], headers: dict[str, str], sent: Sent) -> bool:
    answer = httpx.post(f"{system.url}/reports", json=content, headers=headers, timeout=20)
    if answer.is_success:
        sent.texts.add(answer.json()["id"])
    return answer.is_success


def until_accepted(attempt: Any) -> None:
    def is_accepted() -> bool:
        try:
            return bool(attempt())
        except (UnavailableError, httpx.TransportError):
            return False

    wait_until(is_accepted, PROVEN_SECONDS, what="an acceptance")


def open_work(system: System) -> bool:
    ended = (WorkState.DONE, WorkState.FAILED, WorkState.DISCARDED)
    return any(row.state not in ended for row in work_rows(system.ledger))


def audit(system: System, sent: Sent) -> dict[str, list[str]]:
    """Compare what the senders were told with the feed; who is lost, who is doubled, who failed."""
    found = Counter[str]()
    failed = []
    for result in system.feed():
        subject = result["study_instance_uid"] or result["report_id"]
        found[subject] += 1
        if result["status"] != "final":
            failed.append(subject)
    accepted = sent.studies | sent.texts
    return {
        "lost": sorted(accepted - set(found)),
        "doubled": sorted(subject for subject, times in found.items() if times > 1),
        "unknown": sorted(set(found) - accepted),
        "not final": failed,
    }
