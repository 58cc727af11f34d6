"""What of a finished run predicts: one model, or the members of an ensemble with their weights."""

from collections.abc import Sequence
from dataclasses import dataclass

from raykd.artifacts import EVALUATION, RunDirectory
from raykd.config import Config, CustomModelConfig, Space
from raykd.data.shards import Manifest
from raykd.distill.inheritance import best_teacher
from raykd.distill.trials import chosen
from raykd.errors import InputError
from raykd.evaluate.evaluation import Entry, entries, spec_of, stored_temperature
from raykd.models.build import ModelSpec

_MODELS = f"{EVALUATION}/models.json"


@dataclass(frozen=True)
class Member:
    """A trained model: the folder of its weights, relative to the run directory, and how it's built."""

    folder: str
    spec: ModelSpec


@dataclass(frozen=True)
class Members:
    """Models that predict together.

    Args:
        weights: one per member, summing to 1; None: equal ones.
        space: what is averaged.
        temperature: that calibrates what they predict.
    """

    name: str
    members: tuple[Member, ...]
    weights: tuple[float, ...] | None
    space: Space
    temperature: float = 1.0


def members_of(config: Config, run: RunDirectory, manifest: Manifest, name: str | None) -> Members:
    """The models of this name among the results, or the best student.

    Args: name: as in `evaluation.json`, such as student/many_on_one, or the folder students/many_on_one; None: the
    single student with the highest accuracy on the validation split, the last of equals.
    Raises: InputError for a name that the run doesn't have, or a model that isn't trained yet.
    """
    config = _with_best_settings(config, run)
    lines = entries(config, _best_teacher(config, run))
    entry = _best_student(lines, run) if name is None else _named(lines, name)
    missing = next((folder for folder in entry.members if not run.exists(f"{folder}/weights.npz")), None)
    if missing is not None:
        raise InputError(f"{run.path(missing)}: not trained yet; finish the run with `raykd run` first")
    run.check_current(*entry.members, EVALUATION)
    members = tuple(Member(folder, spec_of(config, folder, manifest)) for folder in entry.members)
    temperature = stored_temperature(run, entry.members)
    return Members(entry.name, members, _weights(entry, config, run), config.distill.average, temperature)


def check_trusted(members: Members, config_path: str) -> None:
    """Refuse code that only a run directory names. Raises: InputError."""
    for member in members.members:
        if isinstance(member.spec.config, CustomModelConfig):
            raise InputError(
                f"{config_path}: {member.folder} is built by {member.spec.config.type}, and code of your own is "
                "imported only from a configuration that you name; add --config FILE"
            )


def _with_best_settings(config: Config, run: RunDirectory) -> Config:
    try:
        return chosen(config, run)
    except FileNotFoundError as error:
        raise InputError(f"{run.path()}: its sweep isn't done; finish the run with `raykd run` first") from error


def _best_teacher(config: Config, run: RunDirectory) -> str:
    try:
        return best_teacher(config, run)
    except FileNotFoundError as error:
        raise InputError(f"{run.path()}: its teachers aren't trained; finish it with `raykd run` first") from error


def _best_student(lines: Sequence[Entry], run: RunDirectory) -> Entry:
    trained = [line for line in lines if line.kind == "student" and run.exists(f"{line.members[0]}/done.json")]
    if not trained:
        raise InputError(f"{run.path()}: has no trained student; finish the run with `raykd run` first")
    return max(reversed(trained), key=lambda line: _accuracy(line, run))


def _accuracy(line: Entry, run: RunDirectory) -> float:
    """On the validation split; -1 where it has no labels."""
    accuracy = run.facts(line.members[0])["validation_accuracy"]
    return -1.0 if accuracy is None else float(accuracy)


def _named(lines: Sequence[Entry], name: str) -> Entry:
    wanted = name.rstrip("/").replace("students/", "student/").replace("teachers/", "teacher/")
    for line in lines:
        if wanted in (line.name, line.name.partition("/")[2]):
            return line
    raise InputError(f"--model {name}: not in this run; expected one of {', '.join(line.name for line in lines)}")


def _weights(entry: Entry, config: Config, run: RunDirectory) -> tuple[float, ...] | None:
    if len(entry.members) == 1 or config.distill.weighting == "uniform":
        return None
    if not run.exists(_MODELS):
        raise InputError(
            f"{run.path(_MODELS)}: not there, so weights are unknown; finish the run with `raykd run` first"
        )
    measured = {model["name"]: model for model in run.read_json(_MODELS)["models"]}
    return tuple(measured[entry.name]["weights"])
