"""The data folder: private, and held by one system at a time."""

import stat
from pathlib import Path

import pytest

from medqueue.errors import ConfigurationError, UnavailableError
from medqueue.operate import data_folder
from medqueue.settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path / "deep" / "data")


def test_it_is_made_for_this_user_only(settings: Settings) -> None:
    data_folder.make(settings)
    assert stat.S_IMODE(settings.data_dir.stat().st_mode) == 0o700


def test_one_that_others_may_read_is_refused_with_the_cure(settings: Settings) -> None:
    settings.data_dir.mkdir(parents=True)
    settings.data_dir.chmod(0o755)
    with pytest.raises(ConfigurationError, match="chmod 700"):
        data_folder.make(settings)


def test_one_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match="MEDQUEUE_DATA_DIR"):
        data_folder.make(Settings(data_dir=tmp_path / "file" / "data"))


def test_a_second_holder_is_refused_until_the_first_lets_go(settings: Settings) -> None:
    data_folder.make(settings)
    with data_folder.held(settings):
        assert data_folder.is_held(settings)
        with pytest.raises(UnavailableError, match="another"), data_folder.held(settings):
            pass
    assert not data_folder.is_held(settings)


def test_a_folder_that_is_not_there_is_held_by_nobody(settings: Settings) -> None:
    assert not data_folder.is_held(settings)
