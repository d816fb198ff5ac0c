"""Character sets of HL7 v2: from the bytes of a message to its text, by MSH-18.

Never a guess that may be wrong in silence: what is not in its character set is refused.
"""

import codecs
import re

from medqueue.errors import CharacterSetError, ConfigurationError

# HL7 table 0211 first, then what senders in the field write instead.
_CODECS: dict[str, str] = {
    "ASCII": "utf-8",  # a superset; what is not UTF-8 is refused
    "US-ASCII": "utf-8",
    "UNICODE UTF-8": "utf-8",
    "UNICODE": "utf-8",  # the only Unicode form that MLLP can carry
    "UTF-8": "utf-8",
    "UTF8": "utf-8",
    # Senders that say Latin 1 send what Windows calls so: it has quotes and dashes where
    # ISO 8859-1 has control characters that no text holds.
    "8859/1": "cp1252",
    **{f"8859/{part}": f"iso8859-{part}" for part in range(2, 17) if part != 12},  # noqa: PLR2004 - there is none
    "GB 18030-2000": "gb18030",
    "GB18030": "gb18030",
    "GB18030-2000": "gb18030",
    "GBK": "gb18030",  # a superset, as of GB2312
    "GB2312": "gb18030",
    "CP936": "gb18030",
    "BIG-5": "cp950",
    "BIG5": "cp950",
    "ISO IR14": "shift_jis",
    "ISO IR87": "iso2022_jp",
    "ISO IR159": "iso2022_jp_1",
    "KS X 1001": "cp949",
    "EUC-KR": "cp949",
    "WINDOWS-1251": "cp1251",
    "WINDOWS-1252": "cp1252",
    "CP1251": "cp1251",
    "CP1252": "cp1252",
}
_FIELDWISE = re.compile(r"^ISO[-_ ]?8859[-_/]", re.IGNORECASE)
_NOT_BY_MLLP = frozenset({"UTF-16", "UTF-32"})
_BOM = codecs.BOM_UTF8
_MSH_18 = 18
_LONGEST_HEADER = 4096


def codec_of(name: str) -> str | None:
    """Return the Python codec of a character set; None if it is not known."""
    return _CODECS.get(_FIELDWISE.sub("8859/", name.strip()).upper())


def require_known(name: str) -> str:
    """Return the codec of the character set that a setting names.

    Raises:
        ConfigurationError: it is not known.
    """
    codec = codec_of(name)
    if codec is None:
        known = ", ".join(sorted(_CODECS))
        raise ConfigurationError(
            f"MEDQUEUE_HL7_CHARSET: not a character set that is known: {known}"
        )
    return codec


def decode(content: bytes, default: str) -> tuple[str, str]:
    """Return the text of a message and the codec it was in.

    Args:
        content: the message as it came.
        default: codec for a message that names no character set. The standard says ASCII there
            (HL7 v2.5 section 2.15.9.18), and senders do not keep to it.

    Raises:
        CharacterSetError: the character set is not known, or the bytes are not in it.
    """
    content = content.removeprefix(_BOM)
    codec = _declared(content) or default
    try:
        return content.decode(codec), codec
    except UnicodeDecodeError as error:
        raise CharacterSetError(
            f"byte {error.start} of the message is not in its character set ({codec}): "
            "set MSH-18 to the one that the sender writes, such as UNICODE UTF-8 or "
            "GB 18030-2000, or MEDQUEUE_HL7_CHARSET where the sender leaves MSH-18 empty"
        ) from None


def _declared(content: bytes) -> str | None:
    """Return the codec that MSH-18 names: of several, the first that is more than ASCII."""
    header = re.split(rb"[\r\n]", content[:_LONGEST_HEADER], maxsplit=1)[0].decode("latin-1")
    separator, repetition = header[3:4], header[5:6]
    fields = header.split(separator) if separator else []
    if len(fields) < _MSH_18:
        return None
    # MSH-1 is the separator itself, so MSH-18 stands at index 17.
    value = fields[_MSH_18 - 1]
    names = [name.strip() for name in value.split(repetition or "~")]
    named = [name for name in names if name and name != '""']
    for name in named:
        if any(wide in name.upper() for wide in _NOT_BY_MLLP):
            raise CharacterSetError(
                "MLLP cannot carry UTF-16 or UTF-32, whose bytes look like its frames; "
                "send UNICODE UTF-8 (HL7 v2 Implementation Guide, section C.4.1)"
            )
        if codec_of(name) is None:
            raise CharacterSetError(
                "the character set of MSH-18 is not known; the reference lists those that are"
            )
    codecs_named = [codec_of(name) for name in named]
    return next((c for c in codecs_named if c != "utf-8"), codecs_named[0] if named else None)
