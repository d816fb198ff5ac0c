"""Rules read single statements: polarity, scope, and evidence spans."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from medqueue.errors import PackageError
from schemas.finding import Presence
from workers.models.lexicon import parse_lexicon
from workers.models.package import BUNDLED_FOLDER, load_package
from workers.models.rules import RuleLabeler
from workers.preprocess.text import split

ENGLISH = RuleLabeler(parse_lexicon((BUNDLED_FOLDER / "chest-rules-en/lexicon.yaml").read_bytes()))
CHINESE = RuleLabeler(parse_lexicon((BUNDLED_FOLDER / "chest-rules-zh/lexicon.yaml").read_bytes()))


def read(text: str) -> dict[str, str]:
    document = split(text)
    labeler = CHINESE if document.language == "zh" else ENGLISH
    return {finding.label: finding.presence.value for finding in labeler.label(document)}


def test_one_text_with_the_three_presences_gives_the_finding_phrases_as_evidence() -> None:
    text = "No pneumothorax. Possible small left effusion. Cardiomegaly."

    found = {finding.label: finding for finding in ENGLISH.label(split(text))}

    assert {label: finding.presence for label, finding in found.items()} == {
        "cardiomegaly": Presence.PRESENT,
        "pleural effusion": Presence.UNCERTAIN,
        "pneumothorax": Presence.ABSENT,
    }
    assert [finding.evidence[0].text for finding in found.values()] == [
        "Cardiomegaly",
        "effusion",
        "pneumothorax",
    ]
    assert all(
        text[span.start : span.end] == span.text
        for finding in found.values()
        for span in finding.evidence
    )


def test_a_rule_states_no_probability_and_gives_the_code_that_the_lexicon_has() -> None:
    (finding,) = ENGLISH.label(split("Pneumothorax."))

    assert finding.probability is None
    assert finding.code is not None
    assert finding.code.code == "36118008"


@pytest.mark.parametrize("text", ["右下肺炎不除外。", "不能排除肺炎。", "不除外肺炎可能。"])
def test_what_chinese_cannot_exclude_is_uncertain_and_not_absent(text: str) -> None:
    assert read(text) == {"pneumonia": "uncertain"}


def test_one_mention_of_presence_outweighs_absence_elsewhere_and_leads_the_evidence() -> None:
    text = "FINDINGS: No effusion on the left.\nIMPRESSION: Small right effusion."

    (finding,) = ENGLISH.label(split(text))

    assert finding.presence is Presence.PRESENT
    assert [span.start for span in finding.evidence] == [
        text.rindex("effusion"),
        text.index("effusion"),
    ]


def test_what_the_history_says_is_no_finding() -> None:
    assert read("HISTORY: Pneumonia.\nFINDINGS: No effusion.") == {"pleural effusion": "absent"}


def test_the_evidence_of_a_phrase_over_a_line_end_is_the_text_as_submitted() -> None:
    text = "No pleural\r\neffusion."

    (finding,) = ENGLISH.label(split(text))

    assert finding.evidence[0].text == "pleural\r\neffusion"


def test_a_placeholder_inside_a_statement_does_not_part_it() -> None:
    assert read("No XXXX pneumothorax or ___ effusion.") == {
        "pneumothorax": "absent",
        "pleural effusion": "absent",
    }


def test_a_cue_with_a_finding_in_its_gap_is_no_cue() -> None:
    assert read("肺部未见明显炎症性改变。") == {"pneumonia": "absent"}


def test_many_threads_read_with_one_labeler() -> None:
    texts = ["No pneumothorax.", "Large effusion.", "Possible pneumonia.", "Cardiomegaly."] * 50
    documents = [split(text) for text in texts]

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(ENGLISH.label, documents))

    assert found == [ENGLISH.label(document) for document in documents]


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "piece",
    ["no ", "heart ", "a", "\n", "No pneumothorax, ", "opacity or ", "opacity likely ", "(", "1. "],
)
def test_no_text_makes_reading_slow(piece: str) -> None:
    text = (piece * 200_000)[:200_000]

    ENGLISH.label(split(text))


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_bundled_package_is_verified_and_its_labels_are_those_of_its_lexicon(
    language: str,
) -> None:
    package = load_package(BUNDLED_FOLDER / f"chest-rules-{language}")
    lexicon = parse_lexicon(package.weights)

    assert package.manifest.accepts.languages == (lexicon.language,) == (language,)
    assert [(label.name, label.code) for label in package.manifest.labels] == [
        (entry.label, entry.code) for entry in lexicon.findings
    ]
    assert len(lexicon.findings) >= 30
    assert "not for clinical use" in package.manifest.intended_use


def test_both_languages_give_one_code_for_one_label() -> None:
    codes = [
        {entry.label: entry.code for entry in parse_lexicon(path.read_bytes()).findings}
        for path in sorted(BUNDLED_FOLDER.glob("chest-rules-*/lexicon.yaml"))
    ]

    shared = codes[0].keys() & codes[1].keys()
    assert len(shared) >= 50
    assert {label: codes[0][label] for label in shared} == {
        label: codes[1][label] for label in shared
    }


MINIMAL = """
language: en
structure: {gap: 4, wide_gap: 7, commas_part_clauses: false}
cues: {negation: ["{no|without}"]}
findings: [{label: pneumothorax, phrases: [pneumothorax]}]
"""


def test_a_small_lexicon_is_enough_for_a_labeler() -> None:
    labeler = RuleLabeler(parse_lexicon(MINIMAL.encode()))

    (finding,) = labeler.label(split("Without pneumothorax."))

    assert finding.presence is Presence.ABSENT


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"\xff", "not valid"),
        (b"findings: [", "not valid"),
        (b"- a list", "not valid"),
        (MINIMAL.replace("phrases", "phrase").encode(), "phrase"),
        (MINIMAL.replace('"]}', '"], end: ["no"]}').encode(), "two kinds: no"),
        (MINIMAL.replace("no|", "{no|a}|" * 9).encode(), "256"),
        (MINIMAL.replace("[pneumothorax]", '["XXXX"]').encode(), "begin with a word"),
        (MINIMAL.replace("[pneumothorax]", '["* air"]').encode(), "begin with a word"),
        (b"a" * 1_000_001, "larger"),
    ],
)
def test_a_broken_lexicon_is_refused_with_the_reason(content: bytes, reason: str) -> None:
    with pytest.raises(PackageError, match=reason):
        parse_lexicon(content)
