"""Destinations: where finished results are sent, and in which form."""

import re
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import urlsplit

from schemas.application_entity import ApplicationEntity, parse_application_entity

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


class Form(StrEnum):
    """How a result travels; the value is the scheme of the address in the settings."""

    C_STORE = "dicom"
    """Structured Report and Secondary Capture by C-STORE."""
    STOW = "dicomweb+https"
    """The same objects by STOW-RS."""
    STOW_PLAIN = "dicomweb+http"
    MLLP = "mllp"
    """The result as HL7 v2 ORU^R01."""
    WEBHOOK = "webhook+https"
    """The result as JSON, signed, by HTTP POST."""
    WEBHOOK_PLAIN = "webhook+http"

    @property
    def is_dicom(self) -> bool:
        """Whether DICOM objects travel; then only results on images do."""
        return self in (Form.C_STORE, Form.STOW, Form.STOW_PLAIN)


@dataclass(frozen=True, slots=True)
class Destination:
    """One system that gets every result."""

    name: str
    """Under which the ledger keeps its position; the address may change, the name should not."""
    form: Form
    entity: ApplicationEntity | None = None
    """Of C-STORE."""
    url: str = ""
    """Of HTTP and MLLP."""


def parse_destinations(text: str) -> tuple[Destination, ...]:
    """Read `name=address,name=address`, such as `pacs=dicom://PACS@10.0.1.7:104`.

    Raises:
        ValueError: it is not in that form, or a name comes twice.
    """
    found = tuple(_parse(entry.strip()) for entry in text.split(",") if entry.strip())
    if len({one.name for one in found}) != len(found):
        raise ValueError("a name comes twice")
    return found


def _parse(entry: str) -> Destination:
    name, _, address = entry.partition("=")
    scheme, _, rest = address.partition("://")
    if _NAME.fullmatch(name) is None:
        raise ValueError("a name has small letters, digits and dashes")
    form = Form(scheme)
    if form is Form.C_STORE:
        return Destination(name, form, entity=parse_application_entity(rest))
    url = address if form is Form.MLLP else address.partition("+")[2]
    parts = urlsplit(url)
    if not parts.hostname or (form is Form.MLLP and parts.port is None):
        raise ValueError("an address needs a host, and one of mllp:// a port")
    return Destination(name, form, url=url.rstrip("/"))
