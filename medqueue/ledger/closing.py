"""The rules that say, from what is known about an open study, whether it is complete.

In the order of their strength: a person closes; missing objects make it wait, up to the longest
wait; all expected ones close it; a declaration or a release that is worth one closes it; an abort
makes it wait; and nothing known, the quiet time decides, without proof.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from medqueue.ledger.patience import Patience
from schemas.completeness import ClosedBy, Evidence, EvidenceKind

_KNOWING = frozenset({EvidenceKind.ARCHIVE_COUNT, EvidenceKind.AVAILABILITY, EvidenceKind.DECLARED})
"""Sources whose number is believed when it is met. What objects announce is believed only once
their association is released, while it has not changed, and if it is more than one: some senders
announce how many there are so far, beginning with one."""

_ENDS = frozenset({EvidenceKind.ASSOCIATION_RELEASED, EvidenceKind.ASSOCIATION_ABORTED})


@dataclass(frozen=True, slots=True)
class OpenStudy:
    """What is known about a study that may be complete."""

    calling_ae: str | None
    last_instance_at: datetime
    series: Mapping[str, tuple[str | None, int]]
    """By Series Instance UID: its modality, and how many SOP Instance UIDs have come."""
    evidence: tuple[Evidence, ...]

    @property
    def received(self) -> int:
        """How many SOP Instance UIDs have come."""
        return sum(count for _, count in self.series.values())


@dataclass(frozen=True, slots=True)
class Expectation:
    """What the numbers that somebody gave come to, against what has come."""

    missing: int
    """Objects that must still come, at least."""
    is_counted: bool
    """The whole study was counted, by somebody who is believed, and that many have come."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Why the study is complete, or when to judge it again unless something comes."""

    closed_by: ClosedBy | None
    look_at: datetime | None = None


def judge(study: OpenStudy, patience: Patience, now: datetime) -> Verdict:
    """Decide whether a study is complete."""
    expected = expectation(study)
    closed_by = _known_by(study, expected, patience)
    if closed_by is not None:
        return Verdict(closed_by)
    quiet = patience.quiet_of(study.calling_ae, [modality for modality, _ in study.series.values()])
    if (expected is not None and expected.missing) or _is_cut_off(study):
        return _after(max(quiet, patience.longest_wait_seconds), study, now, ClosedBy.LONGEST_WAIT)
    return _after(quiet, study, now, ClosedBy.QUIET_TIME)


def expectation(study: OpenStudy) -> Expectation | None:
    """Return what the numbers come to, or None where nobody gave one that can be true.

    A number below what has come is out of date. Of those that remain the highest counts: to wait
    for nothing costs time, to miss an object costs a diagnosis.
    """
    missing: list[int] = []
    of_series: dict[str, int] = {}
    is_counted = False
    for one in study.evidence:
        if one.kind is EvidenceKind.ANNOUNCED and not one.is_steady:
            continue
        if one.series_instance_uid is not None:
            _, has = study.series.get(one.series_instance_uid, (None, 0))
            lacks = max(_lack(one.instances, has), default=0)
            of_series[one.series_instance_uid] = max(
                lacks, of_series.get(one.series_instance_uid, 0)
            )
            continue
        missing += _lack(one.series, len(study.series))
        if lack := _lack(one.instances, study.received):
            missing += lack
            is_counted |= _is_believed(one, study)
    missing += [sum(of_series.values())] if of_series else []
    return Expectation(max(missing), is_counted) if missing else None


def _known_by(
    study: OpenStudy, expected: Expectation | None, patience: Patience
) -> ClosedBy | None:
    """Return by what the study is known to be complete, without waiting."""
    said = {one.kind for one in study.evidence if one.at >= study.last_instance_at}
    if EvidenceKind.PERSON in said:
        return ClosedBy.PERSON
    if expected is not None and expected.missing:
        return None
    if expected is not None and expected.is_counted:
        return ClosedBy.ALL_EXPECTED
    if EvidenceKind.DECLARED in said:
        return ClosedBy.DECLARED
    released_by = _released_by(study)
    return ClosedBy.ASSOCIATION_RELEASED if released_by in patience.whole_study_aes else None


def _lack(expected: int | None, has: int) -> list[int]:
    """Return what is missing, or nothing where no number is given or it is out of date."""
    return [] if expected is None or expected < has else [expected - has]


def _is_believed(count: Evidence, study: OpenStudy) -> bool:
    if count.kind in _KNOWING:
        return True
    return _released_by(study) == count.source and (count.instances or 0) > 1


def _released_by(study: OpenStudy) -> str | None:
    end = _last_end(study)
    if end is None or end.kind is not EvidenceKind.ASSOCIATION_RELEASED:
        return None
    return end.source


def _is_cut_off(study: OpenStudy) -> bool:
    end = _last_end(study)
    return end is not None and end.kind is EvidenceKind.ASSOCIATION_ABORTED


def _last_end(study: OpenStudy) -> Evidence | None:
    """Return how the last association that brought some of it ended, if nothing came since."""
    ends = [one for one in study.evidence if one.kind in _ENDS and one.at >= study.last_instance_at]
    return max(ends, key=lambda one: one.at, default=None)


def _after(seconds: float, study: OpenStudy, now: datetime, closed_by: ClosedBy) -> Verdict:
    until = study.last_instance_at + timedelta(seconds=seconds)
    return Verdict(closed_by) if now >= until else Verdict(None, until)
