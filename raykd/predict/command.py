"""`raykd predict`: from the names of a run, a file and a model to the predictions."""

import os
import re
from collections.abc import Sequence

from raykd.artifacts import RunDirectory, fingerprint
from raykd.cluster import connect
from raykd.config import Config
from raykd.data.shards import Manifest, read_manifest
from raykd.errors import InputError
from raykd.loading import load_config, load_text
from raykd.predict.batch import Predicted, predict_source
from raykd.predict.members import check_trusted, members_of

_CONFIG = "config.yaml"


def predict(
    run: str,
    source: str,
    *,
    model: str | None = None,
    output: str | None = None,
    config: str | None = None,
    overrides: Sequence[str] = (),
    address: str | None = None,
    verbose: bool = False,
) -> Predicted:
    """Predict every row of a source with a finished run's models.

    Args:
        run: the run directory, a path or URI.
        source: as `data.source`: a file, folder, glob or URI; its columns are those of the run, labels aside.
        model: as in `evaluation.json`; None: the student with the highest accuracy on validation rows.
        output: folder or URI; None: `predictions/<model>/<source>-<its place, hashed>/` in the run directory.
        config: the run's configuration, where it names models of the user's own; None: the one in the run directory.
        overrides: `a.b=value`, for columns that are named otherwise here.
        address: of a Ray cluster; None starts Ray here. verbose: let libraries' messages through.
    Raises: InputError for bad input.
    """
    directory = RunDirectory.opened(run)
    settings = _settings(directory, config, overrides)
    manifest = _manifest(directory)
    members = members_of(settings, directory, manifest, model)
    if config is None:
        check_trusted(members, directory.path(_CONFIG))
    data = settings.data.model_copy(update={"source": source, "format": _format(settings, overrides)})
    folder = output or RunDirectory.at(directory.root, f"predictions/{members.name}/{_name_of(source)}").root
    with connect(address, verbose) as cluster:
        return predict_source(directory, members, manifest, data, folder, cluster)


def _settings(run: RunDirectory, config: str | None, overrides: Sequence[str]) -> Config:
    if config is not None:
        return load_config(config, overrides)
    try:
        text = run.read_bytes(_CONFIG).decode()
    except OSError as error:
        raise InputError(
            f"{run.path(_CONFIG)}: not there, expected a run directory such as ~/raykd_results/docsqa; name it, or run "
            "`raykd run` first"
        ) from error
    return load_text(text, run.path(_CONFIG), overrides)


def _manifest(run: RunDirectory) -> Manifest:
    try:
        return read_manifest(run)
    except OSError as error:
        raise InputError(f"{run.path()}: has no examples yet; finish the run with `raykd run` first") from error


def _format(config: Config, overrides: Sequence[str]) -> str:
    """The file's own ending tells, unless the user does."""
    return config.data.format if any(override.startswith("data.format=") for override in overrides) else "auto"


def _name_of(source: str) -> str:
    """A folder's name that tells the source, and is no other's."""
    name = source.partition("?")[0].rstrip("/").rpartition("/")[2]
    place = source if "://" in source else os.path.abspath(os.path.expanduser(source))
    readable = re.sub(r"[^\w.-]", "_", name) or "rows"
    return f"{readable}-{fingerprint(place)[:8]}"
