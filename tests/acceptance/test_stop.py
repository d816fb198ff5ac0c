"""The end of `medqueue up`, and what is there when it starts again."""

from pathlib import Path

import psutil
import pytest

from chest_images import a_picture, a_uid, an_image
from waiting import wait_until
from whole_system import STOP_SECONDS, running_up, statuses

pytestmark = pytest.mark.acceptance


def test_sigterm_ends_everything_and_what_was_accepted_is_done_after_the_next_start(
    tmp_path: Path,
) -> None:
    study = a_uid()
    with running_up(tmp_path, study_quiet_seconds=3600) as system:
        system.push(an_image(tmp_path, study=study, pixels=a_picture(500, 500)))
        family = system.family()
        assert len(family) >= 10

        system.process.terminate()

        assert system.process.wait(STOP_SECONDS) == 0
        left = [process for process in family if process.is_running()]
        assert [p for p in left if p.status() != psutil.STATUS_ZOMBIE] == []
        assert system.results_of() == []

    with running_up(tmp_path) as system:
        results = system.wait_for_results(study_instance_uid=study)
        assert statuses(results) == ["final"]
        wait_until(lambda: system.study(study)["progress"] == "done")
