"""The verdict: what the senders were told against what the feed, the ledger and the disk hold."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

from sqlalchemy import func, select

from chaos.campaign.senders import Told
from medqueue.ledger.engine import Ledger
from medqueue.ledger.tables import results, studies, work
from schemas.study import StudyState
from schemas.work import WorkState
from whole_system import System, run

_TERMINAL = {"final", "amended", "failed", "skipped"}


@dataclass(frozen=True)
class Verdict:
    studies: int
    texts: int
    results: int
    lost: list[str]
    doubled: list[str]
    refused_for_good: int
    statuses: dict[str, int]
    errors: dict[str, int]
    audit_exit: int
    audit: str
    messages_mean: float
    messages_most: int
    longest_gap: float
    """Seconds between two results that follow each other."""

    @property
    def passed(self) -> bool:
        return not (self.lost or self.doubled or self.refused_for_good or self.audit_exit)


def is_quiet(ledger: Ledger) -> bool:
    """Whether nothing is received, waits or is in work."""
    busy = work.c.state.in_([WorkState.PENDING, WorkState.RUNNING])
    receiving = studies.c.state == StudyState.RECEIVING
    with ledger.read() as connection:
        return not any(
            connection.execute(select(func.count()).select_from(table).where(condition)).scalar()
            for table, condition in ((work, busy), (studies, receiving))
        )


def judge(system: System, told: Told) -> Verdict:
    feed = system.feed()
    lost, doubled = [], []
    for uid, accepted in told.studies.items():
        of_study = [result for result in feed if result["study_instance_uid"] == uid]
        seen = {uid for result in of_study for uid in result["sop_instance_uids"]}
        has_end = any(result["status"] in _TERMINAL for result in of_study)
        ends_without_images = all(result["status"] in {"failed", "skipped"} for result in of_study)
        if not has_end or not (accepted <= seen or ends_without_images):
            lost.append(uid)
        doubled += [uid for _ in _repeated(_image_key(result) for result in of_study)]
    for name, ids in told.texts.items():
        of_text = [result for result in feed if result["report_id"] == name]
        if not of_text:
            lost.append(name)
        doubled += [name for _ in _repeated(_model_key(result) for result in of_text)]
        doubled += [name] * (len(ids) - 1)
    doubled += [f"seq {seq}" for seq in _repeated(result["seq"] for result in feed)]
    if [result["seq"] for result in feed] != sorted(result["seq"] for result in feed):
        doubled.append("the feed is out of order")
    with system.ledger.read() as connection:
        recorded = connection.execute(select(func.count()).select_from(results)).scalar_one()
    if recorded != len(feed):
        lost.append(f"the ledger has {recorded} results, the feed {len(feed)}")
    audited = run(system, "audit")
    messages = _messages(system.logs)
    return Verdict(
        studies=len(told.studies),
        texts=len(told.texts),
        results=len(feed),
        lost=lost,
        doubled=doubled,
        refused_for_good=told.refused_for_good,
        statuses=dict(Counter(result["status"] for result in feed)),
        errors=dict(Counter(result["error"]["code"] for result in feed if result["error"])),
        audit_exit=audited.returncode,
        audit=audited.stdout + audited.stderr,
        messages_mean=sum(messages.values()) / len(messages) if messages else 0.0,
        messages_most=max(messages.values(), default=0),
        longest_gap=_longest_gap(feed),
    )


def _image_key(result: dict[str, Any]) -> str:
    """One result for each content of a series and model version."""
    return json.dumps(
        [result["series_instance_uid"], sorted(result["sop_instance_uids"]), _model_key(result)]
    )


def _model_key(result: dict[str, Any]) -> str:
    return json.dumps(result["model"], sort_keys=True)


def _repeated(keys: Iterable[Any]) -> list[Any]:
    return [key for key, times in Counter(keys).items() if times > 1]


def _messages(logs: Path) -> Counter[str]:
    """Count the messages of each piece of work in the logs of those that send any."""
    counts: Counter[str] = Counter()
    for log in (*logs.glob("relay.log*"), *logs.glob("worker-cpu.log*")):
        for line in log.read_text(errors="replace").splitlines():
            if '"published"' in line:
                try:
                    counts.update(json.loads(line)["works"])
                except (ValueError, KeyError):
                    continue  # cut off by a full disk
    return counts


def _longest_gap(feed: list[dict[str, Any]]) -> float:
    times = sorted(datetime.fromisoformat(result["completed_at"]) for result in feed)
    return max(((b - a).total_seconds() for a, b in pairwise(times)), default=0.0)


def stuck(ledger: Ledger) -> dict[str, int]:
    """Count what keeps a system from being quiet, by state."""
    with ledger.read() as connection:
        rows = connection.execute(
            select(work.c.stage, work.c.state, func.count()).group_by(work.c.stage, work.c.state)
        ).all()
    found: dict[str, int] = defaultdict(int)
    for stage, state, count in rows:
        found[f"{stage} {state}"] += count
    return dict(found)
