"""The curves of an assessment as pictures: for the report, and as PNG and SVG files.

Drawn on matplotlib's Figure itself, without pyplot: no window, no state that a second thread sees.
"""

import io
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from workers.training.assessment import Assessment, LabelAssessment
from workers.training.bootstrap import wilson
from workers.training.reliability import BINS
from workers.training.robustness import Endured

FIRST, SECOND = "#2f7fd1", "#d9730d"
"""Told apart by the colour-blind, by their brightness too, on a light and on a dark ground."""
_INK = "#010203"
"""Stands for the colour of the text around: a page in dark mode has light ink."""
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "medqueue",
    "font.family": "sans-serif",
    "font.size": 10,
    "text.color": _INK,
    "axes.edgecolor": _INK,
    "axes.labelcolor": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
}
_PNG_DPI = 150


@dataclass(frozen=True, slots=True)
class Picture:
    """A figure with what it shows in words, for those who do not see it."""

    name: str
    title: str
    description: str
    figure: Figure

    def svg(self) -> str:
        """Return it as an element of an HTML page; its ink is the page's."""
        buffer = io.StringIO()
        with mpl.rc_context(_STYLE):
            self.figure.savefig(
                buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None}
            )
        text = buffer.getvalue()
        # Several drawings on one page must not share identifiers.
        text = re.sub(r'(\bid="|url\(#|href="#)', rf"\1{self.name}-", text[text.index("<svg") :])
        label = f'<svg role="img" aria-label="{escape(self.description)}"'
        return text.replace("<svg", label, 1).replace(_INK, "currentColor")


def pictures_of(assessment: Assessment, history: Sequence[Mapping[str, Any]] = ()) -> list[Picture]:
    """Draw all that there is to see: of several labels their curves in one picture."""
    with mpl.rc_context(_STYLE):
        return list(_pictures(assessment, history))


def write_pictures(
    folder: Path, assessment: Assessment, history: Sequence[Mapping[str, Any]] = ()
) -> None:
    """Write every picture as PNG and SVG, on white."""
    folder.mkdir(parents=True, exist_ok=True)
    for picture in pictures_of(assessment, history):
        with mpl.rc_context(_STYLE):
            picture.figure.savefig(folder / f"{picture.name}.png", dpi=_PNG_DPI)
            picture.figure.savefig(folder / f"{picture.name}.svg", metadata={"Date": None})


def _pictures(assessment: Assessment, history: Sequence[Mapping[str, Any]]) -> Iterator[Picture]:
    labels = assessment.labels
    yield _square(
        "roc",
        "ROC curve",
        "Sensitivity against the share of false alarms, for every threshold. " + _areas(labels),
        lambda axes: _draw_roc(axes, labels),
    )
    yield _square(
        "precision-recall",
        "Precision-recall curve",
        "How many of the cases called present are, against how many are found.",
        lambda axes: _draw_precision_recall(axes, labels),
    )
    if len(labels) == 1:
        (one,) = labels
        yield _square(
            "reliability",
            "Reliability curve",
            f"Share of cases that have the finding, by stated probability. "
            f"Expected calibration error {one.metrics['ece']:.3f}.",
            lambda axes: _draw_reliability(axes, one),
        )
        yield _square(
            "scores",
            "Probabilities by truth",
            "How many cases got which probability, those with and those without the finding apart.",
            lambda axes: _draw_scores(axes, one),
        )
    if assessment.robustness:
        yield _robustness(assessment.robustness)
    if history:
        yield _training(history)


def _areas(labels: Sequence[LabelAssessment]) -> str:
    if len(labels) != 1:
        return f"{len(labels)} labels."
    return f"Area {labels[0].metrics['auroc']:.3f}."


def _square(name: str, title: str, description: str, draw: Callable[[Axes], None]) -> Picture:
    figure = Figure(figsize=(4.4, 4), layout="constrained")
    draw(figure.subplots())
    return Picture(name, title, description, figure)


def _draw_roc(axes: Axes, labels: Sequence[LabelAssessment]) -> None:
    axes.plot([0, 1], [0, 1], color=_INK, alpha=0.4, linestyle=":", label="chance")
    for one in labels:
        curve = one.curve
        axes.plot(
            [0, *curve.false_alarms], [0, *curve.sensitivity], color=FIRST, alpha=_faint(labels)
        )
    if len(labels) == 1:
        (one,) = labels
        axes.plot(
            1 - one.metrics["specificity"],
            one.metrics["recall"],
            marker="o",
            linestyle="",
            color=SECOND,
            label=f"at the threshold {one.label.threshold:g}",
        )
    axes.set(xlabel="false alarms (1 - specificity)", ylabel="sensitivity", aspect="equal")
    axes.legend(loc="lower right")


