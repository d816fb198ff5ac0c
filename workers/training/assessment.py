"""Everything that is told of a finished model on labelled data, as values for JSON and report."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from schemas.manifest import Engine, Label, Manifest
from workers.models.network import build_network
from workers.models.package import Package
from workers.training import bootstrap
from workers.training.bootstrap import Interval, wilson
from workers.training.conformal import Sets, sets_of
from workers.training.curves import Curve, OperatingPoint, curve_of, operating_points
from workers.training.evaluate import evaluate_probabilities
from workers.training.measure import Measured
from workers.training.reliability import Reliability, error_by_chance, reliability
from workers.training.robustness import Endured, endure
from workers.training.subgroups import Subgroup, subgroups_of


@dataclass(frozen=True, slots=True)
class LabelAssessment:
    """One label that is present in some cases and absent in others."""

    label: Label
    probabilities: NDArray[np.float32]
    targets: NDArray[np.bool_]
    metrics: dict[str, float]
    confusion: dict[str, int]
    intervals: dict[str, Interval]
    curve: Curve
    operating_points: list[OperatingPoint]
    reliability: Reliability
    ece_by_chance: float

    @property
    def sensitivity(self) -> Interval:
        """Return the interval of the share found of the cases with the finding."""
        hits = self.confusion["true_positive"]
        return wilson(hits, hits + self.confusion["false_negative"])

    @property
    def specificity(self) -> Interval:
        """Return the interval of the share let pass of the cases without it."""
        passed = self.confusion["true_negative"]
        return wilson(passed, passed + self.confusion["false_positive"])


@dataclass(frozen=True, slots=True)
class Assessment:
    """A model on one set of cases."""

    manifest: Manifest
    measured: Measured
    labels: tuple[LabelAssessment, ...]
    subgroups: tuple[Subgroup, ...] = ()
    sets: Sets | None = None
    """With the cut-offs of the manifest's [conformal]."""
    robustness: tuple[Endured, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return the contract's fields first, and what has been added since."""
        evaluation = self.measured.evaluation
        content: dict[str, Any] = {
            "model": self.manifest.name,
            "version": self.manifest.version,
            "split": self.measured.split,
            "n": evaluation.n,
            "metrics": evaluation.metrics,
            "confusion": evaluation.confusion,
        }
        if evaluation.labels:
            content["labels"] = {
                one.label.name: {
                    **evaluation.labels[one.label.name],
                    "intervals": _plain(one.intervals),
                }
                for one in self.labels
            }
        else:
            (one,) = self.labels
            content |= {
                "intervals": _plain(one.intervals),
                "calibration": {
                    "ece_by_chance": one.ece_by_chance,
                    "curve": _rows(one.reliability),
                },
                "thresholds": [asdict(point) for point in one.operating_points],
            }
        content["bootstrap"] = {
            "resamples": bootstrap.RESAMPLES,
            "level": bootstrap.LEVEL,
            "seed": bootstrap.SEED,
            "stratified_by_class": True,
        }
        extra = {
            "conformal": asdict(self.sets) if self.sets else None,
            "subgroups": [asdict(group) for group in self.subgroups],
            "robustness": [asdict(row) for row in self.robustness],
        }
        return content | {name: value for name, value in extra.items() if value}


def assess(package: Package, measured: Measured, *, robustness: bool) -> Assessment:
    """Work out all that is told; robustness costs dozens of passes over the images."""
    manifest = package.manifest
    labels = _assess_labels(measured)
    if measured.pixels is None:
        return Assessment(manifest, measured, labels)
    (one,) = labels
    conformal = manifest.conformal
    return Assessment(
        manifest,
        measured,
        labels,
        subgroups=tuple(
            subgroups_of(measured.rows, one.probabilities, one.targets, one.label.threshold)
        ),
        sets=None
        if conformal is None
        else sets_of(
            one.probabilities, one.targets, conformal.present_from, conformal.absent_up_to
        ),
        robustness=tuple(_endured(package, measured, one.label)) if robustness else (),
    )


def _assess_labels(measured: Measured) -> tuple[LabelAssessment, ...]:
    assessed = []
    for at, label in enumerate(measured.labels):
        targets = measured.targets[:, at]
        if targets.any() and not targets.all():
            assessed.append(_assess_label(label, measured.probabilities[:, at], targets))
    return tuple(assessed)


def _assess_label(
    label: Label, probabilities: NDArray[np.float32], targets: NDArray[np.bool_]
) -> LabelAssessment:
    figures = evaluate_probabilities(
        torch.from_numpy(probabilities.copy()), torch.from_numpy(targets).long(), label.threshold
    )
    curve = curve_of(probabilities, targets)
    return LabelAssessment(
        label=label,
        probabilities=probabilities,
        targets=targets,
        metrics=figures.metrics,
        confusion=figures.confusion,
        intervals=bootstrap.bootstrap(probabilities, targets, label.threshold),
        curve=curve,
        operating_points=operating_points(curve),
        reliability=reliability(probabilities, targets),
        ece_by_chance=error_by_chance(probabilities),
    )


def _endured(package: Package, measured: Measured, label: Label) -> Sequence[Endured]:
    manifest, pixels = package.manifest, measured.pixels
    if pixels is None or manifest.preparation is None:
        raise AssertionError("only images are bent")
    return endure(
        build_network(package),
        pixels,
        measured.targets[:, 0],
        manifest.preparation,
        _logit_of(label.threshold, manifest),
        features=measured.features,
        attacked=manifest.engine is Engine.TORCH,
    )


def _logit_of(threshold: float, manifest: Manifest) -> float:
    """Return the logit, before calibration, whose probability is the threshold."""
    below, above = manifest.temperatures
    logit = float(torch.logit(torch.tensor(threshold, dtype=torch.float64)))
    return logit * (below if logit < 0 else above)


def _plain(intervals: dict[str, Interval]) -> dict[str, list[float]]:
    return {name: [interval.low, interval.high] for name, interval in intervals.items()}


def _rows(curve: Reliability) -> list[dict[str, float]]:
    return [
        {"cases": int(count), "stated": float(stated), "found": float(found)}
        for count, stated, found in zip(curve.counts, curve.stated, curve.found, strict=True)
    ]
