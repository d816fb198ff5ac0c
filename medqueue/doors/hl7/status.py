"""The status of a report: what its author says of it."""

from collections.abc import Iterable

from medqueue.doors.hl7.message import Segment
from schemas.report import ReportStatus

_OF_ORDERS = {
    "F": ReportStatus.FINAL,
    "C": ReportStatus.CORRECTED,
    "M": ReportStatus.CORRECTED,
    **dict.fromkeys("AINOPRS", ReportStatus.PRELIMINARY),
}
"""OBR-25, table 0123."""

_OF_OBSERVATIONS = {
    "F": ReportStatus.FINAL,
    "C": ReportStatus.CORRECTED,
    **dict.fromkeys("PRS", ReportStatus.PRELIMINARY),
}
"""OBX-11, table 0085."""

_OF_DOCUMENTS = {
    **dict.fromkeys(("AU", "LA"), ReportStatus.FINAL),
    **dict.fromkeys(("DI", "DO", "IN", "IP", "PA"), ReportStatus.PRELIMINARY),
}
"""TXA-17, table 0271."""

_CORRECTING_EVENTS = frozenset({"T06", "T08", "T10"})
"""Of MDM: addendum, edit and replacement (chapter 9, section 9.6)."""

_WEIGHTIEST_FIRST = (ReportStatus.CORRECTED, ReportStatus.PRELIMINARY, ReportStatus.FINAL)


def of_document(event: str, document: Segment) -> ReportStatus | None:
    """Return the status of a document of MDM; None if it says none that we know."""
    if event in _CORRECTING_EVENTS:
        return ReportStatus.CORRECTED
    return _OF_DOCUMENTS.get(document.value(17).upper())


def of_orders(
    orders: Iterable[Segment | None], observations: Iterable[Segment]
) -> ReportStatus | None:
    """Return the status of a report of ORU; None if it says none that we know.

    The order speaks for its observations. Of several orders or observations the one that is not
    final decides: a report is final when all of it is.
    """
    said = {_OF_ORDERS.get(order.value(25).upper()) for order in orders if order is not None}
    if said <= {None}:
        said = {_OF_OBSERVATIONS.get(one.value(11).upper()) for one in observations}
    return next((status for status in _WEIGHTIEST_FIRST if status in said), None)
