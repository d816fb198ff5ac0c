"""On which side a report states its findings."""

import pytest

from schemas.document import SectionKind
from workers.models.agreement import Side, parse_mapping
from workers.models.lexicon import parse_lexicon
from workers.models.package import BUNDLED_FOLDER
from workers.models.rules import RuleLabeler
from workers.models.sides import SideReader, flipped
from workers.preprocess.text import split

MAPPING = parse_mapping((BUNDLED_FOLDER / "cross-check" / "mapping.yaml").read_bytes())


def stated(text: str) -> dict[SectionKind, dict[str, frozenset[Side]]]:
    document = split(text)
    language = document.language
    lexicon = BUNDLED_FOLDER / f"chest-rules-{language}" / "lexicon.yaml"
    labeler = RuleLabeler(parse_lexicon(lexicon.read_bytes()))
    return SideReader(MAPPING.sides[language], language).stated(document, labeler.label)


@pytest.mark.parametrize(
    ("text", "sides"),
    [
        ("Left pleural effusion.", {"pleural effusion": {Side.LEFT}}),
        ("Bilateral effusions.", {"pleural effusion": {Side.BOTH}}),
        ("Pleural effusion.", {}),
        ("No right effusion. Left effusion.", {"pleural effusion": {Side.LEFT}}),
        (
            "Left pneumothorax, right effusion.",
            {"pneumothorax": {Side.LEFT}, "pleural effusion": {Side.RIGHT}},
        ),
        ("Effusion after cleft repair.", {}),
        ("左侧胸腔积液。", {"pleural effusion": {Side.LEFT}}),
        ("双侧胸腔积液。", {"pleural effusion": {Side.BOTH}}),
        ("右侧气胸，未见左侧胸腔积液。", {"pneumothorax": {Side.RIGHT}}),  # noqa: RUF001
    ],
)
def test_the_side_is_the_one_in_the_clause_that_states_it(
    text: str, sides: dict[str, set[Side]]
) -> None:
    assert stated(text).get(SectionKind.BODY, {}) == sides


@pytest.mark.parametrize(
    ("findings", "impression", "labels"),
    [
        ("Left effusion.", "Right effusion.", ["pleural effusion"]),
        ("Left effusion.", "Left effusion.", []),
        ("Left effusion.", "Bilateral effusions.", []),
        ("Left effusion. Right effusion.", "Right effusion.", []),
        ("Left effusion.", "Effusion.", []),
        ("Left effusion.", "No right effusion.", []),
        ("Left effusion.", "Right pneumothorax.", []),
    ],
)
def test_only_opposite_sides_in_findings_and_impression_are_flipped(
    findings: str, impression: str, labels: list[str]
) -> None:
    assert flipped(stated(f"FINDINGS: {findings}\nIMPRESSION: {impression}")) == labels
