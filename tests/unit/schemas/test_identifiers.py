"""Identifiers: ours are opaque and sort by time, DICOM's have the shape of PS3.5 section 9.1."""

import time
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from schemas.identifiers import Uid, is_uid, new_id


def test_an_id_is_a_uuid_of_version_7() -> None:
    made = uuid.UUID(new_id())
    assert (made.version, made.variant) == (7, uuid.RFC_4122)


def test_ids_do_not_come_twice_and_sort_by_the_order_of_the_calls() -> None:
    made = [new_id() for _ in range(10_000)]
    assert len(set(made)) == len(made)
    assert {len(one) for one in made} == {32}
    assert made == sorted(made)


def test_ids_still_sort_when_the_clock_is_set_back(monkeypatch: pytest.MonkeyPatch) -> None:
    before = new_id()
    hour_ago = time.time_ns() - 3_600 * 10**9
    monkeypatch.setattr(time, "time_ns", lambda: hour_ago)
    assert new_id() > before


@pytest.mark.parametrize(
    "uid", ["1", "0.1", "1.2.840.10008.1.1", "2.25." + "9" * 39, "1." * 31 + "22"]
)
def test_uids_of_the_standard_pass(uid: str) -> None:
    assert is_uid(uid)
    assert TypeAdapter(Uid).validate_python(uid) == uid


@pytest.mark.parametrize(
    "uid",
    [
        "",
        ".",
        "1.",
        ".1",
        "1..2",
        "1.2a",
        "1,2",
        " 1.2",
        "1.2\n",
        "1.2\x00",
        "\u0661.\u0662",
        "1." * 32 + "2",
        "../1",
    ],
)
def test_what_is_no_uid_is_refused(uid: str) -> None:
    assert not is_uid(uid)
    with pytest.raises(ValidationError):
        TypeAdapter(Uid).validate_python(uid)


def test_leading_zeros_are_common_in_the_field_and_pass_at_the_dicom_door() -> None:
    assert is_uid("1.02.003")


@given(st.lists(st.integers(min_value=0, max_value=10**9), min_size=1, max_size=6))
def test_any_numbers_with_dots_between_are_a_uid(numbers: list[int]) -> None:
    assert is_uid(".".join(map(str, numbers)))
