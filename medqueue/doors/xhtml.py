"""The text of an XHTML narrative: tags go, words and line breaks stay. Nothing is executed.

Not an XML parser: a narrative that is not well-formed still has its words, and there are no
entities to expand and no depth to exhaust. Every step is linear in the length.
"""

import html
import re

_TAG = re.compile(r"<(?:/?([A-Za-z][A-Za-z0-9]*)|[!?])[^<>]*>")
_BREAKS = frozenset(
    {"address", "article", "br", "dd", "div", "dl", "dt", "h1", "h2", "h3", "h4", "h5", "h6"}
    | {"hr", "li", "ol", "p", "pre", "section", "table", "td", "th", "tr", "ul"}
)
_UNSEEN = ("script", "style")
_SPACES = re.compile(r"[ \t\r\n\f\u00a0]+")
_MANY_BREAKS = re.compile(r"\n{3,}")
_BREAK = "\x00"


def text_of(xhtml: str) -> str:
    """Return what a reader of the narrative sees."""
    visible = _without(xhtml.replace(_BREAK, ""), "<!--", "-->")
    for name in _UNSEEN:
        visible = _without(visible, f"<{name}", f"</{name}")
    marked = _TAG.sub(lambda tag: _BREAK if (tag[1] or "").lower() in _BREAKS else "", visible)
    words = html.unescape(_SPACES.sub(" ", marked)).replace("\u00a0", " ")
    lines = (line.strip() for line in words.split(_BREAK))
    return _MANY_BREAKS.sub("\n\n", "\n".join(lines)).strip()


def _without(text: str, start: str, end: str) -> str:
    """Return a text without what stands from each start to its end, or to the text's end."""
    lowered = text.lower()
    if len(lowered) != len(text):  # a few letters have two in small: their places would shift
        lowered = text
    kept = []
    position = 0
    while (begin := lowered.find(start, position)) >= 0:
        kept.append(text[position:begin])
        finish = lowered.find(end, begin)
        if finish < 0:
            return "".join(kept)
        position = finish if end.startswith("</") else finish + len(end)
    kept.append(text[position:])
    return "".join(kept)
