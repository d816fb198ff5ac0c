r"""Escape sequences of HL7 v2 (section 2.7): from `\T\` and `\.br\` to the text that is meant.

Written here although python-hl7 has a function for it: that one drops the rest of a field after a
backslash that stands alone, as in `C:\temp`, and logs the field (decision 0012).
"""

import re
from functools import cache

_FORMATS = {"br": "\n", "ce": "\n", "sp": "\n", "sk": " "}
"""Formatting commands (section 2.7.6) that are text; the others, such as `.in+4`, are layout."""
_MOST_REPEATS = 100

# Horizontal tab, line feed; no database or worker wants the others.
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ufeff]")
_LINE_ENDS = re.compile(r"\r\n?|[\x0b\x0c\x85\u2028\u2029]")


class Escapes:
    """Resolves the escape sequences of one message, by its own delimiters."""

    def __init__(
        self, *, field: str, component: str, repetition: str, escape: str, subcomponent: str
    ) -> None:
        self._escape = escape
        self._delimiters = {
            "F": field,
            "S": component,
            "R": repetition,
            "E": escape,
            "T": subcomponent,
            "P": "#",
            "H": "",
            "N": "",
        }

    def resolve(self, text: str, codec: str) -> str:
        r"""Return the text that is meant; what is no sequence stays as it is.

        Args:
            text: of a field, or of a part of it.
            codec: of the message: `\X..\` holds bytes in it.
        """
        if self._escape and self._escape in text:
            pattern = _pattern(self._escape)
            text = pattern.sub(lambda match: self._meant(match, codec), text)
        return clean(text)

    def _meant(self, match: re.Match[str], codec: str) -> str:
        if match["letter"]:
            return self._delimiters[match["letter"]]
        if match["bytes"]:
            digits = match["bytes"].replace(f"{self._escape}{self._escape}X", "")[1:]
            try:
                return bytes.fromhex(digits).decode(codec)
            except ValueError:  # also of a UnicodeDecodeError
                return match[0]
        if match["format"]:
            count = min(int(match["count"] or 1), _MOST_REPEATS)
            return _FORMATS.get(match["format"].lower(), "") * count
        return ""


def clean(text: str) -> str:
    """Return a text with line feeds as its line ends and without control characters."""
    if text.isprintable():
        return text
    return _CONTROLS.sub("", _LINE_ENDS.sub("\n", text))


@cache
def _pattern(escape: str) -> re.Pattern[str]:
    e = re.escape(escape)
    return re.compile(
        rf"{e}(?:"
        r"(?P<letter>[FSRETPHN])"
        # A character may be cut into several sequences, one for each byte.
        rf"|(?P<bytes>X(?:[0-9A-Fa-f]{{2}})+(?:{e}{e}X(?:[0-9A-Fa-f]{{2}})+)*)"
        r"|\.(?P<format>br|sp|fi|nf|in|ti|sk|ce|BR|SP|FI|NF|IN|TI|SK|CE)[+-]?(?P<count>\d{0,4})"
        r"|(?P<local>Z[0-9A-Za-z]{0,8})"
        rf"){e}"
    )
