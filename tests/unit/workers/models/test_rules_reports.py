"""Rules against labelled reports of others, which are not part of the project."""

import json
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from schemas.finding import Presence
from workers.models.lexicon import parse_lexicon
from workers.models.package import BUNDLED_FOLDER
from workers.models.rules import RuleLabeler
from workers.preprocess.text import split

TEXTS = Path(__file__).parents[5] / "shared" / "data" / "text"

pytestmark = [
    pytest.mark.shared_data,
    pytest.mark.skipif(not TEXTS.is_dir(), reason="../shared/data/text is not here"),
]

# MeSH `major` headings of OpenI that state the finding.
OPENI = {
    "atelectasis": {"Pulmonary Atelectasis"},
    "cardiomegaly": {"Cardiomegaly"},
    "pleural effusion": {"Pleural Effusion"},
    "pneumothorax": {"Pneumothorax", "Hydropneumothorax"},
    "consolidation": {"Consolidation"},
    "pulmonary edema": {"Pulmonary Edema"},
    "fracture": {"Fractures, Bone"},
    "pulmonary nodule": {"Nodule"},
    "emphysema": {"Emphysema", "Pulmonary Emphysema", "Bullous Emphysema"},
}

# Labels of radlabels and which of ours they take in: theirs are groups in five places.
RADLABELS = {
    "air_space_opacity": ("lung opacity", "consolidation", "ground-glass opacity"),
    "atelectasis": ("atelectasis",),
    "calcification_of_the_aorta": ("aortic calcification",),
    "cardiomegaly": ("cardiomegaly",),
    "central_venous_catheter": ("central venous catheter",),
    "consolidation": ("consolidation",),
    "emphysema": ("emphysema", "subcutaneous emphysema"),
    "endotracheal_tube": ("endotracheal tube",),
    "enlarged_cardiomediastinum": ("widened mediastinum",),
    "enteric_tube": ("enteric tube",),
    "fracture_generic": ("fracture",),
    "ground_glass_opacity": ("ground-glass opacity",),
    "hiatus_hernia": ("hiatal hernia",),
    "hyperinflation": ("hyperinflation",),
    "intercostal_drain": ("chest tube",),
    "interstitial_thickening": ("interstitial thickening",),
    "lung_nodule_or_mass": ("pulmonary nodule", "lung mass"),
    "lung_opacity": ("lung opacity", "consolidation", "ground-glass opacity"),
    "pacemaker_electronic_cardiac_device_or_wires": ("pacemaker",),
    "peribronchial_cuffing": ("bronchial wall thickening",),
    "pleural_effusion": ("pleural effusion",),
    "pleural_thickening": ("pleural thickening",),
    "pneumomediastinum": ("pneumomediastinum",),
    "pneumonia": ("pneumonia",),
    "pneumoperitoneum": ("pneumoperitoneum",),
    "pneumothorax": ("pneumothorax",),
    "pulmonary_congestion_pulmonary_venous_congestion": ("vascular congestion", "pulmonary edema"),
    "pulmonary_edema": ("pulmonary edema",),
    "pulmonary_fibrosis": ("pulmonary fibrosis",),
    "subcutaneous_emphysema": ("subcutaneous emphysema",),
    "tortuous_aorta": ("tortuous aorta",),
    "tracheal_deviation": ("tracheal deviation",),
    "tracheostomy_tube": ("tracheostomy tube",),
}

# Groups: one of theirs takes in findings that are apart in ours, or a whole family.
GROUPS = {
    "air_space_opacity",
    "emphysema",
    "lung_nodule_or_mass",
    "lung_opacity",
    "pulmonary_congestion_pulmonary_venous_congestion",
}


def rows(name: str) -> Iterator[dict[str, Any]]:
    with (TEXTS / name).open(encoding="utf-8") as file:
        yield from map(json.loads, file)


@pytest.fixture(scope="module")
def labeler() -> RuleLabeler:
    lexicon = BUNDLED_FOLDER / "chest-rules-en" / "lexicon.yaml"
    return RuleLabeler(parse_lexicon(lexicon.read_bytes()))


def presences(labeler: RuleLabeler, text: str) -> dict[str, Presence]:
    return {finding.label: finding.presence for finding in labeler.label(split(text))}


def f1(pairs: Iterable[tuple[bool, bool]]) -> float:
    pairs = list(pairs)
    both = sum(stated and found for stated, found in pairs)
    return 2 * both / sum(stated + found for stated, found in pairs)


def openi_text(row: dict[str, Any], *parts: str) -> str:
    return "\n".join(f"{part}: {row[part]}" for part in parts if row[part])


def test_openi_validation_reports_reach_a_macro_f1_of_80(labeler: RuleLabeler) -> None:
    pairs = defaultdict(list)
    for row in rows("openi_reports_trainval.jsonl"):
        if row["split"] == "val":
            found = presences(labeler, openi_text(row, "FINDINGS", "IMPRESSION"))
            headings = {major.split("/")[0].strip() for major in row["major"]}
            for label, meant in OPENI.items():
                stated = bool(headings & meant)
                pairs[label].append((stated, found.get(label) is Presence.PRESENT))

    assert sum(map(f1, pairs.values())) / len(OPENI) >= 0.80


def test_radlabels_present_reach_a_micro_f1_of_82(labeler: RuleLabeler) -> None:
    pairs = []
    for row in rows("radlabels_dev.jsonl"):
        found = presences(labeler, row["text"])
        for label, ours in RADLABELS.items():
            stated = row["labels"].get(label) == "definitely present"
            pairs.append((stated, any(found.get(our) is Presence.PRESENT for our in ours)))

    assert f1(pairs) >= 0.82


def test_radlabels_that_mean_the_same_reach_it_one_to_one(labeler: RuleLabeler) -> None:
    pairs = []
    for row in rows("radlabels_dev.jsonl"):
        found = presences(labeler, row["text"])
        for label in RADLABELS.keys() - GROUPS:
            stated = row["labels"].get(label) == "definitely present"
            pairs.append((stated, found.get(RADLABELS[label][0]) is Presence.PRESENT))

    assert f1(pairs) >= 0.84


def test_radlabels_pneumothorax_absent_reaches_f1_of_95(labeler: RuleLabeler) -> None:
    pairs = [
        (
            row["labels"].get("pneumothorax") == "definitely absent",
            presences(labeler, row["text"]).get("pneumothorax") is Presence.ABSENT,
        )
        for row in rows("radlabels_dev.jsonl")
    ]

    assert f1(pairs) >= 0.95


def test_a_core_labels_far_more_than_the_reports_of_a_hospital(labeler: RuleLabeler) -> None:
    texts = [
        openi_text(row, "INDICATION", "COMPARISON", "FINDINGS", "IMPRESSION")
        for row in rows("openi_reports_trainval.jsonl")
    ]

    start = time.process_time()
    for text in texts:
        labeler.label(split(text))
    rate = len(texts) / (time.process_time() - start)

    # The goal is 2,000 and 3,000 were measured; a busy machine must not fail the suite.
    assert rate >= 1_000
