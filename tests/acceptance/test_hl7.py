"""A report by MLLP, its film by C-STORE, in either order: one view of both, with both results."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from chest_images import a_uid, an_image
from medqueue.operate.mllp_sender import MllpSender, report_message
from waiting import wait_until
from whole_system import System

pytestmark = pytest.mark.acceptance

CHINESE = "检查所见：双肺纹理增多。\n诊断意见：未见气胸，右侧少量胸腔积液。"  # noqa: RUF001


def send_report(system: System, name: str) -> None:
    message = report_message(
        CHINESE,
        report_id=f"FI-{name}",
        accession_number=f"A-{name}",
        patient_id=f"P-{name}",
        charset="GB 18030-2000",
        now=datetime.now(UTC),
    )
    with MllpSender(system.settings.bind, system.settings.mllp_port, seconds=20) as sender:
        sender.send(message.encode("gb18030"))


@pytest.mark.parametrize("report_first", [True, False])
def test_a_report_in_gb18030_and_its_film_are_joined_in_either_order(
    system: System, tmp_path: Path, report_first: bool
) -> None:
    name, study = f"either-{report_first}", a_uid()
    film = an_image(
        tmp_path,
        study=study,
        AccessionNumber=f"A-{name}",
        PatientID=f"P-{name}",
        IssuerOfPatientID="DEMO",
    )
    if report_first:
        send_report(system, name)
        system.wait_for_results(report_id=f"FI-{name}")
        system.push(film)
    else:
        system.push(film)
        system.wait_for_results(study_instance_uid=study)
        send_report(system, name)

    def kinds() -> set[str]:
        return {result["kind"] for result in system.study(study)["results"]}

    wait_until(lambda: kinds() >= {"image", "text"}, 30, what="results of both on the study")
    (report,) = system.study(study)["reports"]
    assert (report["report_id"], report["linked_by"], report["conflict"]) == (
        f"FI-{name}",
        "accession-number-and-patient",
        None,
    )
    shown = system.get(f"/reports/FI-{name}").raise_for_status().json()
    assert (shown["status"], shown["study_instance_uid"]) == ("final", study)
    (text,) = (one for one in shown["results"] if one["model"]["name"] == "chest-rules-zh")
    assert (text["status"], text["report_status"]) == ("final", "final")
    found = {finding["label"]: finding["presence"] for finding in text["findings"]}
    assert found["pneumothorax"] == "absent"
    assert found["pleural effusion"] == "present"
