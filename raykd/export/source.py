"""The run that a command names: its directory, or the configuration that it was run with."""

from pathlib import Path

import yaml

from raykd.artifacts import RunDirectory
from raykd.config import Config, CustomModelConfig
from raykd.errors import InputError
from raykd.loading import load_config, packaged_configs, parse_config

_CONFIG = "config.yaml"


def open_run(source: str, storage_path: str | None) -> tuple[Config, RunDirectory]:
    """The run's configuration and directory.

    Args:
        source: a run directory (a local folder or a URI), the name of one under `storage_path`, a YAML file, or the
            name of a packaged configuration; the last two name `<storage_path>/<name>`.
        storage_path: instead of the configuration's, or of the default.
    Raises: InputError where there is no such run, or a run directory's own configuration names a user's function,
    which is imported only from a file that the user passes.
    """
    overrides = [f"storage_path={storage_path}"] if storage_path else []
    if source in packaged_configs() or Path(source).expanduser().is_file():
        config = load_config(source, overrides)
        return config, RunDirectory.at(config.storage_path, config.name)
    named = RunDirectory.at(storage_path or str(Config.model_fields["storage_path"].default), source)
    direct = RunDirectory(source if "://" in source else str(Path(source).expanduser().absolute()))
    for directory in (direct, named):
        if directory.exists(_CONFIG):
            config = parse_config(yaml.safe_load(directory.read_bytes(_CONFIG)), directory.path(_CONFIG))
            _refuse_functions(config, directory.path(_CONFIG))
            return config, directory
    raise InputError(
        f"{source}: found no {_CONFIG} in {direct.root} or {named.root}, expected a run directory, a YAML file or one "
        f"of {', '.join(packaged_configs())}; name another or set --storage-path"
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
