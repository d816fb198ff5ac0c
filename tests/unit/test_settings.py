"""Settings: the contract's defaults, and errors that name the variable and keep secrets."""

import re
from pathlib import Path

import pytest

from medqueue.errors import ConfigurationError
from medqueue.settings import CONFIG_VARIABLE, PREFIX, Settings, load_settings

CONTRACT = {
    "data_dir": Path.home() / ".local" / "share" / "medqueue",
    "database_url": None,
    "redis_url": None,
    "bind": "127.0.0.1",
    "dimse_port": 11112,
    "ae_title": "MEDQUEUE",
    "http_port": 8080,
    "mllp_port": 2575,
    "flower_port": 5555,
    "study_quiet_seconds": 5,
    "api_tokens": None,
}

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "settings.md"


@pytest.mark.parametrize("name", CONTRACT)
def test_a_default_is_that_of_the_contract(name: str) -> None:
    assert getattr(load_settings({}), name) == CONTRACT[name]


def test_variables_of_others_and_empty_ones_are_ignored() -> None:
    environment = {"PATH": "/bin", "MEDQUEUE_HTTP_PORT": "", "MEDICINE": "1"}
    assert load_settings(environment) == load_settings({})


def test_the_ledger_is_sqlite_in_the_data_folder_unless_told_otherwise(tmp_path: Path) -> None:
    settings = load_settings({"MEDQUEUE_DATA_DIR": str(tmp_path)})
    assert settings.ledger_url == f"sqlite:///{tmp_path}/ledger.sqlite3"

    settings = load_settings({"MEDQUEUE_DATABASE_URL": "postgresql://host/name"})
    assert settings.ledger_url == "postgresql://host/name"


def test_the_data_folder_may_begin_with_the_home_folder() -> None:
    settings = load_settings({"MEDQUEUE_DATA_DIR": "~/scans"})
    assert settings.data_dir == Path.home() / "scans"


def test_an_unknown_variable_is_refused_with_the_one_that_was_meant() -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_settings({"MEDQUEUE_HTPP_PORT": "1"})
    assert caught.value.detail == (
        "MEDQUEUE_HTPP_PORT is not a setting: did you mean MEDQUEUE_HTTP_PORT?"
    )


def test_a_variable_like_no_other_is_refused_with_the_advice_to_remove_it() -> None:
    with pytest.raises(ConfigurationError, match=r"MEDQUEUE_XYZZY is not a setting: remove it\."):
        load_settings({"MEDQUEUE_XYZZY": "1"})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MEDQUEUE_HTTP_PORT", "http"),
        ("MEDQUEUE_DIMSE_PORT", "0"),
        ("MEDQUEUE_MLLP_PORT", "65536"),
        ("MEDQUEUE_AE_TITLE", "SEVENTEEN_LETTERS"),
        ("MEDQUEUE_AE_TITLE", "TWO WORDS"),
        ("MEDQUEUE_AE_TITLE", "BACK\\SLASH"),
        ("MEDQUEUE_BIND", "localhost"),
        ("MEDQUEUE_STUDY_QUIET_SECONDS", "-1"),
        ("MEDQUEUE_STUDY_QUIET_SECONDS", "nan"),
        ("MEDQUEUE_LEASE_SECONDS", "0"),
        ("MEDQUEUE_LOG_LEVEL", "loud"),
        ("MEDQUEUE_MAX_ATTEMPTS", "2.5"),
    ],
)
def test_a_wrong_value_is_refused_by_name_and_says_what_it_should_be(name: str, value: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_settings({name: value})
    field = Settings.model_fields[name.removeprefix(PREFIX).lower()]
    assert caught.value.detail.startswith(f"{name}: ")
    assert str(field.description) in caught.value.detail


def test_a_refusal_does_not_repeat_the_value_which_may_be_secret(tmp_path: Path) -> None:
    file = tmp_path / "medqueue.toml"
    file.write_text('api_tokens = ["hunter2"]\nhttp_port = "hunter2"\nflower_login = 7\n')
    with pytest.raises(ConfigurationError) as caught:
        load_settings({CONFIG_VARIABLE: str(file), "MEDQUEUE_DIMSE_PORT": "hunter2"})
    assert "MEDQUEUE_API_TOKENS" in caught.value.detail
    assert "hunter2" not in caught.value.detail
    assert caught.value.__cause__ is None


def test_every_wrong_value_is_named_at_once() -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_settings({"MEDQUEUE_HTTP_PORT": "x", "MEDQUEUE_BIND": "x"})
    assert len(caught.value.detail.splitlines()) == 2


def test_a_toml_file_sets_and_the_environment_wins(tmp_path: Path) -> None:
    file = tmp_path / "medqueue.toml"
    file.write_text('http_port = 9000\nae_title = "NIGHT"\nstudy_quiet_seconds = 0.5\n')
    settings = load_settings({CONFIG_VARIABLE: str(file), "MEDQUEUE_HTTP_PORT": "9001"})

    assert (settings.http_port, settings.ae_title, settings.study_quiet_seconds) == (
        9001,
        "NIGHT",
        0.5,
    )


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "cannot read"),
        (b"http_port = ", "is not TOML"),
        (b"\xff", "is not TOML"),
        (b"htpp_port = 1", "did you mean MEDQUEUE_HTTP_PORT"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused(
    tmp_path: Path, content: bytes | None, says: str
) -> None:
    file = tmp_path / "medqueue.toml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigurationError, match=says):
        load_settings({CONFIG_VARIABLE: str(file)})


@pytest.mark.parametrize(
    ("bind", "loopback"), [("127.0.0.1", True), ("::1", True), ("10.0.0.7", False), ("::", False)]
)
def test_loopback_is_told_from_the_world(bind: str, *, loopback: bool) -> None:
    assert load_settings({"MEDQUEUE_BIND": bind}).loopback_only is loopback


def test_settings_survive_the_way_to_a_child_process(tmp_path: Path) -> None:
    settings = load_settings(
        {
            "MEDQUEUE_DATA_DIR": str(tmp_path),
            "MEDQUEUE_STUDY_QUIET_SECONDS": "0.25",
            "MEDQUEUE_API_TOKENS": "anna:admin:" + "0" * 64,
        }
    )
    assert load_settings(settings.to_environment()) == settings


def test_every_setting_stands_in_the_reference_with_its_default() -> None:
    rows = dict(re.findall(r"^\| `(MEDQUEUE_\w+)` \| (.*?) \|", PAGE.read_text(), re.MULTILINE))
    expected = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields} | {CONFIG_VARIABLE}
    assert set(rows) == expected
    for name, field in Settings.model_fields.items():
        default = rows[f"{PREFIX}{name.upper()}"]
        if name == "data_dir":
            assert default == "`~/.local/share/medqueue`"
        elif field.default is None:
            assert default.startswith("unset")
        else:
            assert (
                default == f"`{field.default:g}`"
                if isinstance(field.default, float)
                else (default == f"`{field.default}`")
            )
