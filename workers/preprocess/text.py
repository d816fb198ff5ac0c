"""Cut a report text into sections and sentences, and tell its language; no meaning is read here.

Nothing is rewritten: every cut is a span over the text as submitted, so an evidence span found
later points at what the sender wrote, whatever its line ends, capitals and placeholders.
"""

# Chinese punctuation is meant, not mistaken for ASCII:
# ruff: noqa: RUF001

import re
import unicodedata
from collections.abc import Iterator

from schemas.document import Document, Section, SectionKind, Sentence

_HEADINGS: dict[SectionKind, tuple[str, ...]] = {
    SectionKind.HISTORY: (
        "indications?",
        "(?:clinical |patient |medical |family |past medical )?history",
        "clinical (?:information|indication|data|statement|details|question|context)",
        "reason for (?:the )?(?:exam(?:ination)?|study|request|this examination)",
        "(?:history|indication)(?: and |/)(?:indication|history|reason for exam)",
        "chief complaint",
        "symptoms?",
        "临床(?:病史|诊断|资料|症状|表现|信息)",
        "(?:现|既往|家族)?病史",
        "(?:现病|既往|家族)史",
        "主诉",
        "(?:检查|申请)目的",
        "简要病史",
    ),
    SectionKind.TECHNIQUE: (
        "techniques?",
        "(?:type of )?exam(?:ination)?(?: type)?",
        "procedures?(?: comments)?",
        "protocol",
        "views?",
        "study",
        "contrast",
        "检查(?:方法|技术|部位|名称|项目|设备)",
        "扫描(?:方法|技术|部位)",
        "成像技术",
    ),
    SectionKind.COMPARISON: (
        "comparisons?(?: (?:studies|study|exams?|films?|to))?",
        "prior (?:studies|study|exams?)",
        "(?:既往|对比)(?:检查|片|影像)",
        "对比",
        "比较",
    ),
    SectionKind.FINDINGS: (
        "findings?",
        "(?:radiographic|chest) findings",
        "report",
        "description",
        "observations?",
        "(?:检查|影像|影像学|放射学?|CT|X线)(?:所见|表现|描述)",
        "所见",
    ),
    SectionKind.IMPRESSION: (
        "(?:final |clinical )?impressions?",
        "conclusions?",
        "opinion",
        "assessment",
        "summary",
        "(?:final )?diagnosis",
        "(?:findings|impression)(?: and |/)(?:impression|findings|recommendations?)",
        "addendum",
        "(?:影像学?|放射学?|检查|X线)?(?:诊断)(?:意见|印象|结论)?",
        "(?:检查|影像)?(?:印象|结论|意见|提示)",
    ),
}

# Only at the start of a line, after a sentence's end or after a gap: 'family history' inside a
# sentence is no heading. A heading alone on its line needs no colon.
_HEADING = re.compile(
    r"(?:^|(?<=[.。;；\n]))[ \t【\[*]*(?:"
    + "|".join(f"(?P<{kind.value}>{'|'.join(names)})" for kind, names in _HEADINGS.items())
    + r"|(?P<body>(?-i:[A-Z][A-Z0-9 ,&()/\-]{3,80})(?=:)))"
    r"(?:[ \t]*[\]】*]+[ \t]*[:：]?|[ \t]*[:：]|[ \t]*(?=\r?\n))",
    re.IGNORECASE | re.MULTILINE,
)

# A wrapped report repeats no heading after its history, but it leaves a blank line.
_BLANK_LINE = re.compile(r"\n[ \t\r]*\n")

_CJK = re.compile("[\u3400-\u9fff]")
_LATIN = re.compile("[A-Za-z]")
_CJK_SHARE = 0.2
"""Chinese reports carry Latin letters for CT, PICC and sizes; English ones carry no Chinese."""

