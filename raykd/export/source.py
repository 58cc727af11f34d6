"""The run that a command names: its directory, or the configuration that it was run with."""

import json
from pathlib import Path

from raykd.artifacts import RunDirectory
from raykd.config import Config, CustomModelConfig
from raykd.errors import InputError
from raykd.loading import load_config
from raykd.stored import CONFIG, find_run, stored_config


def open_run(source: str, storage_path: str | None) -> tuple[Config, RunDirectory]:
    """The run's configuration and directory.

    Args:
        source: a run directory (a local folder or a URI), the name of one under `storage_path`, or a YAML file, which
            names `<storage_path>/<name>`.
        storage_path: instead of the configuration's, or of the default.
    Raises: InputError where there is no such run, the file is another than that of the run, or a run directory's own
    configuration names a user's function, which is imported only from a file that the user passes.
    """
    if Path(source).expanduser().is_file():
        config = load_config(source, [f"storage_path={json.dumps(storage_path)}"] if storage_path else [])
        directory = RunDirectory.at(config.storage_path, config.name)
        if directory.exists(CONFIG):
            _check_alike(config, stored_config(directory), source, directory)
        return config, directory
    directory = find_run(source, storage_path)
    config = stored_config(directory)
    _refuse_functions(config, directory.path(CONFIG))
    return config, directory


def _check_alike(config: Config, stored: Config, source: str, directory: RunDirectory) -> None:
    """Refuse a configuration with other models or data than those of the run: its weights wouldn't fit, or mislead."""
    free = {"export", "scaling", "storage_path"}
    own, other = (one.model_dump(mode="json", exclude=free) for one in (config, stored))
    changed = [section for section in own if own[section] != other[section]]
    if changed:
        raise InputError(
            f"{source}: differs in {', '.join(changed)} from what {directory.root} was last run with; run it again, or "
            "name that directory in its place"
        )


def _refuse_functions(config: Config, path: str) -> None:
    models = {f"teachers.{teacher.name}.model": teacher.model for teacher in config.teachers}
    models["student.model"] = config.student.model
    if config.distill.noisy_student.model is not None:
        models["distill.noisy_student.model"] = config.distill.noisy_student.model
    for where, model in models.items():
        if isinstance(model, CustomModelConfig):
            raise InputError(
                f"{path}: {where}.type: found {model.type}, but functions are imported only from a file that you pass; "
                "name the run's YAML file in place of its directory"
            )
