"""The report's words: what was counted, and never more certain than it was."""

import pytest

from workers.training.report import frequency


@pytest.mark.parametrize(
    ("hits", "cases", "said"),
    [
        (15, 21, "15 of 21"),
        (57, 57, "57 of 57"),
        (373, 389, "96 of 100"),
        (999, 1000, "more than 99 of 100"),
        (1000, 1000, "100 of 100"),
        (1, 1000, "fewer than 1 of 100"),
        (0, 1000, "0 of 100"),
    ],
)
def test_a_share_is_said_as_a_frequency(hits: int, cases: int, said: str) -> None:
    assert frequency(hits, cases) == said
