"""Highlighting: the text stays whole, whatever the evidence says."""

from hypothesis import given
from hypothesis import strategies as st

from medqueue.web.highlight import Segment, cut
from schemas.finding import Evidence, Finding, Presence

offsets = st.integers(min_value=0, max_value=30)
spans = st.builds(lambda start, end: Evidence(start=start, end=end, text=""), offsets, offsets)
findings = st.builds(
    lambda presence, evidence: Finding(label="x", presence=presence, evidence=tuple(evidence)),
    st.sampled_from(Presence),
    st.lists(spans, max_size=4),
)


def a_finding(label: str, presence: Presence, start: int, end: int) -> Finding:
    evidence = Evidence(start=start, end=end, text="")
    return Finding(label=label, presence=presence, evidence=(evidence,))


@given(st.text(max_size=20), st.lists(findings, max_size=4))
def test_segments_join_to_the_text(text: str, found: list[Finding]) -> None:
    assert "".join(segment.text for segment in cut(text, found)) == text


def test_evidence_is_cut_out_and_named() -> None:
    found = [a_finding("effusion", Presence.ABSENT, 3, 11)]
    assert cut("No effusion.", found) == [
        Segment("No "),
        Segment("effusion", Presence.ABSENT, ("effusion: absent",)),
        Segment("."),
    ]


def test_where_evidence_overlaps_the_loudest_finding_gives_the_mark() -> None:
    found = [
        a_finding("one", Presence.ABSENT, 0, 4),
        a_finding("two", Presence.PRESENT, 2, 6),
    ]
    marks = [(segment.text, segment.presence) for segment in cut("abcdef", found)]
    assert marks == [
        ("ab", Presence.ABSENT),
        ("cd", Presence.PRESENT),
        ("ef", Presence.PRESENT),
    ]
