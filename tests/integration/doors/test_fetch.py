"""`medqueue fetch` from a real Orthanc, by C-MOVE to our door and by WADO-RS."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from dimse_peer import OpenADoor, OpenDoor, a_file, an_object
from medqueue.cli.fetch import fetch
from medqueue.ledger import evidence
from medqueue.results.studies import find_study
from orthanc_server import Orthanc, running_orthanc, with_dicomweb
from schemas.completeness import EvidenceKind

pytestmark = pytest.mark.integration

OBJECTS = {"1.2.3": 3, "1.2.4": 2}


@pytest.fixture
def orthanc(a_door: OpenDoor, tmp_path: Path) -> Iterator[Orthanc]:
    """An archive with two studies that knows our door."""
    modalities = {"medqueue": ["MEDQUEUE", "127.0.0.1", a_door.port]}
    with running_orthanc(
        tmp_path / "orthanc", DicomModalities=modalities, **with_dicomweb()
    ) as server:
        folder = tmp_path / "files"
        folder.mkdir()
        for study, count in OBJECTS.items():
            for number in range(count):
                one = an_object(
                    StudyInstanceUID=study,
                    SeriesInstanceUID=f"{study}.{number % 2}",
                    SOPInstanceUID=f"{study}.{number % 2}.{number}",
                    AccessionNumber=f"A-{study}",
                    StudyDate="20260301",
                )
                server.fill(a_file(folder, one, f"{study}-{number}.dcm"))
        yield server


@pytest.fixture(params=["pacs", "dicomweb"])
def archive(request: pytest.FixtureRequest, orthanc: Orthanc) -> list[str]:
    """The options that name the archive, by each of its protocols."""
    if request.param == "pacs":
        return ["--pacs", f"ORTHANC@127.0.0.1:{orthanc.dicom_port}"]
    return ["--dicomweb", orthanc.dicomweb]


def run(folder: Path, *options: str) -> Result:
    return CliRunner().invoke(fetch, [*options, "--json"], env={"MEDQUEUE_DATA_DIR": str(folder)})


def summary(answer: Result) -> dict[str, object]:
    return json.loads(answer.stdout.splitlines()[-1])  # before it: log lines of the door


def here(door: OpenDoor) -> set[str]:
    return {row.sop_instance_uid for row in door.instances()}


def test_a_study_is_fetched_by_its_uid_with_its_number_as_evidence(
    a_door: OpenDoor, archive: list[str], tmp_path: Path
) -> None:
    answer = run(tmp_path, "1.2.3", *archive)
    assert answer.exit_code == 0, answer.output
    (study,) = summary(answer)["studies"]
    assert (study["expected"], study["here"], study["came"], study["reason"]) == (3, 3, 3, None)
    assert here(a_door) == {"1.2.3.0.0", "1.2.3.1.1", "1.2.3.0.2"}
    with a_door.ledger.read() as connection:
        said = {one.kind: one for one in evidence.of_study(connection, "1.2.3")}
    assert said[EvidenceKind.ARCHIVE_COUNT].instances == 3
    assert said[EvidenceKind.ARCHIVE_COUNT].series == 2


def test_what_is_here_already_is_not_sent_again(
    a_door: OpenDoor, archive: list[str], tmp_path: Path
) -> None:
    run(tmp_path, "1.2.4", *archive)
    answer = run(tmp_path, *archive, "--date", "20260201-20260401", "--modality", "CT")
    assert answer.exit_code == 0, answer.output
    came = {study["study_instance_uid"]: study["came"] for study in summary(answer)["studies"]}
    assert came == {"1.2.3": 3, "1.2.4": 0}
    assert find_study(a_door.ledger, "1.2.4").duplicates == 0
    assert len(here(a_door)) == 5


def test_a_study_is_found_by_its_accession_number(
    a_door: OpenDoor, archive: list[str], tmp_path: Path
) -> None:
    assert run(tmp_path, *archive, "--accession", "A-1.2.4").exit_code == 0
    assert len(here(a_door)) == 2
    assert run(tmp_path, *archive, "--accession", "A-9").exit_code == 1


def test_a_study_that_the_archive_lacks_is_named_and_the_exit_is_1(
    a_door: OpenDoor, archive: list[str], tmp_path: Path
) -> None:
    answer = run(tmp_path, "1.2.4", "1.2.9", *archive)
    assert answer.exit_code == 1
    assert [study["reason"] for study in summary(answer)["studies"]] == [
        None,
        "the archive has no such study",
    ]
    assert len(here(a_door)) == 2


def test_an_archive_that_does_not_know_our_ae_is_told_so(
    orthanc: Orthanc, open_door: OpenADoor, tmp_path: Path
) -> None:
    options = ["--pacs", f"ORTHANC@127.0.0.1:{orthanc.dicom_port}"]
    answer = CliRunner().invoke(
        fetch,
        ["1.2.3", *options, "--json"],
        env={"MEDQUEUE_DATA_DIR": str(tmp_path), "MEDQUEUE_AE_TITLE": "NOBODY"},
    )
    assert answer.exit_code == 1
    assert summary(answer)["studies"][0]["here"] == 0
    assert "NOBODY" in summary(answer)["studies"][0]["reason"]


def test_what_our_door_does_not_take_is_missing_and_said_so(
    a_door: OpenDoor, orthanc: Orthanc, tmp_path: Path
) -> None:
    a_door.door.stop(2.0)
    answer = run(tmp_path, "1.2.3", "--pacs", f"ORTHANC@127.0.0.1:{orthanc.dicom_port}")
    assert answer.exit_code == 1
    (study,) = summary(answer)["studies"]
    assert (study["expected"], study["here"], study["came"]) == (3, 0, 0)
    assert "C-MOVE" in study["reason"]
    shown = CliRunner().invoke(
        fetch,
        ["1.2.3", "--pacs", f"ORTHANC@127.0.0.1:{orthanc.dicom_port}"],
        env={"MEDQUEUE_DATA_DIR": str(tmp_path)},
    )
    assert "0 of 1 studies are here" in shown.output
    assert "1.2.3: 0 of 3 objects: " in shown.output


def test_an_object_that_is_refused_is_counted_and_said_so(
    a_door: OpenDoor, orthanc: Orthanc, tmp_path: Path
) -> None:
    answer = CliRunner().invoke(
        fetch,
        ["1.2.3", "--dicomweb", orthanc.dicomweb, "--json"],
        env={"MEDQUEUE_DATA_DIR": str(tmp_path), "MEDQUEUE_MIN_FREE_MIB": str(1 << 30)},
    )
    assert answer.exit_code == 1
    (study,) = summary(answer)["studies"]
    assert (study["expected"], study["here"]) == (3, 0)
    assert study["reason"].startswith("3 objects were refused")


def test_nobody_listening_is_one_clear_line(a_door: OpenDoor, tmp_path: Path) -> None:
    for option in (["--pacs", "X@127.0.0.1:1"], ["--dicomweb", "http://127.0.0.1:1/dicom-web"]):
        answer = run(tmp_path, "1.2.3", *option)
        assert answer.exit_code == 1
        assert "answer" in str(answer.exception)


@pytest.mark.parametrize(
    "options",
    [
        ["1.2.3"],
        ["1.2.3", "--pacs", "X@h:1", "--dicomweb", "http://h"],
        ["--pacs", "X@h:1"],
        ["x", "--pacs", "X@h:1"],
        ["--pacs", "X@h:99999", "1.2.3"],
        ["--pacs", "X@h:1", "--date", "2026"],
    ],
)
def test_a_command_line_that_says_too_little_or_too_much_is_refused(
    options: list[str], tmp_path: Path
) -> None:
    assert run(tmp_path, *options).exit_code == 2
