"""The text of a narrative: what a reader sees, whatever the markup, in linear time."""

import time

import pytest

from medqueue.doors.xhtml import text_of


@pytest.mark.parametrize(
    ("xhtml", "text"),
    [
        ("<div xmlns='http://www.w3.org/1999/xhtml'><p>A &amp; B</p><p>C</p></div>", "A & B\n\nC"),
        ("A<br/>B", "A\nB"),
        ("<ul><li>one</li><li>two</li></ul>", "one\n\ntwo"),
        ("no <b>pneu</b>mothorax", "no pneumothorax"),
        ("a &lt;b&gt; c &nbsp; d &#8211; e", "a <b> c   d \u2013 e"),
        ("size <5 mm, not > 3", "size <5 mm, not > 3"),
        ("A<!-- <p>no</p> -->B<script>if (a < b) x</script>C<style>p {}</style>D", "ABCD"),
        ("A<!-- never ends", "A"),
        ("A<script>never ends", "A"),
        ("<![CDATA[x]]>y", "y"),
        ("", ""),
    ],
)
def test_words_stay_and_tags_go(xhtml: str, text: str) -> None:
    assert text_of(xhtml) == text


@pytest.mark.parametrize("piece", ["<", "<!--", "<a ", "<script>", "&", "<p>", "&lt;", "\x00"])
def test_no_markup_takes_long(piece: str) -> None:
    began = time.process_time()
    text_of(piece * (1_000_000 // len(piece)))
    assert time.process_time() - began < 5
