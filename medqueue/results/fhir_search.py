"""FHIR searches for DiagnosticReport (R4, search.html): from parameters to a query of the feed."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, and_, false, func, or_, select, tuple_

from medqueue.errors import NotFoundError, SearchError
from medqueue.ledger.engine import Ledger
from medqueue.results.feed import FEED, fetch, parse_cursor
from medqueue.results.fhir import DICOM_UID_SYSTEM, STATUS, URI_SYSTEM
from schemas.result import Result

DEFAULT_COUNT = 50
MAX_COUNT = 1000
"""A client that asks for more gets so many and a link to the rest (R4, search.html#count)."""

CURSOR = "_cursor"
"""Our own parameter; it only stands in `next` links."""

Condition = ColumnElement[bool]

# Value set diagnostic-report-status.
_STATUSES = frozenset(
    {"registered", "partial", "preliminary", "final", "amended", "corrected", "appended"}
    | {"cancelled", "entered-in-error", "unknown"}
)
_DATE = re.compile(
    r"(?P<prefix>[a-z]{2})?(?P<year>\d{4})(-(?P<month>\d\d)(-(?P<day>\d\d)"
    r"(T(?P<hour>\d\d):(?P<minute>\d\d)(:(?P<second>\d\d)(\.(?P<fraction>\d{1,6})\d*)?)?"
    r"(?P<zone>Z|[+-]\d\d:\d\d)?)?)?)?",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Search:
    """A search that has been understood."""

    conditions: tuple[Condition, ...]
    count: int = DEFAULT_COUNT
    after: int = 0
    by_time: bool = False
    """Pages come in the order of time, which an index has, and not in that of the feed: so a
    search for the last hour does not read all of the feed before it."""


@dataclass(frozen=True, slots=True)
class Page:
    """What a search found."""

    results: list[Result]
    next: str | None = None
    """The cursor of the next page; None on the last."""
    total: int | None = None
    """Only where nothing but the number was asked for (`_count=0`)."""


@dataclass
class _Draft:
    conditions: list[Condition] = field(default_factory=list)
    count: int = DEFAULT_COUNT
    after: int = 0
    by_time: bool = False


def parse_search(parameters: Iterable[tuple[str, str]]) -> Search:
    """Understand the parameters of a search; repeated ones all have to hold.

    Raises:
        SearchError: a parameter is unknown or malformed. It is not left out silently (R4,
            search.html#errors, allows either): a filter that does not filter would hand out
            other patients.
        CursorError: the cursor is not out of a `next` link.
    """
    draft = _Draft()
    for name, text in parameters:
        if "\x00" in text:
            raise SearchError("a value holds a NUL")
        if name in _FILTERS:
            build = _FILTERS[name]
            draft.by_time |= build is _by_last_updated
            draft.conditions.append(or_(false(), *(build(value) for value in _split(text))))
        elif name == "_count":
            draft.count = _count(text)
        elif name == CURSOR:
            draft.after = parse_cursor(text)
        elif name == "_format":
            _require_json(text)
        elif name != "_pretty":
            raise SearchError(f"a parameter is not known; there are: {', '.join(PARAMETERS)}")
    return Search(tuple(draft.conditions), draft.count, draft.after, draft.by_time)


def run_search(ledger: Ledger, search: Search) -> Page:
    """Return a page of the results that match, the oldest first."""
    order = (FEED.c.completed_at, FEED.c.seq) if search.by_time else (FEED.c.seq,)
    with ledger.read() as connection:
        matching = select(FEED).where(*search.conditions)
        if search.count == 0:
            counted = connection.execute(select(func.count()).select_from(matching.subquery()))
            return Page([], total=counted.scalar_one())
        following = matching.where(_follows(search)).order_by(*order)
        found = fetch(connection, following.limit(search.count + 1))
    page = found[: search.count]
    return Page(page, str(page[-1].seq) if len(found) > len(page) else None)


def _follows(search: Search) -> Condition:
    if not (search.by_time and search.after):
        return FEED.c.seq > search.after
    last = select(FEED.c.completed_at, FEED.c.seq).where(FEED.c.seq == search.after)
    # Row values compare from left to right, as the order does.
    return tuple_(FEED.c.completed_at, FEED.c.seq) > last.scalar_subquery()


def find_result(ledger: Ledger, result_id: str) -> Result:
    """Return one result.

    Raises:
        NotFoundError: there is no such result.
    """
    found: list[Result] = []
    if "\x00" not in result_id:
        with ledger.read() as connection:
            found = fetch(connection, select(FEED).where(FEED.c.id == result_id))
    if not found:
        raise NotFoundError("no DiagnosticReport is known under this id")
    return found[0]


def _split(text: str) -> list[str]:
    """Return the alternatives of a value; a backslash escapes (R4, search.html#escaping)."""
    parts = re.findall(r"(?:\\.|[^,\\])+", text, re.DOTALL)
    return [re.sub(r"\\(.)", r"\1", part, flags=re.DOTALL) for part in parts]


def _count(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", text, re.ASCII):
        raise SearchError("_count: give a number")
    return min(int(text), MAX_COUNT)


def _require_json(text: str) -> None:
    if text not in {"json", "application/json", "application/fhir+json", "application/fhir json"}:
        raise SearchError("_format: only json is supported")


def _by_identifier(token: str) -> Condition:
    """Match `DiagnosticReport.identifier`: the result's own, accession number or report id."""
    system, bar, value = token.rpartition("|")
    own = FEED.c.id == _own_id(value)
    theirs = or_(FEED.c.accession_number == value, FEED.c.report_id == value)
    if not bar:
        return or_(own, theirs)
    if system == URI_SYSTEM:
        return own
    return theirs if system == "" else false()


def _own_id(uri: str) -> str:
    try:
        return UUID(uri.removeprefix("urn:uuid:")).hex if uri.startswith("urn:uuid:") else ""
    except ValueError:
        return ""


def _by_patient(token: str) -> Condition:
    """Match `subject.identifier`; ours has no system, since DICOM and HL7 give none we keep."""
    system, _, value = token.rpartition("|")
    return FEED.c.patient_id == value if system == "" else false()


def _by_study(token: str) -> Condition:
    """Match `imagingStudy.identifier`, with or without `urn:oid:`."""
    system, bar, value = token.rpartition("|")
    if bar and system not in {DICOM_UID_SYSTEM, ""}:
        return false()
    return FEED.c.study_instance_uid == value.removeprefix("urn:oid:")


def _by_status(code: str) -> Condition:
    if code not in _STATUSES:
        raise SearchError("status: give codes of the value set diagnostic-report-status")
    return FEED.c.status.in_([ours for ours, theirs in STATUS.items() if theirs == code])


def _by_id(value: str) -> Condition:
    return FEED.c.id == value


def _by_last_updated(text: str) -> Condition:
    prefix, begin, end = _period(text)
    moment = FEED.c.completed_at
    comparisons: dict[str, Condition] = {
        "eq": and_(moment >= begin, moment < end),
        "ne": or_(moment < begin, moment >= end),
        "ge": moment >= begin,
        "gt": moment >= end,
        "lt": moment < begin,
        "le": moment < end,
    }
    if prefix not in comparisons:
        raise SearchError(f"_lastUpdated: the prefixes are {', '.join(comparisons)}")
    return comparisons[prefix]


def _period(text: str) -> tuple[str, datetime, datetime]:
    """Return prefix, begin and end of a date of any precision (R4, search.html#date).

    A date without a zone is in UTC, as everything here.
    """
    # An unescaped `+` of a zone arrives as a space.
    match = _DATE.fullmatch(text.replace(" ", "+"))
    if match is None:
        raise SearchError("_lastUpdated: give a date like ge2026-03-01 or gt2026-03-01T12:00:00Z")
    parts = match.groupdict()
    zone = (parts["zone"] or "Z").replace("Z", "+00:00")
    try:
        begin = datetime.fromisoformat(
            f"{parts['year']}-{parts['month'] or '01'}-{parts['day'] or '01'}"
            f"T{parts['hour'] or '00'}:{parts['minute'] or '00'}:{parts['second'] or '00'}"
            f".{(parts['fraction'] or '0').ljust(6, '0')}{zone}"
        ).astimezone(UTC)
        return parts["prefix"] or "eq", begin, _end(begin, parts)
    except (ValueError, OverflowError):
        raise SearchError("_lastUpdated: there is no such date") from None


def _end(begin: datetime, parts: dict[str, Any]) -> datetime:
    if parts["month"] is None:
        return begin.replace(year=begin.year + 1)
    if parts["day"] is None:
        return (begin + timedelta(days=31)).replace(day=1)
    for name, width in (
        ("fraction", timedelta(microseconds=10 ** (6 - len(parts["fraction"] or "")))),
        ("second", timedelta(seconds=1)),
        ("minute", timedelta(minutes=1)),
    ):
        if parts[name] is not None:
            return begin + width
    return begin + timedelta(days=1)


# We keep no Patient and no ImagingStudy, so a reference can only go by identifier, which R4 spells
# with a modifier (search.html#reference) and many clients as a chain.
_REFERENCES = ("", ":identifier", ".identifier")
_FILTERS: dict[str, Callable[[str], Condition]] = {
    "_id": _by_id,
    "_lastUpdated": _by_last_updated,
    "identifier": _by_identifier,
    "status": _by_status,
    **dict.fromkeys(
        (f"{name}{suffix}" for name in ("patient", "subject") for suffix in _REFERENCES),
        _by_patient,
    ),
    **dict.fromkeys((f"study{suffix}" for suffix in _REFERENCES), _by_study),
}
PARAMETERS = (*_FILTERS, "_count", "_format", "_pretty")
