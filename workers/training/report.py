"""The report of an evaluation: one HTML file, without network, for clinicians and engineers."""

from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from medqueue import __version__
from workers.training import bootstrap
from workers.training.assessment import Assessment
from workers.training.bootstrap import Interval
from workers.training.plots import Picture, pictures_of

_TEMPLATE = "evaluation.html"
_HUNDRED = 100
_SPLITS = {
    "test": "Cases of the test split: the model has learnt nothing from them.",
    "val": "Cases of the validation split. The model was not trained on them, but its calibration "
    "was fitted on them and its recipe may have been chosen by them: they flatter it.",
    "train": "Cases of the TRAIN split: the model has learnt them. These figures say nothing about "
    "new patients.",
    None: "The data name no split. If the model has learnt from any of these cases, the figures "
    "flatter it.",
}


def write_report(
    path: Path, assessment: Assessment, data: str, history: Sequence[Mapping[str, Any]] = ()
) -> None:
    """Write the page.

    Args:
        path: Of the file; what is there is replaced.
        assessment: All that was measured.
        data: Name of the file or folder that was measured on.
        history: A line for each epoch of the training, where the package has them.
    """
    path.write_text(_page(assessment, data, pictures_of(assessment, history)), encoding="utf-8")


def _page(assessment: Assessment, data: str, pictures: Sequence[Picture]) -> str:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(percent=_percent, between=_between, frequency=frequency)
    style = (files("medqueue") / "web/static/style.css").read_text(encoding="utf-8")
    return environment.get_template(_TEMPLATE).render(
        assessment=assessment,
        manifest=assessment.manifest,
        evaluation=assessment.measured.evaluation,
        data=data,
        split=assessment.measured.split or "whole",
        caution=_SPLITS[assessment.measured.split],
        cases="images" if assessment.measured.pixels is not None else "texts",
        resamples=bootstrap.RESAMPLES,
        # matplotlib has written it and escaped what we gave it.
        pictures={
            one.name: (one.title, Markup(one.svg()))  # noqa: S704
            for one in pictures
        },
        style=Markup(style),  # noqa: S704 - our own file
        version=__version__,
    )


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"


def _between(interval: Interval | None) -> str:
    return "" if interval is None else f"{interval.low:.1%} to {interval.high:.1%}"


def frequency(hits: int, cases: int) -> str:
    """Say a share as so many of a hundred (Gigerenzer et al. 2007); of fewer, as what was counted.

    It is never all or none of a hundred where it is not so.
    """
    if cases < _HUNDRED:
        return f"{hits} of {cases}"
    hundred = round(_HUNDRED * hits / cases)
    if hundred == _HUNDRED and hits < cases:
        return "more than 99 of 100"
    if hundred == 0 and hits > 0:
        return "fewer than 1 of 100"
    return f"{hundred} of 100"
