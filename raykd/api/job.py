"""The whole job, from Python."""

from collections.abc import Mapping
from os import PathLike, fspath
from typing import Any

from raykd import pipeline
from raykd.artifacts import RunDirectory
from raykd.config import Config
from raykd.loading import load_config, parse_config


def run(
    config: Config | Mapping[str, Any] | str | PathLike[str],
    *,
    data: Any = None,
    address: str | None = None,
    verbose: bool = False,
) -> dict[str, Any]:
    """Run what is not done yet of a whole job: ingestion, teachers, logits, students by recipe, evaluation, report.

    Args:
        config: a configuration, a mapping in the YAML's form, or a file or packaged configuration by name.
        data: rows that the program holds, in place of `data.source`: a Ray Dataset, a Hugging Face dataset, a pandas
            frame, an Arrow table or a mapping from column to array; or a mapping from split (train, unlabelled,
            validation, test) to one of those. A copy stands in `source/` in the run directory, and the names of
            Hugging Face's classes in `data.classes`.
        address: of a running Ray cluster; None starts Ray on this machine.
        verbose: let Ray's and TensorFlow's own messages through.
    Returns: the evaluation, as `evaluation.json` in the run directory has it.
    Raises: InputError for bad input.
    """
    if isinstance(config, str | PathLike):
        config = load_config(fspath(config))
    elif not isinstance(config, Config):
        config = parse_config(config)
    return pipeline.run(config if data is None else _with_data(config, data), address=address, verbose=verbose)


def _with_data(config: Config, data: Any) -> Config:
    from raykd.data.staging import stage

    directory = RunDirectory.at(config.storage_path, config.name)
    directory.prepare()
    source, names = stage(data, directory, config.data.columns.label)
    changes: dict[str, Any] = {"source": source, "format": "parquet"}
    if config.data.classes is None:
        changes["classes"] = names
    # Checked again: sections depend on one another.
    values = config.model_dump(mode="json")
    return parse_config({**values, "data": {**values["data"], **changes}})
