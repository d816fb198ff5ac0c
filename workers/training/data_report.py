"""The data report: one HTML file, with its pictures in it, that a clinician understands."""

import base64
import io
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from numpy.typing import NDArray
from PIL import Image

from workers.training.cleaning import Place
from workers.training.config import ImageTraining, TextTraining
from workers.training.data import LabelledImages
from workers.training.data_facts import BINS, DataFacts, image_facts, text_facts
from workers.training.data_findings import Finding, findings_of
from workers.training.records import Record
from workers.training.sources import Source

_HERE = Path(__file__).parent
_EXAMPLES = 8
"""Pictures of each kind."""
_FAULTS_TOLD = 50
_WIDTH, _HEIGHT = 640, 160
"""Of the histogram, in its own units."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A small picture with what is to be said of it."""

    url: str
    caption: str


@dataclass(frozen=True, slots=True)
class DataReport:
    """What the page shows."""

    name: str
    label: str
    data: str
    facts: DataFacts
    findings: list[Finding]
    examples: dict[str, list[Picture]]
    """Of the train split, under 'present' and 'absent'."""
    pairs: list[tuple[Picture, Picture]]
    """Copies and pictures that look alike."""

    def as_json(self) -> dict[str, Any]:
        """Return facts and findings; no picture."""
        return {
            "name": self.name,
            "data": self.data,
            **asdict(self.facts),
            "findings": [asdict(one) for one in self.findings],
        }

    def as_html(self) -> str:
        """Return the page. It holds everything: no other file, no script, nothing from a net."""
        environment = Environment(
            loader=FileSystemLoader(_HERE), autoescape=True, undefined=StrictUndefined
        )
        return environment.get_template("data_report.html").render(
            report=self,
            facts=self.facts,
            lines=_lines(self.facts),
            faults=self.facts.faults[:_FAULTS_TOLD],
            width=_WIDTH,
            height=_HEIGHT,
        )


def report_images(source: Source, config: ImageTraining) -> DataReport:
    """Look at labelled images."""
    facts = image_facts(source, config)
    return DataReport(
        name=config.package.name,
        label=config.package.label.name,
        data=config.data.path.name,
        facts=facts,
        findings=findings_of(facts),
        examples=_examples(source.splits.get("train")),
        pairs=list(_pairs(facts, source)),
    )


def report_texts(found: Sequence[Record], config: TextTraining) -> DataReport:
    """Look at labelled texts; none of them is shown."""
    facts = text_facts(found, config)
    return DataReport(
        name=config.package.name,
        label="",
        data=config.data.path.name if config.data.path else "generated",
        facts=facts,
        findings=findings_of(facts),
        examples={},
        pairs=[],
    )


def _examples(images: LabelledImages | None) -> dict[str, list[Picture]]:
    """Take pictures evenly over the split, so that they are the same at each run."""
    if images is None:
        return {}
    shown = {}
    for name, chosen in (("present", images.targets), ("absent", ~images.targets)):
        places = np.flatnonzero(chosen)
        steps = np.linspace(0, len(places) - 1, min(_EXAMPLES, len(places))).astype(int)
        shown[name] = [
            Picture(_url(images.pixels[at]), f"train, no. {at + 1}") for at in places[steps]
        ]
    return shown


def _pairs(facts: DataFacts, source: Source) -> Iterator[tuple[Picture, Picture]]:
    if facts.copies is None:
        return

    def picture(place: Place) -> Picture:
        images = source.splits[place.split]
        said = "present" if images.targets[place.at] else "absent"
        return Picture(_url(images.pixels[place.at]), f"{place.split}, no. {place.at + 1}: {said}")

    for copies in (facts.copies.near, facts.copies.exact):
        for one, other in copies.examples:
            yield picture(one), picture(other)


def _url(pixels: NDArray[np.uint8]) -> str:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"


def _lines(facts: DataFacts) -> dict[str, str]:
    """Return the points of the histogram's lines, as SVG wants them."""
    highest = max((share for shares in facts.grey.values() for share in shares), default=0)
    if highest == 0:
        return {}
    across, up = _WIDTH / (BINS - 1), _HEIGHT / highest
    return {
        name: " ".join(
            f"{at * across:.1f},{_HEIGHT - share * up:.1f}" for at, share in enumerate(shares)
        )
        for name, shares in facts.grey.items()
    }
