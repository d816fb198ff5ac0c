"""A search: it tries what the table says, keeps the best, and goes on where it was killed."""

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner

from medqueue.errors import ConfigurationError
from squares import trained, write_config, write_squares
from workers.training import tuning
from workers.training.config import read_config
from workers.training.search import Search, with_values
from workers.training.tune_command import tune
from workers.training.tuning import BEST_NAME

torch.set_num_threads(1)

TUNE = """
[tune]
trials = {trials}
[tune.space]
"optimisation.learning_rate" = {{ low = 1e-3, high = 1e-1, log = true }}
"optimisation.batch_size" = {{ choices = [16, 32] }}
"optimisation.schedule" = {{ choices = ["one-cycle", "cosine"] }}
"package.parameters.width" = {{ low = 2, high = 4 }}
"""


RATES = """
[tune]
trials = {{trials}}
[tune.space]
"optimisation.learning_rate" = {{{{ choices = [{}] }}}}
"""


class Killed(BaseException):
    """Nothing catches it, so that the trial is left as a killed process leaves it: running."""


def config_of(folder: Path, trials: int = 3, table: str = TUNE) -> Path:
    config = write_config(folder, write_squares(folder))
    text = config.read_text().replace("epochs = 6", "epochs = 1")
    config.write_text(text + table.format(trials=trials), encoding="utf-8")
    return config


def tuned(config: Path, folder: Path) -> Any:
    outcome = CliRunner().invoke(
        tune,
        [str(config), "--output", str(folder), "--device", "cpu", "--json"],
        catch_exceptions=False,
    )
    assert outcome.exit_code == 0
    return json.loads(outcome.stdout)


def test_it_writes_the_best_configuration_for_train(tmp_path: Path) -> None:
    config = config_of(tmp_path)

    found = tuned(config, tmp_path / "search")

    figures = [tried["figure"] for tried in found["trials"]]
    assert [tried["number"] for tried in found["trials"]] == [1, 2, 3]
    assert found["best"]["figure"] == max(figures)
    best = read_config(tmp_path / "search" / BEST_NAME)
    assert best.tune is None
    assert best.optimisation.learning_rate == found["best"]["values"]["optimisation.learning_rate"]
    assert best.package.parameters["width"] == found["best"]["values"]["package.parameters.width"]
    package = trained(tmp_path / "package", tmp_path / "search" / BEST_NAME)
    assert (package / "manifest.toml").exists()


def test_a_search_goes_on_with_the_training_that_was_cut_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config_of(tmp_path)
    folder = tmp_path / "search"
    train_as, begun = tuning.train_as, []

    def cut_second(tried: Any, run: Any) -> Any:
        begun.append(tried.optimisation.learning_rate)
        if len(begun) == 2:
            raise Killed
        return train_as(tried, run)

    monkeypatch.setattr(tuning, "train_as", cut_second)
    with pytest.raises(Killed):
        tuned(config, folder)
    assert (folder / BEST_NAME).exists()

    found = tuned(config, folder)

    assert [tried["number"] for tried in found["trials"]] == [1, 2, 3]
    assert begun[2] == begun[1]
    assert len(set(begun)) == 3


def test_more_trials_go_on_with_a_search_that_ended(tmp_path: Path) -> None:
    tuned(config_of(tmp_path, trials=1), tmp_path / "search")

    found = tuned(config_of(tmp_path, trials=2), tmp_path / "search")

    assert len(found["trials"]) == 2


def test_a_search_of_another_configuration_is_refused(tmp_path: Path) -> None:
    config = config_of(tmp_path, trials=1)
    tuned(config, tmp_path / "search")
    changed = config.read_text().replace("ema_decay = 0.8", "ema_decay = 0.7")
    config.write_text(changed, encoding="utf-8")

    with pytest.raises(ConfigurationError, match="another configuration"):
        tuned(config, tmp_path / "search")


def test_a_training_that_diverges_is_given_up_and_the_search_goes_on(tmp_path: Path) -> None:
    config = config_of(tmp_path, trials=6, table=RATES.format("0.02, 1e30"))

    found = tuned(config, tmp_path / "search")

    given_up = {
        tried["values"]["optimisation.learning_rate"]
        for tried in found["trials"]
        if tried["figure"] is None
    }
    assert given_up == {1e30}
    assert found["best"]["values"] == {"optimisation.learning_rate": 0.02}


def test_a_search_in_which_nothing_was_learnt_says_what_to_do(tmp_path: Path) -> None:
    config = config_of(tmp_path, trials=1, table=RATES.format("1e29, 1e30"))

    with pytest.raises(ConfigurationError, match="lower learning rates"):
        tuned(config, tmp_path / "search")


def test_a_training_that_is_behind_the_others_is_given_up(tmp_path: Path) -> None:
    config = config_of(tmp_path, trials=14, table=RATES.format("0.02, 1e-9"))
    config.write_text(config.read_text().replace("epochs = 1", "epochs = 3"), encoding="utf-8")

    found = tuned(config, tmp_path / "search")

    given_up = [tried["values"] for tried in found["trials"] if tried["figure"] is None]
    assert {"optimisation.learning_rate": 0.02} not in given_up
    assert given_up


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("optimisation.speed", r"optimisation\.speed"),
        ("optimisation.seed.deep", "no table"),
    ],
)
def test_a_name_that_is_no_key_is_refused(tmp_path: Path, name: str, said: str) -> None:
    table = '[tune]\ntrials = {trials}\n[tune.space]\n"' + name + '" = {{ choices = [1, 2] }}\n'
    config = config_of(tmp_path, table=table)
    config.write_text(config.read_text().replace("epochs = 1", "epochs = 1\nseed = 3"))

    with pytest.raises(ConfigurationError, match=said):
        tuned(config, tmp_path / "search")


def test_a_configuration_without_a_search_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"no \[tune\] table"):
        tuned(config_of(tmp_path, table=""), tmp_path / "search")


@pytest.mark.parametrize(
    "space", [{"low": 2, "high": 1}, {"low": 0, "high": 1, "log": True}, {"choices": [1]}]
)
def test_a_space_without_room_is_refused(space: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="space"):
        Search(space={"optimisation.seed": space})


def test_values_are_set_where_they_belong_and_the_table_stays_as_it_is() -> None:
    table = tomllib.loads("kind = 'image'\n[optimisation]\nseed = 1\n[tune]\ntrials = 2\n")

    changed = with_values(table, {"optimisation.seed": 5, "package.parameters.width": 8})

    assert changed == {
        "kind": "image",
        "optimisation": {"seed": 5},
        "package": {"parameters": {"width": 8}},
    }
    assert table["optimisation"]["seed"] == 1
