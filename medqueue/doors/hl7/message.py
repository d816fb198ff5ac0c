"""One HL7 v2 message, taken apart: segments, fields, repetitions and components."""

import re
from collections.abc import Iterator, Sequence

import hl7

from medqueue.doors.hl7.charsets import decode
from medqueue.doors.hl7.escapes import Escapes
from medqueue.doors.hl7.limits import Limits
from medqueue.errors import NotHl7Error, TooLargeError

_SEGMENT = re.compile(r"[A-Z][A-Z0-9]{2}")
_NULL = '""'
"""Two double quotes delete a value (HL7 v2.5 section 2.5.3): for us it is not there."""
_DEFAULT_DELIMITERS = "^~\\&"


class Segment:
    """One segment. Fields count from 1 as in the standard; what is not there is empty."""

    def __init__(self, parsed: hl7.Segment, message: "Message") -> None:
        self._parsed = parsed
        self._message = message
        self.name = str(parsed[0])

    def raw(self, field: int) -> str:
        """Return a field as it was sent, with its delimiters and escape sequences."""
        return str(self._parsed[field]) if field < len(self._parsed) else ""

    def text(self, field: int) -> str:
        """Return a field as one text, a line for each repetition (HL7 v2 section 2.A.78, TX).

        Other delimiters that are not escaped stay: senders write `T1 & T2` and mean it.
        """
        if field >= len(self._parsed):
            return ""
        return "\n".join(self._message.resolve(str(part)) for part in self._parsed[field])

    def repetitions(self, field: int) -> int:
        """Return how many repetitions a field has."""
        return len(self._parsed[field]) if field < len(self._parsed) else 0

    def components(self, field: int, repetition: int = 1) -> list[str]:
        """Return the components of a repetition, resolved and trimmed; a null is empty."""
        if repetition > self.repetitions(field):
            return []
        found = self._parsed[field][repetition - 1]
        if isinstance(found, str):
            return [self._message.value(found)]
        # Of subcomponents the first stands for the component (section 2.11, compatibility).
        return [self._message.value(_leaf(part)) for part in found]

    def pieces(self, field: int) -> list[str]:
        """Return every component and subcomponent of the first repetition."""
        if not self.repetitions(field):
            return []
        found = self._parsed[field][0]
        components = [found] if isinstance(found, str) else found
        return [
            self._message.value(piece)
            for component in components
            for piece in ([component] if isinstance(component, str) else component)
        ]

    def value(self, field: int, component: int = 1, repetition: int = 1) -> str:
        """Return one component, or its first subcomponent; empty if it is not there."""
        if repetition > self.repetitions(field):
            return ""
        found = self._parsed[field][repetition - 1]
        if isinstance(found, str):
            return self._message.value(found) if component == 1 else ""
        if component > len(found):
            return ""
        part = found[component - 1]
        return self._message.value(_leaf(part))


class Message:
    """A message of which the header is sound. The text of fields is resolved when it is asked."""

    def __init__(self, content: bytes, *, default_codec: str, limits: Limits) -> None:
        """Take a message apart.

        Args:
            content: what stood between VT and FS.
            default_codec: for a message that names no character set.
            limits: how many parts it may have.

        Raises:
            NotHl7Error: it is no message.
            CharacterSetError: it is not in the character set that it says.
            TooLargeError: it has more parts than any report.
        """
        text, self._codec = decode(content, default_codec)
        lines = _segments(text)
        if not lines or not lines[0].startswith("MSH") or len(lines[0]) < len("MSH|^"):
            raise NotHl7Error("a message begins with MSH and its delimiters (HL7 v2 section 2.5)")
        if sum(line.startswith("MSH" + lines[0][3]) for line in lines) > 1:
            # Read as one message, the second patient's text would go to the first.
            raise NotHl7Error("a block holds one message (HL7 v2 Implementation Guide, C.4)")
        self.field = lines[0][3]
        given = lines[0][4:].partition(self.field)[0]
        delimiters = given + _DEFAULT_DELIMITERS[len(given) :]
        component, repetition, escape, subcomponent = tuple(delimiters[:4])
        self._require_distinct(delimiters)
        self._escapes = Escapes(
            field=self.field,
            component=component,
            repetition=repetition,
            # A sender that names none has none: its backslashes are text.
            escape=escape if len(given) > len("^~") else "",
            subcomponent=subcomponent,
        )
        parts = sum(text.count(one) for one in (self.field, component, repetition, subcomponent))
        if parts + len(lines) > limits.separators:
            raise TooLargeError(f"a message may have {limits.separators} fields and components")
        self.segments = [Segment(one, self) for one in _parse(lines)]

    def __iter__(self) -> Iterator[Segment]:
        """Yield the segments in their order."""
        return iter(self.segments)

    def first(self, name: str) -> Segment | None:
        """Return the first segment of a name."""
        return next((segment for segment in self.segments if segment.name == name), None)

    @property
    def header(self) -> Segment:
        """The segment MSH."""
        return self.segments[0]

    def resolve(self, text: str) -> str:
        """Return the text that is meant by what was sent."""
        return self._escapes.resolve(text, self._codec)

    def value(self, text: str) -> str:
        """Return a component as a value: trimmed; a null is empty."""
        trimmed = text.strip()
        if not trimmed or trimmed == _NULL:
            return ""
        return self.resolve(trimmed).strip()

    def _require_distinct(self, delimiters: str) -> None:
        used = [self.field, *delimiters[:4]]
        if len(set(used)) < len(used) or any(one.isalnum() or one.isspace() for one in used):
            raise NotHl7Error("MSH-1 and MSH-2 do not name five different delimiters")


def _leaf(part: hl7.Component | str) -> str:
    """Return a component that has no subcomponents, or the first of them."""
    if isinstance(part, str):
        return part
    return str(part[0]) if part else ""


def _segments(text: str) -> list[str]:
    r"""Return the segments of a message.

    They end with a carriage return (HL7 v2 section 2.5.4). Some senders write line feeds or both;
    and some write line ends inside of a text: what does not begin as a segment does continues the
    one before.
    """
    text = text.replace("\r\n", "\r")
    lines: Sequence[str] = text.split("\r" if "\r" in text.strip("\r\n") else "\n")
    segments: list[str] = []
    for line in lines:
        begins = _SEGMENT.match(line.lstrip("\n"))
        if begins and (not segments or line.lstrip("\n")[3:4] in {segments[0][3:4], ""}):
            segments.append(line.lstrip("\n"))
        elif segments:
            segments[-1] += "\n" + line
        elif line.strip():
            raise NotHl7Error("a message begins with the segment MSH (HL7 v2 section 2.5)")
    return [segment.rstrip("\n") for segment in segments]


def _parse(lines: Sequence[str]) -> list[hl7.Segment]:
    try:
        return list(hl7.parse("\r".join(lines)))
    except (hl7.HL7Exception, IndexError, ValueError) as error:
        # Its text may quote the message.
        raise NotHl7Error(f"not an HL7 v2 message ({type(error).__name__})") from None
