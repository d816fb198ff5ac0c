"""The text of a report out of its observations: OBX segments of every type that holds words.

HL7 v2 chapter 7, section 7.4.2 (OBX), and table 0085 for what became of an observation.
"""

import base64
from collections.abc import Sequence

from medqueue.doors.hl7.escapes import clean
from medqueue.doors.hl7.message import Segment
from schemas.report import Enclosure

_PLAIN = frozenset({"", "TX", "FT", "ST"})
"""Types whose value is the text. Some senders leave OBX-2 out."""
_CODED = frozenset({"CE", "CWE", "CNE", "CF"})
_NOT_A_RESULT = frozenset({"D", "I", "N", "O", "U", "W", "X"})
"""OBX-11 of what is deleted, pending, not asked, wrong or unobtainable: no text to diagnose."""
_TEXT_TYPES = frozenset({"TEXT", "TX", "TXT", "PLAIN", "TEXT/PLAIN"})

# Where a sender marks sections by the code of the observation (OBX-3) and not by headings, the
# headings are written out: a reader of the text must tell a history from a finding.
_HEADINGS = {
    # LOINC
    "11329-0": "HISTORY",
    "18785-6": "INDICATION",
    "55115-0": "INDICATION",
    "55111-9": "TECHNIQUE",
    "18834-2": "COMPARISON",
    "59776-5": "FINDINGS",
    "18782-3": "FINDINGS",
    "19005-8": "IMPRESSION",
    "55110-1": "CONCLUSION",
    # Suffixes of HL7 v2.2 to v2.6 (section 7.1.4): 71020&IMP
    "IMP": "IMPRESSION",
    "REC": "RECOMMENDATION",
    "TCM": "TECHNIQUE",
    # The display itself
    **{
        name: name
        for name in (
            "HISTORY",
            "CLINICAL HISTORY",
            "INDICATION",
            "TECHNIQUE",
            "COMPARISON",
            "FINDINGS",
            "IMPRESSION",
            "CONCLUSION",
            "ADDENDUM",
            "临床病史",
            "检查方法",
            "检查所见",
            "影像所见",
            "诊断意见",
            "诊断印象",
        )
    },
}


class Narrative:
    """The text of some observations, and what of them could not be taken."""

    def __init__(self, observations: Sequence[Segment]) -> None:
        self.documents: list[Enclosure] = []
        """What is there beside the text, such as a PDF, that nobody here reads."""
        ordered = _in_order(observations)
        sections = [_section(one) for one in ordered]
        by_section = len(set(sections)) > 1
        written: str | None = None
        lines: list[str] = []
        for one, section in zip(ordered, sections, strict=True):
            value = self._text_of(one)
            if by_section and section not in {None, written} and value.strip():
                if not value.lstrip().upper().startswith(str(section)):
                    lines.append(f"{section}:")
                written = section
            lines.append(value)  # a blank one is a blank line
        self.text = "\n".join(lines).strip("\n")

    def _text_of(self, observation: Segment) -> str:
        kind = observation.value(2).upper()
        if observation.value(11).upper() in _NOT_A_RESULT:
            return ""
        if kind in _PLAIN:
            return observation.text(5)
        if kind in _CODED:
            return "\n".join(_coded(observation))
        if kind == "ED":
            found = [self._encapsulated(components) for components in observation.repetitions(5)]
            return "\n".join(text for text in found if text)
        return ""

    def _encapsulated(self, components: Sequence[str]) -> str:
        """Return the text of encapsulated data (section 2.A.24, ED); keep what is a document."""
        _, kind, subtype, encoding, data = (*components, "", "", "", "", "")[:5]
        is_text = kind.upper() in _TEXT_TYPES or subtype.upper() in _TEXT_TYPES
        if not data:
            return ""
        if is_text and encoding.upper() in {"", "A"}:
            return data
        content = _decoded(data, encoding.upper())
        if is_text and content is not None:
            try:
                return clean(content.decode())
            except UnicodeDecodeError:
                pass
        self.documents.append(Enclosure(data.encode() if content is None else content))
        return ""


def _decoded(data: str, encoding: str) -> bytes | None:
    """Return the bytes that are meant (table 0299); None for what is not in its encoding."""
    plain = "".join(data.split())
    try:
        if encoding == "BASE64":
            return base64.b64decode(plain, validate=True)
        if encoding == "HEX":
            return bytes.fromhex(plain)
    except ValueError:  # also of a binascii.Error
        return None
    return data.encode()


def _coded(observation: Segment) -> list[str]:
    """Return the words of coded values: the original text, else the text, else the code."""
    words = []
    for components in observation.repetitions(5):
        parts = components + [""] * (9 - len(components))
        words.append(parts[8] or parts[1] or parts[4] or parts[0])
    return words


def _in_order(observations: Sequence[Segment]) -> list[Segment]:
    """Sort by OBX-1, or OBX-4, where all are different numbers; else as they came."""
    for field in (1, 4):
        numbers = [one.value(field) for one in observations]
        if all(number.isdecimal() for number in numbers) and len(set(numbers)) == len(numbers):
            return sorted(observations, key=lambda one: int(one.value(field)))
    return list(observations)


def _section(observation: Segment) -> str | None:
    """Return the heading that the code of an observation stands for."""
    found = (_HEADINGS.get(piece.upper()) for piece in observation.pieces(3))
    return next((heading for heading in found if heading), None)
