"""How far a shadow agrees with what was released, on the inputs that both concluded on."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Connection, and_, func, select

from medqueue.ledger.tables import results, shadow_results
from schemas.finding import Presence
from schemas.result import ResultStatus

_MOST_INPUTS = 20_000
"""Of the newest that are compared, so that a busy year costs no more than that."""
_STRENGTH = {Presence.ABSENT: 0, Presence.UNCERTAIN: 1, Presence.PRESENT: 2}


class LabelAgreement(BaseModel):
    """One label, on the inputs where at least one of both versions states it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    label: str
    stated: int = Field(description="Inputs where at least one of both states it.")
    agreed: int = Field(description="Of these, those where both state the same presence.")
    mean_difference: float | None = Field(
        description="Mean absolute difference of the probabilities; null where a rule decided."
    )
    largest_difference: float | None


class Beside(BaseModel):
    """A shadow and one released version that has run beside it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: str = Field(description="Of the released one.")
    inputs: int = Field(description="Inputs of the same content that both concluded on.")
    labels: tuple[LabelAgreement, ...]


class Shadow(BaseModel):
    """What one version did as a shadow, now or formerly."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: str
    ended: dict[ResultStatus, int] = Field(description="How its work ended; requeued work again.")
    beside: tuple[Beside, ...]


def compare_shadows(connection: Connection, name: str) -> list[Shadow]:
    """Return what each version of a model did as a shadow, compared with what was released.

    Of a label that is stated several times, such as once a side, the strongest presence counts.
    """
    ended: dict[str, dict[ResultStatus, int]] = defaultdict(dict)
    counted = (
        select(shadow_results.c.model_version, shadow_results.c.status, func.count())
        .where(shadow_results.c.model_name == name)
        .group_by(shadow_results.c.model_version, shadow_results.c.status)
        .order_by(shadow_results.c.model_version, shadow_results.c.status)
    )
    for version, status, count in connection.execute(counted):
        ended[version][ResultStatus(status)] = count
    pairs = _tally(connection, name)
    return [
        Shadow(
            version=version,
            ended=counts,
            beside=tuple(
                tally.told(released)
                for (shadow, released), tally in sorted(pairs.items())
                if shadow == version
            ),
        )
        for version, counts in ended.items()
    ]


class _Tally:
    """Counts, of one pair of versions."""

    def __init__(self) -> None:
        self._inputs = 0
        self._stated: Counter[str] = Counter()
        self._agreed: Counter[str] = Counter()
        self._differences: defaultdict[str, list[float]] = defaultdict(list)

    def add(self, ours: Iterable[dict[str, Any]], theirs: Iterable[dict[str, Any]]) -> None:
        """Count the findings of both on one input."""
        self._inputs += 1
        mine, other = _strongest(ours), _strongest(theirs)
        for label in mine.keys() | other.keys():
            self._stated[label] += 1
            if label not in mine or label not in other:
                continue
            one, two = mine[label], other[label]
            self._agreed[label] += one["presence"] == two["presence"]
            if one["probability"] is not None and two["probability"] is not None:
                self._differences[label].append(abs(one["probability"] - two["probability"]))

    def told(self, released: str) -> Beside:
        """Return what was counted beside a released version."""
        labels = []
        for label in sorted(self._stated):
            differences = self._differences[label]
            labels.append(
                LabelAgreement(
                    label=label,
                    stated=self._stated[label],
                    agreed=self._agreed[label],
                    mean_difference=sum(differences) / len(differences) if differences else None,
                    largest_difference=max(differences, default=None),
                )
            )
        return Beside(version=released, inputs=self._inputs, labels=tuple(labels))


def _tally(connection: Connection, name: str) -> dict[tuple[str, str], _Tally]:
    """Compare input by input; return the counts by shadow and released version."""
    same_input = and_(
        results.c.subject_id == shadow_results.c.subject_id,
        results.c.input_digest == shadow_results.c.input_digest,
        results.c.model_name == shadow_results.c.model_name,
        # A promoted shadow may have met an input again that it saw as a shadow.
        results.c.model_version != shadow_results.c.model_version,
    )
    rows = connection.execute(
        select(
            shadow_results.c.model_version.label("shadow"),
            results.c.model_version.label("released"),
            shadow_results.c.findings.label("ours"),
            results.c.findings.label("theirs"),
        )
        .join(results, same_input)
        .where(
            shadow_results.c.model_name == name,
            shadow_results.c.status == ResultStatus.FINAL,
            results.c.status.in_([ResultStatus.FINAL, ResultStatus.AMENDED]),
        )
        .order_by(shadow_results.c.completed_at.desc())
        .limit(_MOST_INPUTS)
    )
    pairs: defaultdict[tuple[str, str], _Tally] = defaultdict(_Tally)
    for row in rows:
        pairs[row.shadow, row.released].add(row.ours, row.theirs)
    return pairs


def _strongest(findings: Iterable[dict[str, Any]]) -> Mapping[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for finding in findings:
        held = found.get(finding["label"])
        strength = _STRENGTH[Presence(finding["presence"])]
        if held is None or strength > _STRENGTH[Presence(held["presence"])]:
            found[finding["label"]] = finding
    return found
