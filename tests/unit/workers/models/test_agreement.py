"""The verdicts of a cross-check: what counts as agreement, and what a person should look at."""

import pytest

from medqueue.errors import PackageError
from medqueue.storage.packages import read_manifest
from schemas.finding import Code, Finding, Presence
from workers.models.agreement import Side, Verdict, compare, parse_mapping
from workers.models.package import BUNDLED_FOLDER

MAPPING = parse_mapping(b"""
sides: {en: {left: [left], right: [right], both: [bilateral]}}
findings:
  - name: pneumonia
    image: [{term: "sct|1"}]
    text: ["sct|1", lung infection]
    supported_by: [consolidation]
  - name: effusion
    image: [{term: left effusion, side: left}]
    text: [effusion]
""")
SCT_1 = Code(system="sct", code="1", display="Pneumonia")


def found(label: str, presence: Presence, code: Code | None = None) -> Finding:
    return Finding(label=label, presence=presence, code=code)


def verdicts(image: Finding, *text: Finding, sides: dict[str, Side] | None = None) -> list[str]:
    stated = {label: frozenset({side}) for label, side in (sides or {}).items()}
    return [one.verdict for one in compare(MAPPING, [image], text, stated)]


PRESENT, ABSENT, UNCERTAIN = Presence.PRESENT, Presence.ABSENT, Presence.UNCERTAIN


@pytest.mark.parametrize(
    ("image", "text", "support", "verdict"),
    [
        (PRESENT, PRESENT, None, Verdict.AGREEMENT),
        (PRESENT, ABSENT, None, Verdict.DENIED_IN_TEXT),
        (PRESENT, ABSENT, PRESENT, Verdict.DENIED_IN_TEXT),
        (PRESENT, UNCERTAIN, None, Verdict.UNDECIDED),
        (PRESENT, None, None, Verdict.NOT_IN_TEXT),
        (PRESENT, None, ABSENT, Verdict.NOT_IN_TEXT),
        (PRESENT, None, PRESENT, Verdict.AGREEMENT),
        (PRESENT, None, UNCERTAIN, Verdict.AGREEMENT),
        (ABSENT, PRESENT, None, Verdict.MISSED_IN_IMAGE),
        (ABSENT, ABSENT, None, Verdict.AGREEMENT),
        (ABSENT, UNCERTAIN, None, Verdict.UNDECIDED),
        (ABSENT, None, None, Verdict.AGREEMENT),
        (ABSENT, None, PRESENT, Verdict.UNDECIDED),
        (ABSENT, ABSENT, PRESENT, Verdict.AGREEMENT),
    ],
)
def test_every_pair_of_statements_has_one_verdict(
    image: Presence, text: Presence | None, support: Presence | None, verdict: Verdict
) -> None:
    told = [found("pneumonia", text, SCT_1)] if text else []
    told += [found("consolidation", support)] if support else []

    assert verdicts(found("Pneumonia", image, SCT_1), *told) == [verdict]


def test_labels_meet_by_code_or_by_name() -> None:
    image = found("Lung fever", PRESENT, SCT_1)

    assert verdicts(image, found("lung infection", PRESENT)) == [Verdict.AGREEMENT]
    other = Code(system="other", code="1", display="Pneumonia")
    assert verdicts(image, found("pneumonia", PRESENT, other)) == [Verdict.NOT_IN_TEXT]


def test_of_several_names_in_the_text_the_statement_counts() -> None:
    told = (found("lung infection", ABSENT), found("pneumonia", PRESENT, SCT_1))

    assert verdicts(found("Pneumonia", PRESENT, SCT_1), *told) == [Verdict.AGREEMENT]


@pytest.mark.parametrize(
    ("side", "verdict"),
    [
        (Side.LEFT, Verdict.AGREEMENT),
        (Side.BOTH, Verdict.AGREEMENT),
        (None, Verdict.AGREEMENT),
        (Side.RIGHT, Verdict.FLIPPED_SIDE),
    ],
)
def test_a_label_with_a_side_asks_for_the_side_in_the_text(
    side: Side | None, verdict: Verdict
) -> None:
    sides = {"effusion": side} if side else {}

    assert verdicts(found("left effusion", PRESENT), found("effusion", PRESENT), sides=sides) == [
        verdict
    ]


def test_labels_that_the_mapping_does_not_know_are_not_compared() -> None:
    assert verdicts(found("age", PRESENT), found("effusion", PRESENT)) == []


@pytest.mark.parametrize("content", [b"[", b"findings: []", b"sides: {}\nfindings: [{name: x}]"])
def test_a_mapping_of_another_form_is_refused(content: bytes) -> None:
    with pytest.raises(PackageError, match="mapping"):
        parse_mapping(content)


def test_the_bundled_mapping_knows_the_bundled_models() -> None:
    mapping = parse_mapping((BUNDLED_FOLDER / "cross-check" / "mapping.yaml").read_bytes())

    def terms(package: str) -> set[str]:
        labels = read_manifest(BUNDLED_FOLDER / package).labels
        codes = {f"{code.system}|{code.code}" for label in labels if (code := label.code)}
        return codes | {label.name for label in labels}

    in_images = {term.term for one in mapping.findings for term in one.image}
    assert in_images & terms("cxr-pneumonia")
    in_texts = {term for one in mapping.findings for term in (*one.text, *one.supported_by)}
    assert in_texts <= terms("chest-rules-en") | terms("chest-rules-zh")
