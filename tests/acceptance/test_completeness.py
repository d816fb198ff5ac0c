"""Studies that are known to be whole are diagnosed at once, whatever the quiet time."""

from pathlib import Path

import httpx
import pytest

from chest_images import a_picture, a_uid, an_image
from medqueue.operate.sender import CALLING_AE
from waiting import wait_until
from whole_system import running_up, statuses

pytestmark = pytest.mark.acceptance


def test_an_hour_of_quiet_is_not_waited_for_when_somebody_knows(tmp_path: Path) -> None:
    """By the release of a sender of whole studies, by a number, and not before it is reached."""
    with running_up(
        tmp_path,
        study_quiet_seconds=3600,
        study_longest_wait_seconds=3600,
        whole_study_aes=CALLING_AE,
    ) as system:
        whole, counted = a_uid(), a_uid()
        complete = f"{system.url}/studies/{counted}/complete"
        httpx.post(complete, json={"instances": 2}).raise_for_status()
        for study in (whole, counted):
            system.push(an_image(tmp_path, study=study, pixels=a_picture(300, 300)))
        assert statuses(system.wait_for_results(study_instance_uid=whole)) == ["final"]
        open_still = system.study(counted)
        assert (open_still["state"], open_still["balance"]["missing"]) == ("receiving", 1)

        system.push(an_image(tmp_path, study=counted, pixels=a_picture(300, 301)))

        wait_until(lambda: system.study(counted)["progress"] == "done", 60)
        closed = {study: system.study(study) for study in (whole, counted)}
        assert closed[whole]["completeness"]["closed_by"] == "association-released"
        assert closed[counted]["completeness"]["closed_by"] == "all-expected"
        assert closed[counted]["balance"]["processed"] == 2
