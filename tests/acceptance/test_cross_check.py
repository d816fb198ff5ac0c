"""A film and its report, in either order: one more result says whether they agree."""

from pathlib import Path

import pytest

from chest_images import a_uid, an_image
from whole_system import System

pytestmark = pytest.mark.acceptance


@pytest.mark.parametrize("report_first", [True, False])
def test_film_and_report_are_compared_once_in_either_order(
    system: System, tmp_path: Path, report_first: bool
) -> None:
    study, report = a_uid(), f"compared-{report_first}"
    film = an_image(tmp_path, study=study)
    text = "FINDINGS: Left pleural effusion. No pneumonia.\nIMPRESSION: Right pleural effusion."

    def hand_in_report() -> None:
        system.post_report(text, report_id=report, study_instance_uid=study, language="en")
        system.wait_for_results(report_id=report)

    if report_first:
        hand_in_report()
    system.push(film)
    system.wait_for_results(study_instance_uid=study, kind="image")
    if not report_first:
        hand_in_report()
    system.wait_for_results(2, report_id=report)
    system.wait_until_all_is_done()

    _, compared = system.results_of(report_id=report)
    assert compared["model"]["name"] == "cross-check"
    assert (compared["kind"], compared["status"]) == ("text", "final")
    assert compared["study_instance_uid"] == study
    (image,) = system.results_of(study_instance_uid=study, kind="image")
    assert compared["sop_instance_uids"] == image["sop_instance_uids"]
    pneumonia, effusion = compared["findings"]
    expected = "denied-in-text" if image["findings"][0]["presence"] == "present" else "agreement"
    assert pneumonia["label"] == f"{expected}: pneumonia"
    assert pneumonia["probability"] == image["findings"][0]["probability"]
    assert effusion["label"] == "flipped-side: pleural effusion"
