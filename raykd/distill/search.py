"""Which settings Ray Tune tries next: those given, in order, then those that Optuna chooses."""

import json
from collections.abc import Sequence
from typing import Any

import optuna
from ray.tune.search import Searcher
from ray.tune.search.optuna import OptunaSearch

from raykd.artifacts import RunDirectory
from raykd.config import Config
from raykd.distill.trials import OBJECTIVE, Record, Settings, Space, Values, save_settings, space

_STARTING_TRIALS = 4  # drawn at random before the model of good and bad settings counts; Optuna's 10 suit long sweeps

Waiting = list[tuple[int, Settings | None]]


class Search(Searcher):
    """Hands trials to Ray Tune as `{"number": ..., "settings": ...}`, each noted in the run directory.

    Args: waiting: trials to do; None: for Optuna to choose. recorded: trials that Optuna learns from beforehand.
    """

    def __init__(self, config: Config, run: RunDirectory, waiting: Waiting, recorded: Sequence[Record]) -> None:
        super().__init__(metric=OBJECTIVE, mode="max")
        self._run = run
        self._waiting = list(waiting)
        self._space = space(config)
        self._given: dict[str, Settings] = {}  # by Tune's name of the trial
        self._optuna = _optuna(config, self._space, recorded) if any(given is None for _, given in waiting) else None

    def suggest(self, trial_id: str) -> Any:
        """The next trial, or FINISHED."""
        if not self._waiting:
            return Searcher.FINISHED
        number, settings = self._waiting.pop(0)
        if settings is None:
            assert self._optuna is not None
            settings = _decoded(self._space, self._optuna.suggest(trial_id))
        else:
            self._given[trial_id] = settings
        save_settings(self._run, number, settings)
        return {"number": number, "settings": settings}

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """An epoch's figures: Optuna is told of the whole trial alone."""

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Let Optuna learn from a trial that ended."""
        failed = error or result is None or "reason" in result
        if self._optuna is None:
            return
        if trial_id not in self._given:
            self._optuna.on_trial_complete(trial_id, None if failed else result, error=failed)
        elif not failed and result is not None and _within(self._space, self._given[trial_id]):
            self._optuna.add_evaluated_point(_encoded(self._space, self._given[trial_id]), result[OBJECTIVE])

    def save(self, checkpoint_path: str) -> None:
        """Nothing: raykd's own records, which hold no pickle, tell a later command all."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing: see `save`."""


def _optuna(config: Config, swept: Space, recorded: Sequence[Record]) -> OptunaSearch:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    told = [record for record in recorded if record.validation_accuracy is not None and _within(swept, record.settings)]
    # Other draws after an interruption: the first ones are among the recorded trials.
    sampler = optuna.samplers.TPESampler(
        seed=config.seed + 1_000_003 * len(recorded), n_startup_trials=_STARTING_TRIALS, constant_liar=True
    )
    return OptunaSearch(
        {name: _distribution(values) for name, values in swept.items()},
        metric=OBJECTIVE,
        mode="max",
        sampler=sampler,
        points_to_evaluate=[_encoded(swept, record.settings) for record in told],
        evaluated_rewards=[record.validation_accuracy for record in told],
    )


def _distribution(values: Any) -> Any:
    if isinstance(values, Values):
        return optuna.distributions.CategoricalDistribution([_text(value) for value in values.values])
    return optuna.distributions.FloatDistribution(values.low, values.high, log=values.log)


def _within(swept: Space, settings: Settings) -> bool:
    return all(values.holds(settings[name]) for name, values in swept.items())


def _text(value: Any) -> str:
    """A category as Optuna takes it, who knows no model sections."""
    return json.dumps(value, sort_keys=True)


def _encoded(swept: Space, settings: Settings) -> dict[str, Any]:
    return {
        name: _text(settings[name]) if isinstance(values, Values) else settings[name] for name, values in swept.items()
    }


def _decoded(swept: Space, parameters: dict[str, Any]) -> Settings:
    return {
        name: json.loads(parameters[name]) if isinstance(values, Values) else parameters[name]
        for name, values in swept.items()
    }
