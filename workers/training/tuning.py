"""A search for better values of a training configuration, by Optuna, on the val split alone.

The study lies in an SQLite file in the output folder: a search that is killed goes on from there,
and begins the training again that it was in.
"""

import json
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
import torch
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import URL

from medqueue.errors import ConfigurationError, TrainingDivergedError
from workers.training.config import ImageTraining, TextTraining, parse_config, read_config
from workers.training.distributed import Team
from workers.training.loop import Run
from workers.training.packaging import toml_of
from workers.training.produce import train_as
from workers.training.progress import Epoch, Start
from workers.training.search import Range, Search, Value, with_values

STUDY_NAME = "tuning.sqlite"
BEST_NAME = "best.toml"
_OWNER = "configuration"


@dataclass(frozen=True, slots=True)
class Tried:
    """One training of the search."""

    number: int
    of: int
    values: dict[str, Value]
    figure: float | None
    """Of the val split, with the weights that would be kept; None if it was given up."""


@dataclass(frozen=True, slots=True)
class Tuned:
    """What a search came to."""

    monitor: str
    best: Tried
    trials: tuple[Tried, ...]
    config: Path
    """For `medqueue train`."""


def tune(path: Path, folder: Path, tell: Callable[[Tried], None], *, device: str) -> Tuned:
    """Search as the `[tune]` table of a file says, and write the best configuration.

    Args:
        path: The configuration.
        folder: Of the study; made if it is not there, gone on with if it is.
        tell: Is told of every training when it ends.
        device: `cpu` or `cuda`.

    Raises:
        ConfigurationError: no `[tune]` table, or a study of another configuration.
    """
    config = read_config(path)
    if config.tune is None:
        raise ConfigurationError(f"{path}: has no [tune] table that says what to search")
    table = tomllib.loads(path.read_text(encoding="utf-8"))
    search = config.tune
    folder.mkdir(parents=True, exist_ok=True)
    study = _study(folder, config, search)
    _begin_again(study)

    def objective(trial: optuna.Trial) -> float:
        values = {name: _drawn(trial, name, space) for name, space in search.space.items()}
        tried = parse_config(with_values(table, values), path)
        judge = _Judge(trial, search)
        try:
            train_as(tried, Run(judge, team=Team(device=torch.device(device))))
        except TrainingDivergedError as error:
            raise optuna.TrialPruned from error
        return judge.figure(tried)

    def after(_: optuna.Study, trial: FrozenTrial) -> None:
        if trial.state is TrialState.COMPLETE:
            _write_best(study, table, folder, search)
        tell(_tried(len(_ended(study)), trial, search))

    left = search.trials - len(_ended(study))
    if left > 0:
        study.optimize(objective, n_trials=left, callbacks=[after])
    if not study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
        raise ConfigurationError("no training came to its end: search lower learning rates")
    best = _write_best(study, table, folder, search)
    trials = tuple(_tried(at, trial, search) for at, trial in enumerate(_ended(study), 1))
    return Tuned(search.monitor, best, trials, folder / BEST_NAME)


class _Judge:
    """Tells Optuna the figure of every epoch, and ends a training that it gives up."""

    def __init__(self, trial: optuna.Trial, search: Search) -> None:
        self._trial, self._search = trial, search
        self._figures: list[float] = []

    def begin(self, start: Start) -> None:
        """Every training of a search begins at its beginning."""

    def batch(self, done: int) -> None:
        """Judge nothing within an epoch."""

    def epoch(self, epoch: Epoch) -> None:
        """Report the epoch."""
        self._figures.append(epoch.validation[self._search.monitor])
        self._trial.report(self._figures[-1], epoch.number)
        if self._search.prune and self._trial.should_prune():
            raise optuna.TrialPruned

    def figure(self, config: ImageTraining | TextTraining) -> float:
        """Return the figure of the weights that are kept: of the best epoch, or of the last."""
        if config.optimisation.patience is None:
            return self._figures[-1]
        return (min if self._search.monitor == "loss" else max)(self._figures)


def _study(folder: Path, config: ImageTraining | TextTraining, search: Search) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    url = URL.create("sqlite", database=str(folder / STUDY_NAME))
    study = optuna.create_study(
        storage=url.render_as_string(),
        study_name="medqueue",
        load_if_exists=True,
        direction="minimize" if search.monitor == "loss" else "maximize",
        pruner=optuna.pruners.MedianPruner(n_warmup_steps=config.optimisation.epochs // 4),
    )
    # A study that goes on draws other numbers than it began with.
    study.sampler = optuna.samplers.TPESampler(seed=search.seed + len(study.trials))
    owner = json.dumps(config.model_dump(mode="json", exclude={"tune": {"trials"}}))
    if study.user_attrs.setdefault(_OWNER, owner) != owner:
        raise ConfigurationError(
            f"{folder}: holds the search of another configuration; name another output folder"
        )
    study.set_user_attr(_OWNER, owner)
    return study


def _begin_again(study: optuna.Study) -> None:
    """Put what a killed process was training back to be tried."""
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        study.tell(trial.number, state=TrialState.FAIL)
        study.enqueue_trial(trial.params)


def _ended(study: optuna.Study) -> list[FrozenTrial]:
    return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))


def _drawn(trial: optuna.Trial, name: str, space: Any) -> Value:
    if not isinstance(space, Range):
        chosen: Value = trial.suggest_categorical(name, space.choices)
        return chosen
    if isinstance(space.low, int) and isinstance(space.high, int):
        return trial.suggest_int(name, space.low, space.high, log=space.log)
    return trial.suggest_float(name, space.low, space.high, log=space.log)


def _write_best(study: optuna.Study, table: dict[str, Any], folder: Path, search: Search) -> Tried:
    """Write the best configuration so far, where `medqueue train` can take it."""
    numbers = [trial.number for trial in _ended(study)]
    best = _tried(numbers.index(study.best_trial.number) + 1, study.best_trial, search)
    heading = (
        f"# Training {best.number} of a search by medqueue tune: "
        f"{search.monitor} {best.figure:.4f} on the val split, which it was chosen by.\n\n"
    )
    part = folder / f"{BEST_NAME}.part"
    part.write_text(heading + toml_of(with_values(table, best.values)), encoding="utf-8")
    part.replace(folder / BEST_NAME)
    return best


def _tried(number: int, trial: FrozenTrial, search: Search) -> Tried:
    """Describe a training; Optuna counts those too that were killed, so it has other numbers."""
    figure = trial.value if trial.state is TrialState.COMPLETE else None
    return Tried(number, search.trials, dict(trial.params), figure)
