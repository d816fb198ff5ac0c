"""Bad senders in simulated time: studies closed too early, and how long the others waited.

The ledger and the rules are the real ones; only the clock is made up. The same studies are closed
by the evidence, and by plain timers that know nothing but when the last object came.
"""

import hashlib
import random
import statistics
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import select

from medqueue.doors.consignment import Consignment
from medqueue.ledger import completeness, evidence, intake, schema
from medqueue.ledger.engine import Ledger, open_ledger
from medqueue.ledger.patience import Patience
from medqueue.ledger.tables import studies
from medqueue.operate.bench import Row
from medqueue.operate.bench.bad_senders import SENDERS, Brings, Declares, Ends, Sender, Step
from schemas.completeness import Evidence, EvidenceKind
from schemas.study import InstanceHeader, StoredInstance
from schemas.work import Priority

_STUDIES = 25
_STAGGER_SECONDS = 1.0
_BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
_CT_STORAGE = "1.2.840.10008.5.1.4.1.1.2"


@dataclass(frozen=True, slots=True)
class _Policy:
    name: str
    patience: Patience
    hears_evidence: bool = False


_POLICIES = (
    _Policy("timer of 5 s", Patience(5.0, 0.0)),
    _Policy("timer of 30 s", Patience(30.0, 0.0)),
    _Policy(
        "evidence",
        Patience(
            5.0,
            30.0,
            quiet_times={("US_ROOM", "US"): 20.0},
            whole_study_aes=frozenset({"ARCHIVE"}),
        ),
        hears_evidence=True,
    ),
)
"""The evidence has what the how-to tells a site to set for such senders."""


@dataclass(slots=True)
class _Course:
    """How one study went."""

    last_object_at: datetime = _BEGIN
    closed_at: list[datetime] = field(default_factory=list)

    @property
    def is_early(self) -> bool:
        """Whether it was closed before its last new object came."""
        return self.closed_at[0] < self.last_object_at

    @property
    def delay(self) -> float:
        """Seconds from its last new object until it was closed for good."""
        return (self.closed_at[-1] - self.last_object_at).total_seconds()


def run() -> list[Row]:
    """Let every sender send the same studies under every policy."""
    rows = []
    for sender in SENDERS:
        early: dict[str, float] = {}
        delay: dict[str, float] = {}
        for policy in _POLICIES:
            courses = simulate(sender, policy, _STUDIES)
            early[policy.name] = 100 * statistics.mean(course.is_early for course in courses)
            delay[policy.name] = statistics.median(course.delay for course in courses)
        rows += _rows(f"{sender.name}: closed too early", "%", early)
        rows += _rows(f"{sender.name}: median delay", "s", delay)
    return rows


def _rows(case: str, unit: str, values: dict[str, float]) -> list[Row]:
    against = _POLICIES[0].name
    base = values[against]
    return [
        Row(
            f"{case}, {name}",
            round(value, 2),
            unit,
            round(value / base, 2) if base and name != against else None,
            against if base and name != against else None,
        )
        for name, value in values.items()
    ]


def simulate(sender: Sender, policy: _Policy, count: int) -> list[_Course]:
    """Return how each study of a sender goes under a policy."""
    with tempfile.TemporaryDirectory(prefix="medqueue-bench-") as folder:
        ledger = open_ledger(f"sqlite:///{Path(folder) / 'ledger.sqlite3'}")
        schema.upgrade(ledger)
        hospital = _Hospital(ledger, sender, policy)
        hospital.go_through(_steps(sender, count))
        ledger.close()
        return list(hospital.courses.values())


def _steps(sender: Sender, count: int) -> list[tuple[float, str, Step]]:
    """Return the steps of all studies in the order of time; each study has its own seed."""
    found = [
        (number * _STAGGER_SECONDS + step.at, f"1.2.{number}", step)
        for number in range(count)
        for step in sender.script(random.Random(number))  # noqa: S311 - a simulation
    ]
    return sorted(found, key=lambda one: one[0])


class _Hospital:
    """One sender, one ledger, and a relay that judges at the very moment."""

    def __init__(self, ledger: Ledger, sender: Sender, policy: _Policy) -> None:
        self._ledger = ledger
        self._sender = sender
        self._policy = policy
        self._now = _BEGIN
        self._consignments: dict[tuple[str, int], Consignment] = {}
        self.courses: dict[str, _Course] = {}

    def go_through(self, steps: Sequence[tuple[float, str, Step]]) -> None:
        """Take all steps, and judge until every study is closed."""
        for seconds, study, step in steps:
            self._judge_until(_BEGIN + timedelta(seconds=seconds))
            self._take(study, step)
        self._judge_until(None)

    def _judge_until(self, moment: datetime | None) -> None:
        patience = self._policy.patience
        while True:
            wait = completeness.seconds_until_next(self._ledger, patience=patience, now=self._now)
            due_at = None if wait is None else self._now + timedelta(seconds=wait)
            if due_at is None or (moment is not None and due_at >= moment):
                break
            self._now = due_at
            closed = completeness.complete_studies(
                self._ledger, patience=patience, max_attempts=1, limit=_STUDIES, now=self._now
            )
            for study in self._uids(closed):
                self.courses[study].closed_at.append(self._now)
        self._now = moment or self._now

    def _take(self, study: str, step: Step) -> None:
        match step:
            case Brings():
                self._bring(study, step)
            case Ends() if self._policy.hears_evidence:
                self._consignment(study, step.association).end(is_orderly=step.is_orderly)
            case Declares() if self._policy.hears_evidence:
                said = Evidence(EvidenceKind.DECLARED, "ris", self._now, instances=step.instances)
                with self._ledger.write(lasting=False) as connection:
                    evidence.record(connection, [(study, said)])

    def _bring(self, study: str, step: Brings) -> None:
        header = self._header(study, step)
        digest = hashlib.sha256(header.sop_instance_uid.encode()).hexdigest()
        stored = StoredInstance(path=f"{digest}.dcm", sha256=digest, size=1)
        with self._ledger.write(lasting=False) as connection:
            disposition = intake.record_instance(
                connection, header, stored, calling_ae=self._sender.calling_ae, now=self._now
            )
        if disposition is not None:
            self.courses.setdefault(study, _Course()).last_object_at = self._now
        if self._policy.hears_evidence:
            self._consignment(study, step.association).note(header)

    def _consignment(self, study: str, association: int) -> Consignment:
        key = (study, association)
        if key not in self._consignments:
            calling_ae = self._sender.calling_ae
            self._consignments[key] = Consignment(self._ledger, calling_ae, lambda: self._now)
        return self._consignments[key]

    def _header(self, study: str, step: Brings) -> InstanceHeader:
        return InstanceHeader(
            study_instance_uid=study,
            series_instance_uid=f"{study}.1",
            sop_instance_uid=f"{study}.1.{step.number}",
            sop_class_uid=_CT_STORAGE,
            transfer_syntax_uid="1.2.840.10008.1.2.1",
            patient_id=None,
            accession_number=None,
            modality=self._sender.modality,
            body_part=None,
            view_position=None,
            instance_number=step.number,
            priority=Priority.ROUTINE,
            announced=step.announced,
        )

    def _uids(self, ids: Iterable[str]) -> list[str]:
        statement = select(studies.c.study_instance_uid).where(studies.c.id.in_(list(ids)))
        with self._ledger.read() as connection:
            return list(connection.execute(statement).scalars())
