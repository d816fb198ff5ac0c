"""DICOM Application Entities: their titles, and where one is reached."""

from dataclasses import dataclass

AE_TITLE_MAX_LENGTH = 16
_LAST_PORT = 65_535


def is_ae_title(text: str) -> bool:
    """Tell whether a text, without the spaces around it, is a title (VR AE, PS3.5 section 6.2)."""
    return (
        0 < len(text) <= AE_TITLE_MAX_LENGTH
        and text.isascii()
        and text.isprintable()
        and "\\" not in text
    )


@dataclass(frozen=True, slots=True)
class ApplicationEntity:
    """A peer that we call."""

    title: str
    host: str
    port: int


def parse_application_entity(text: str) -> ApplicationEntity:
    """Read `AE@host:port`; an IPv6 address stands in brackets.

    Raises:
        ValueError: it is not in that form.
    """
    title, _, address = text.strip().rpartition("@")
    host, _, port = address.rpartition(":")
    title, host = title.strip(), host.strip("[]")
    if not (is_ae_title(title) and host and port.isascii() and port.isdecimal()):
        raise ValueError("not AE@host:port")
    if not 0 < int(port) <= _LAST_PORT:
        raise ValueError("no such port")
    return ApplicationEntity(title, host, int(port))