def _draw_precision_recall(axes: Axes, labels: Sequence[LabelAssessment]) -> None:
    for one in labels:
        curve = one.curve
        axes.plot(
            [0, *curve.sensitivity],
            [curve.precision[0], *curve.precision],
            drawstyle="steps-pre",  # a line between two points would promise what none reaches
            color=FIRST,
            alpha=_faint(labels),
        )
    if len(labels) == 1:
        (one,) = labels
        share = float(one.targets.mean())
        axes.axhline(share, color=_INK, alpha=0.4, linestyle=":", label="chance")
        axes.plot(
            one.metrics["recall"],
            one.metrics["precision"],
            marker="o",
            linestyle="",
            color=SECOND,
            label=f"at the threshold {one.label.threshold:g}",
        )
        axes.legend(loc="lower left")
    axes.set(xlabel="sensitivity (recall)", ylabel="precision", ylim=(0, 1.03), aspect="equal")


def _draw_reliability(axes: Axes, one: LabelAssessment) -> None:
    curve = one.reliability
    axes.plot([0, 1], [0, 1], color=_INK, alpha=0.4, linestyle=":", label="as it should be")
    for stated, found, count in zip(curve.stated, curve.found, curve.counts, strict=True):
        interval = wilson(round(found * count), int(count))
        axes.plot([stated, stated], [interval.low, interval.high], color=FIRST, alpha=0.5)
    axes.scatter(
        curve.stated,
        curve.found,
        s=15 + 300 * curve.counts / curve.counts.sum(),
        color=FIRST,
        label="found (larger: more cases)",
    )
    axes.set(xlabel="stated probability", ylabel="share with the finding", aspect="equal")
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1))


def _draw_scores(axes: Axes, one: LabelAssessment) -> None:
    edges = np.linspace(0, 1, 2 * BINS + 1)
    name = one.label.name
    for chosen, colour, hatch, label in (
        (one.targets, SECOND, None, f"with {name}"),
        (~one.targets, FIRST, "///", f"without {name}"),
    ):
        axes.hist(
            one.probabilities[chosen],
            bins=edges.tolist(),
            histtype="stepfilled",
            facecolor=(colour, 0.35),
            edgecolor=colour,
            hatch=hatch,
            label=label,
        )
    axes.axvline(one.label.threshold, color=_INK, linestyle="--", label="threshold")
    axes.set(xlabel="probability", ylabel="cases", yscale="symlog", xlim=(0, 1))
    axes.yaxis.set_major_formatter("{x:.0f}")
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1))


def _robustness(rows: Sequence[Endured]) -> Picture:
    figure = Figure(figsize=(11, 0.6 + 0.24 * len(rows)), layout="constrained")
    axes = figure.subplots()
    places = np.arange(len(rows))
    axes.axvline(rows[0].accuracy, color=_INK, alpha=0.4, linestyle=":")
    axes.plot(
        [row.accuracy for row in rows], places, "o", color=FIRST, label="accuracy", clip_on=False
    )
    axes.plot([row.auroc for row in rows], places, "x", color=SECOND, label="AUROC", clip_on=False)
    axes.set_yticks(places, [f"{row.kind} {row.strength}" for row in rows])
    axes.set(xlim=(0, 1))
    axes.invert_yaxis()
    axes.grid(axis="y", color=_INK, alpha=0.15)
    axes.legend(loc="lower left")
    worst = min(rows, key=lambda row: row.accuracy)
    return Picture(
        "robustness",
        "Robustness",
        f"Accuracy and AUROC on changed images; the least accuracy, {worst.accuracy:.2f}, is under "
        f"{worst.kind} {worst.strength}.",
        figure,
    )


def _training(history: Sequence[Mapping[str, Any]]) -> Picture:
    figure = Figure(figsize=(11, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    epochs = [line["epoch"] for line in history]
    left.plot(epochs, [line["loss"] for line in history], color=FIRST, label="train")
    for axes, name, label in (
        (left, "loss", "validation"),
        (right, "auroc", "AUROC"),
        (right, "accuracy", "accuracy"),
    ):
        colour, dash = (FIRST, "-") if name == "auroc" else (SECOND, "--")
        values = [line["val"].get(name) for line in history]
        axes.plot(epochs, values, color=colour, linestyle=dash, label=label)
    left.set(xlabel="epoch", ylabel="loss")
    right.set(xlabel="epoch", ylabel="on the validation split")
    left.legend()
    right.legend()
    return Picture(
        "training",
        "Training",
        f"Loss, AUROC and accuracy over {len(epochs)} epochs.",
        figure,
    )


def _faint(labels: Sequence[LabelAssessment]) -> float:
    return 1.0 if len(labels) == 1 else 0.45
