"""The benchmark of the cross-check: what is planted is counted, and most of it found."""

import pytest

from workers.training import planted


def test_rates_are_those_of_the_textbook() -> None:
    cases = [
        *(planted._Case("present", disagrees=True, flagged=True) for _ in range(3)),
        planted._Case("present", disagrees=True, flagged=False),
        planted._Case("present", disagrees=False, flagged=True),
        *(planted._Case("present", disagrees=False, flagged=False) for _ in range(4)),
    ]

    rows = planted._rates("all", cases)

    assert [(row.case, row.value) for row in rows] == [
        ("all: sensitivity of 4", 0.75),
        ("all: specificity of 5", 0.8),
    ]


def test_planted_disagreements_are_found_in_both_languages(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(planted, "_REPORTS", 150)
    monkeypatch.setattr(planted, "_SIDED", 40)

    values = {row.case.partition(" of ")[0]: row.value for row in planted.run()}

    for language in ("en", "zh"):
        assert values[f"{language}, all findings: sensitivity"] >= 0.95
        assert values[f"{language}, all findings: specificity"] >= 0.95
        assert values[f"{language}, sides: sensitivity"] == 1
        assert values[f"{language}, sides: specificity"] == 1
        assert f"{language}, uncertain in the text: sensitivity" not in values
