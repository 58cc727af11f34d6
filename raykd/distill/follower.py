"""Follows Ray Tune's trials in the driver: records those that end, and shows how the others get on."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ray import tune

from raykd.artifacts import SWEEP, RunDirectory
from raykd.distill.trials import OBJECTIVE, Record, best, save_record, trial_folder
from raykd.train.checkpoint import delete_checkpoints

if TYPE_CHECKING:
    from raykd.train.job import Report


class Follower(tune.Callback):
    """Records each trial as it ends.

    Args: recorded: trials of an earlier command; trials: of the whole sweep.
    """

    def __init__(self, run: RunDirectory, report: "Report", recorded: Sequence[Record], trials: int) -> None:
        self._run = run
        self._report = report
        self._records = list(recorded)
        self._trials = trials

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Tune pickles what it is given, for a restart that raykd never asks for."""
        return {}

    def on_trial_start(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
        """A trial begins, or goes on in another process."""
        self._tell(trial, {"kind": "started"})

    def on_trial_result(self, iteration: int, trials: Any, trial: Any, result: dict[str, Any], **info: Any) -> None:
        """An epoch ended, or the trial."""
        if "event" in result:
            event = result["event"]
            self._tell(trial, {**event, "kind": "progress", "loss": event["train_loss"]})

    def on_trial_complete(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
        """A trial ended by itself, or the scheduler stopped it."""
        result = trial.last_result or {"reason": "it ended without a word"}
        status = "failed" if "reason" in result else "finished" if "finished" in result else "stopped"
        self._record(trial, result, status)

    def on_trial_error(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
        """A trial's process died, and no replacement is left."""
        lines = str(trial.get_error() or "its process died").strip().splitlines()
        self._record(trial, {**(trial.last_result or {}), "reason": lines[0]}, "failed")

    def _record(self, trial: Any, result: dict[str, Any], status: Any) -> None:
        number = trial.config["number"]
        measured = {} if status == "failed" else {name: result[name] for name in (OBJECTIVE, "validation_loss")}
        counted = {name: result[name] for name in ("epochs", "steps", "seconds") if name in result}
        record = Record(
            number, status, trial.config["settings"], **measured, **counted, reason=result.get("reason", "")
        )
        save_record(self._run, record)
        if status != "finished":
            for stage in ("stage1", "stage2"):
                delete_checkpoints(self._run, f"{trial_folder(number)}/{stage}")
        self._records.append(record)
        leader = best(self._records)
        self._tell(trial, {"kind": "trial", **asdict(record), "best": None if leader is None else asdict(leader)})
        self._report({"share": len(self._records) / self._trials})

    def _tell(self, trial: Any, event: dict[str, Any]) -> None:
        self._report({"step": f"{SWEEP}/{trial.config['number']}", **event})