_BREAK = re.compile(
    r"""(?P<wide>[。！？]+)
      |(?P<stop>[.!?]+["')\]]*(?=\s|$|[A-Z]))
      |(?P<item>(?<=\s)(?=[0-9]{1,2}[.)]\s+[A-Z]))
      |(?P<line>\r?\n\s*)""",
    re.VERBOSE,
)
_OPEN_WORD = re.compile(
    r"\b(?:a|an|and|are|as|at|by|for|from|has|in|is|no|not|of|on|or|the|to|was|were|with|without)"
    r"[ \t]*\Z",
    re.IGNORECASE,
)
_ABBREVIATION = re.compile(
    r"(?:\b(?:approx|cf|dr|e\.g|fig|i\.e|mr|mrs|ms|resp|st|vs)|(?:\A|\s)[0-9]{1,2}"
    r"|\b(?-i:No)(?=\.\s*[0-9]))\Z",
    re.IGNORECASE,
)
_LOOK_BACK = 12
"""Characters seen before a possible end; longer than every word in the two patterns above."""

_PLACEHOLDER = re.compile(r"x{3,}|_{2,}|\[\*\*.*?\*\*\]|\*{3,}")
_NO_WORD = re.compile(r"[\W_]+")


def detect_language(text: str) -> str:
    """Return `zh` for a text in Chinese script, else `en`."""
    chinese = len(_CJK.findall(text))
    return "zh" if chinese and chinese >= _CJK_SHARE * len(_LATIN.findall(text)) else "en"


def normalise(text: str) -> str:
    """Return what two copies of a report share: for de-duplication, not for reading.

    Case, width, white space, punctuation and the spelling of placeholders do not count.
    """
    folded = unicodedata.normalize("NFKC", text).casefold()
    return _NO_WORD.sub(" ", _PLACEHOLDER.sub(" ", folded)).strip()


def split(text: str, language: str | None = None) -> Document:
    """Return the text with its sections and sentences; a declared language is believed."""
    tongue = language.partition("-")[0] if language else detect_language(text)
    sections = tuple(
        Section(kind, start, end, tuple(_sentences(text, content, end, tongue)))
        for kind, start, content, end in _parts(text)
    )
    return Document(text, tongue, sections)


def _parts(text: str) -> Iterator[tuple[SectionKind, int, int, int]]:
    """Yield kind, start, start of the content and end of each section."""
    kind, start, content = SectionKind.BODY, 0, 0
    for match in _HEADING.finditer(text):
        if text[start : match.start()].strip():
            yield from _until_blank_line(text, kind, start, content, match.start())
        kind, start, content = SectionKind(match.lastgroup or "body"), match.start(), match.end()
    if text[start:].strip():
        yield from _until_blank_line(text, kind, start, content, len(text))


def _until_blank_line(
    text: str, kind: SectionKind, start: int, content: int, end: int
) -> Iterator[tuple[SectionKind, int, int, int]]:
    if kind.describes_this_study:
        yield kind, start, content, end
        return
    while content < end and text[content].isspace():
        content += 1
    blank = _BLANK_LINE.search(text, content, end)
    if blank is None or not text[blank.end() : end].strip():
        yield kind, start, content, end
        return
    yield kind, start, content, blank.start()
    yield SectionKind.BODY, blank.end(), blank.end(), end


def _sentences(text: str, start: int, end: int, language: str) -> Iterator[Sentence]:
    for match in _BREAK.finditer(text, start, end):
        if match.lastgroup == "stop" and _is_abbreviated(text, start, match.start()):
            continue
        if match.lastgroup == "line" and language == "en" and _is_wrapped(text, start, match):
            continue
        yield from _trimmed(text, start, match.end())
        start = match.end()
    yield from _trimmed(text, start, end)


def _is_abbreviated(text: str, start: int, dot: int) -> bool:
    return _ABBREVIATION.search(text[max(start, dot - _LOOK_BACK) : dot]) is not None


def _is_wrapped(text: str, start: int, line: re.Match[str]) -> bool:
    """Tell a line that goes on in the next one from a line that ends its sentence."""
    if line.group().count("\n") > 1 or line.end() >= len(text):
        return False
    before = text[max(start, line.start() - _LOOK_BACK) : line.start()].rstrip()
    return (
        text[line.end()].islower() or before.endswith(",") or _OPEN_WORD.search(before) is not None
    )


def _trimmed(text: str, start: int, end: int) -> Iterator[Sentence]:
    while start < end and text[start].isspace():
        start += 1
    while start < end and text[end - 1].isspace():
        end -= 1
    if start < end:
        yield Sentence(start, end)
