"""One real `medqueue up` for all tests here that do not hurt it."""

from collections.abc import Iterator

import pytest

from whole_system import System, running_up


@pytest.fixture(scope="session")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A running system; it is shared, so a test looks at its own inputs only."""
    folder = tmp_path_factory.mktemp("up")
    with running_up(folder, flower_login="admin:a-made-up-word") as running:
        yield running
