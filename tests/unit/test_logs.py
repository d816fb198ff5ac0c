"""Logs: one JSON line an event, and nothing of a patient in it."""

import json
import logging
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from medqueue.logs import configure_logs, get_logger

SECRET = "DOE^JANE 1970-01-01"


@pytest.fixture(autouse=True)
def _put_logging_back() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    levels = {name: logging.getLogger(name).level for name in ("pynetdicom", "httpx", "pydicom")}
    yield
    root.handlers, root.level = handlers, level
    for name, before in levels.items():
        logging.getLogger(name).setLevel(before)
    structlog.reset_defaults()


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_an_event_is_one_line_with_process_level_and_time(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure_logs("door", "info")
    get_logger("x").info("instance-admitted", size=7)

    (line,) = lines(capsys)
    assert line["timestamp"].endswith("Z")
    assert {**line, "timestamp": ""} == {
        "event": "instance-admitted",
        "size": 7,
        "level": "info",
        "process": "door",
        "timestamp": "",
    }


def test_a_correlation_id_stands_in_every_line_of_its_context(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure_logs("door", "info")
    with structlog.contextvars.bound_contextvars(correlation="c-1"):
        get_logger("x").info("one")
        logging.getLogger("library").warning("two")

    assert [line["correlation"] for line in lines(capsys)] == ["c-1", "c-1"]


@pytest.mark.parametrize("ours", [True, False])
def test_an_exception_is_written_by_type_and_place_but_without_its_text(
    capsys: pytest.CaptureFixture[str], *, ours: bool
) -> None:
    configure_logs("door", "info")
    logger = get_logger("x") if ours else logging.getLogger("library")
    try:
        int(SECRET)
    except ValueError:
        logger.exception("work-raised")

    (line,) = lines(capsys)
    assert line["exception"]["type"] == "ValueError"
    assert "test_logs.py" in line["exception"]["trace"][-1]
    assert SECRET not in json.dumps(line)


def test_causes_of_an_exception_do_not_leak_their_text(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("door", "info")
    try:
        try:
            int(SECRET)
        except ValueError:
            {}[SECRET]
    except KeyError as error:
        logging.getLogger("library").exception("failed", exc_info=error)

    assert SECRET not in json.dumps(lines(capsys))


@pytest.mark.parametrize(
    "name", ["pynetdicom", "pynetdicom.acse", "pydicom", "httpx", "httpcore", "uvicorn.access"]
)
def test_libraries_that_describe_what_they_carry_are_quiet(
    capsys: pytest.CaptureFixture[str], name: str
) -> None:
    configure_logs("door", "debug")
    for level in (logging.DEBUG, logging.INFO, logging.WARNING):
        logging.getLogger(name).log(level, SECRET)

    assert lines(capsys) == []


def test_lines_below_the_level_are_not_written(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("door", "warning")
    get_logger("x").info("one")
    get_logger("x").warning("two")

    assert [line["event"] for line in lines(capsys)] == ["two"]


def test_a_warning_of_pydicom_which_quotes_a_value_is_not_written(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure_logs("door", "info")

    warnings.warn_explicit(
        f"bad value {SECRET}", UserWarning, "valuerep.py", 440, "pydicom.valuerep"
    )

    assert capsys.readouterr().err == ""
