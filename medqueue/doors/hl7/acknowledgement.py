"""Acknowledgements: what a sender is told, in the original mode (HL7 v2 section 2.9.2).

`AA`: durable. `AE`: not now, send it again. `AR`: never as it is; a person must look. Nothing of
the message is repeated but its header, so an acknowledgement holds no patient data.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from medqueue.errors import (
    CharacterSetError,
    IdempotencyConflictError,
    MedqueueError,
    NoTextError,
    NotHl7Error,
    RefusedInputError,
    UnsupportedMessageError,
)
from schemas.identifiers import new_id

_CONDITIONS: Mapping[type[MedqueueError], tuple[str, str]] = {
    UnsupportedMessageError: ("200", "Unsupported message type"),
    NoTextError: ("101", "Required field missing"),
    NotHl7Error: ("100", "Segment sequence error"),
    CharacterSetError: ("102", "Data type error"),
    IdempotencyConflictError: ("205", "Duplicate key identifier"),
    RefusedInputError: ("102", "Data type error"),
    MedqueueError: ("207", "Application internal error"),
}
"""Table 0357, message error condition codes."""

_DEFAULT = "MSH|^~\\&"
_LONGEST_HEADER = 4096
_LONGEST_ECHO = 199
_DELIMITERS = re.compile(r"[!-/:-@\[-`{-~]{3,6}", re.ASCII)
_EVENT = re.compile(r"[A-Z][0-9]{2}")
_PRINTABLE = re.compile(r"[^\x20-\x7e\x80-\xff]")
_FULL_TYPE_SINCE = (2, 3, 1)
_ERR_FIELDS_SINCE = (2, 5, 0)


class Code(StrEnum):
    """Table 0008."""

    ACCEPTED = "AA"
    TRY_AGAIN = "AE"
    REFUSED = "AR"


@dataclass(frozen=True, slots=True)
class Header:
    """What an acknowledgement takes over from a message, readable or not."""

    delimiters: str
    fields: tuple[str, ...]
    """By their numbers in the standard: MSH-1 stands at 1."""

    @property
    def is_acknowledgement(self) -> bool:
        """Whether the message is one itself; those are never acknowledged."""
        return self.field(9)[:3] == "ACK"

    @property
    def version(self) -> tuple[int, int, int]:
        """MSH-12 as numbers; what cannot be read counts as 2.5."""
        found = re.match(r"2\.(\d)(?:\.(\d))?", self.field(12))
        return (2, int(found[1]), int(found[2] or 0)) if found else (2, 5, 0)

    def field(self, number: int) -> str:
        """Return a field as it was sent, without control characters."""
        value = self.fields[number] if number < len(self.fields) else ""
        return _PRINTABLE.sub("", value)[:_LONGEST_ECHO]


def read_header(content: bytes) -> Header:
    """Return the header of a message; an empty one where there is none.

    As Latin 1, in which every byte comes back as it was: the character set does not matter here.
    """
    line = re.split(rb"[\r\n]", content[:_LONGEST_HEADER].lstrip(), maxsplit=1)[0].decode("latin-1")
    line = line.removeprefix("\xef\xbb\xbf")
    if not line.startswith("MSH") or len(line) < len(_DEFAULT):
        return Header(_DEFAULT[3:], ())
    separator = line[3]
    parts = line.split(separator)
    if not _DELIMITERS.fullmatch(separator + parts[1]):
        return Header(_DEFAULT[3:], ())
    return Header(separator + parts[1], (parts[0], separator, *parts[1:]))


def acknowledge(header: Header, *, now: datetime, error: MedqueueError | None = None) -> bytes:
    """Return the acknowledgement of a message: accepted, or why not."""
    separator = header.delimiters[0]
    component = header.delimiters[1]
    lines = [
        _msh(header, separator, component, now),
        separator.join(("MSA", _code(error), header.field(10))),
    ]
    if error is not None:
        lines[-1] += separator + _plain(error.detail, header.delimiters)
        lines.append(_err(header, error))
    return ("\r".join(lines) + "\r").encode("latin-1")


def _code(error: MedqueueError | None) -> Code:
    if error is None:
        return Code.ACCEPTED
    return Code.REFUSED if isinstance(error, RefusedInputError) else Code.TRY_AGAIN


def _msh(header: Header, separator: str, component: str, now: datetime) -> str:
    event = [*header.field(9).split(component), ""][1]
    full = header.version >= _FULL_TYPE_SINCE and _EVENT.fullmatch(event)
    kind = component.join(("ACK", event, "ACK")) if full else "ACK"
    return separator.join(
        (
            f"MSH{header.delimiters}",
            header.field(5),
            header.field(6),
            header.field(3),
            header.field(4),
            f"{now:%Y%m%d%H%M%S%z}",
            "",
            kind,
            new_id()[:20],
            header.field(11) or "P",
            header.field(12) or "2.5",
        )
    )


def _err(header: Header, error: MedqueueError) -> str:
    """Return the segment ERR: since version 2.5 with fields of its own (section 2.15.5)."""
    separator, component = header.delimiters[0], header.delimiters[1]
    kinds = type(error).__mro__
    number, words = next(_CONDITIONS[kind] for kind in kinds if kind in _CONDITIONS)
    detail = _plain(error.detail, header.delimiters)
    if header.version < _ERR_FIELDS_SINCE:
        subcomponent = header.delimiters[4:5] or "&"
        condition = subcomponent.join((number, words, "HL70357"))
        return separator.join(("ERR", component * 3 + condition))
    condition = component.join((number, words, "HL70357"))
    return separator.join(("ERR", "", "", condition, "E", error.code, "", "", detail))


def _plain(text: str, delimiters: str) -> str:
    """Return a text without delimiters, in ASCII, so that no sender has to resolve anything."""
    plain = text.encode("ascii", "replace").decode()
    return "".join("/" if one in delimiters else one for one in _PRINTABLE.sub(" ", plain))
