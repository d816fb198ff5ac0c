"""`medqueue send` against our own door."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from dimse_peer import OpenDoor, a_file, an_object
from medqueue.cli.send import send

pytestmark = pytest.mark.integration


def test_a_folder_is_sent_and_the_summary_counts_it(a_door: OpenDoor, tmp_path: Path) -> None:
    folder = tmp_path / "study"
    folder.mkdir()
    for number in range(3):
        a_file(folder, an_object(), f"{number}.dcm")
    answer = CliRunner().invoke(send, [str(folder), "--port", str(a_door.port)])
    assert answer.exit_code == 0, answer.output
    assert "3 of 3 accepted, 0 not" in answer.output


def test_a_refused_object_is_listed_with_its_reason_and_the_exit_is_1(
    a_door: OpenDoor, tmp_path: Path
) -> None:
    a_file(tmp_path, an_object(StudyInstanceUID=""), "homeless.dcm")
    port = str(a_door.port)
    answer = CliRunner().invoke(send, [str(tmp_path / "homeless.dcm"), "--port", port, "--json"])
    assert answer.exit_code == 1
    summary = json.loads(answer.stdout.splitlines()[-1])  # before it: log lines of the door
    assert summary["accepted"] == 0
    assert summary["failed"][0]["status"] == 0xA900
    assert summary["failed"][0]["path"].endswith("homeless.dcm")


@pytest.mark.parametrize("title", ["SEVENTEEN-LETTERS", "a\\b", ""])
def test_a_title_that_is_none_is_refused_before_anything_is_sent(title: str) -> None:
    answer = CliRunner().invoke(send, [__file__, "--called", title])
    assert answer.exit_code == 2
    assert "AE title" in answer.output
