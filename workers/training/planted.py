"""How well the cross-check finds disagreements that are planted: `medqueue bench cross-check`."""

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from medqueue.operate.bench import Row
from schemas.finding import Finding, Presence
from schemas.manifest import Label
from workers.models.agreement import Mapping, Side, Verdict, compare, parse_mapping
from workers.models.lexicon import parse_lexicon
from workers.models.package import BUNDLED_FOLDER, load_package
from workers.models.rules import RuleLabeler
from workers.models.sides import SideReader, flipped
from workers.preprocess.text import split
from workers.training.phrasebook import WrittenReport, write_reports

_SEED = 20_261
"""Another one than any model was trained on."""
_REPORTS = 3_000
_SIDED = 400
_SILENT = "silent"


@dataclass(frozen=True, slots=True)
class _Case:
    state: str
    """What was written of the finding: `present`, `absent`, `uncertain` or `silent`."""
    disagrees: bool
    """Whether what was planted is a disagreement."""
    flagged: bool


def run() -> list[Row]:
    """Disagreements of image and text that a cross-check finds, of those that were planted."""
    mapping = parse_mapping(load_package(BUNDLED_FOLDER / "cross-check").weights)
    rows = []
    for language in ("en", "zh"):
        rules = load_package(BUNDLED_FOLDER / f"chest-rules-{language}")
        labeler = RuleLabeler(parse_lexicon(rules.weights))
        cases = list(_findings(language, labeler, mapping, rules.manifest.labels))
        for state in (*Presence, _SILENT):
            rows += _rates(
                f"{language}, {state} in the text", [c for c in cases if c.state == state]
            )
        rows += _rates(f"{language}, all findings", cases)
        rows += _rates(f"{language}, sides", list(_sides(language, labeler, mapping)))
    return rows


def _rates(name: str, cases: list[_Case]) -> list[Row]:
    """Return sensitivity and specificity; each where something of its kind was planted."""
    counts = Counter((case.disagrees, case.flagged) for case in cases)
    rows = []
    for planted, flagged, rate in (True, True, "sensitivity"), (False, False, "specificity"):
        of = counts[planted, True] + counts[planted, False]
        if of:
            value = round(counts[planted, flagged] / of, 4)
            rows.append(Row(f"{name}: {rate} of {of}", value, "share"))
    return rows


def _findings(
    language: str, labeler: RuleLabeler, mapping: Mapping, labels: tuple[Label, ...]
) -> Iterator[_Case]:
    """Plant, for each report, an image model that is right or wrong about each mapped finding."""
    chance = random.Random(_SEED)  # noqa: S311 - which answers are planted is no secret
    by_name = {label.name: label for label in labels}
    names = [mapped.name for mapped in mapping.findings if mapped.name in by_name]
    for report in write_reports(_SEED, _REPORTS, [language]):
        document = split(report.text, language)
        told = labeler.label(document)
        image = [_planted(by_name[name], present=chance.random() < 1 / 2) for name in names]
        found = {one.name: one.verdict for one in compare(mapping, image, told, {})}
        for name, finding in zip(names, image, strict=True):
            expected = _expected(report, name, mapping, finding.presence)
            state = report.states.get(name, _SILENT)
            yield _Case(state, expected.is_disagreement, found[name].is_disagreement)


def _planted(label: Label, *, present: bool) -> Finding:
    return Finding(
        label=label.name,
        code=label.code,
        probability=0.9 if present else 0.1,
        threshold=0.5,
        presence=Presence.PRESENT if present else Presence.ABSENT,
    )


def _expected(report: WrittenReport, name: str, mapping: Mapping, image: Presence) -> Verdict:
    """Return the verdict on what was written, whatever the rules read in it."""
    written = [Finding(label=label, presence=state) for label, state in report.states.items()]
    mapped = next(one for one in mapping.findings if one.name == name)
    by_name = mapped.model_copy(update={"text": (name,), "image": (mapped.image[0],)})
    seen = Finding(label=mapped.image[0].term, presence=image)
    (verdict,) = compare(mapping.model_copy(update={"findings": (by_name,)}), [seen], written, {})
    return verdict.verdict


_SIDED_SENTENCES = {
    "en": (
        {Side.LEFT: "left", Side.RIGHT: "right"},
        ("There is a {} pleural effusion.", "Small {} pneumothorax.", "{} basilar atelectasis."),
        ("No {} pneumothorax.", "The {} lung is clear.", "Heart size is normal."),
        "FINDINGS: {} {}\nIMPRESSION: {} {}",
    ),
    "zh": (
        {Side.LEFT: "左", Side.RIGHT: "右"},
        ("{}侧胸腔积液。", "{}侧见气胸。", "{}下肺不张。"),
        ("{}侧未见骨折。", "{}肺清晰。", "心影不大。"),
        "检查所见：{} {}\n诊断意见：{} {}",  # noqa: RUF001 - Chinese punctuation
    ),
}


def _sides(language: str, labeler: RuleLabeler, mapping: Mapping) -> Iterator[_Case]:
    """Plant reports whose impression has the side of their findings, or the other one."""
    chance = random.Random(_SEED)  # noqa: S311 - no secret
    words, stating, other, form = _SIDED_SENTENCES[language]
    reader = SideReader(mapping.sides[language], language)
    sides = (Side.LEFT, Side.RIGHT)
    for _ in range(_SIDED):
        side = chance.choice(sides)
        turned = chance.random() < 1 / 2
        concluded = sides[1 - sides.index(side)] if turned else side
        sentence = chance.choice(stating)

        def beside() -> str:
            return chance.choice(other).format(words[chance.choice(sides)])

        text = form.format(
            sentence.format(words[side]), beside(), sentence.format(words[concluded]), beside()
        )
        stated = reader.stated(split(text, language), labeler.label)
        yield _Case(Presence.PRESENT, turned, bool(flipped(stated)))
