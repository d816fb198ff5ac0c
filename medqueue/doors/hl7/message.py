"""One HL7 v2 message, taken apart: segments, fields, repetitions and components."""

import re
from collections.abc import Iterator

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

    def __init__(self, line: str, message: "Message") -> None:
        self._message = message
        self._fields = line.split(message.field)
        if line.startswith("MSH"):
            self._fields.insert(1, message.field)  # MSH-1 is the separator itself
        self.name = self._fields[0]

    def raw(self, field: int) -> str:
        """Return a field as it was sent, with its delimiters and escape sequences."""
        return self._fields[field] if field < len(self._fields) else ""

    def text(self, field: int) -> str:
        """Return a field as one text, a line for each repetition (HL7 v2 section 2.A.78, TX).

        Other delimiters that are not escaped stay: senders write `T1 & T2` and mean it.
        """
        return "\n".join(self._message.resolve(part) for part in self._split(field))

    def repetitions(self, field: int) -> list[list[str]]:
        """Return the components of every repetition, resolved and trimmed; a null is empty."""
        return [
            [self._first(part) for part in repetition.split(self._message.component)]
            for repetition in self._split(field)
        ]

    def pieces(self, field: int) -> list[str]:
        """Return every component and subcomponent of the first repetition."""
        return [
            self._message.value(piece)
            for repetition in self._split(field)[:1]
            for part in repetition.split(self._message.component)
            for piece in part.split(self._message.subcomponent)
        ]

    def value(self, field: int, component: int = 1) -> str:
        """Return a component of the first repetition; empty if it is not there."""
        first = self.raw(field).partition(self._message.repetition)[0]
        parts = first.split(self._message.component, component)
        return self._first(parts[component - 1]) if component <= len(parts) else ""

    def _first(self, component: str) -> str:
        """Return the first subcomponent: it stands for all (section 2.11, compatibility)."""
        return self._message.value(component.partition(self._message.subcomponent)[0])

    def _split(self, field: int) -> list[str]:
        value = self.raw(field)
        return value.split(self._message.repetition) if value else []


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
        self.component, self.repetition, escape, self.subcomponent = tuple(delimiters[:4])
        self._require_distinct(delimiters)
        self._escapes = Escapes(
            field=self.field,
            component=self.component,
            repetition=self.repetition,
            # A sender that names none has none: its backslashes are text.
            escape=escape if len(given) > len("^~") else "",
            subcomponent=self.subcomponent,
        )
        separators = (self.field, self.component, self.repetition, self.subcomponent)
        if sum(map(text.count, separators)) + len(lines) > limits.separators:
            raise TooLargeError(f"a message may have {limits.separators} fields and components")
        self.segments = [Segment(line, self) for line in lines]

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


def _segments(text: str) -> list[str]:
    r"""Return the segments of a message.

    They end with a carriage return (HL7 v2 section 2.5.4). Some senders write line feeds or both;
    and some write line ends inside of a text: what does not begin as a segment does continues the
    one before.
    """
    text = text.replace("\r\n", "\r")
    lines = text.split("\r" if "\r" in text.strip("\r\n") else "\n")
    segments: list[list[str]] = []
    separator = ""
    for line in lines:
        begun = line.lstrip("\n")
        if _SEGMENT.match(begun) and (not segments or begun[3:4] in {separator, ""}):
            separator = separator or begun[3:4]
            segments.append([begun])
        elif segments:
            segments[-1].append(line)
        elif line.strip():
            raise NotHl7Error("a message begins with the segment MSH (HL7 v2 section 2.5)")
    return ["\n".join(parts).rstrip("\n") for parts in segments]
