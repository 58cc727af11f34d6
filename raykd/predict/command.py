"""`raykd predict`: from the names of a run, a file and a model to the predictions."""

import os
import re
from collections.abc import Sequence

from raykd.artifacts import RunDirectory, fingerprint
from raykd.cluster import connect
from raykd.config import Columns, Config
from raykd.data.shards import Manifest, read_manifest
from raykd.errors import InputError
from raykd.loading import load_config
from raykd.predict.batch import Predicted, Show, predict_source
from raykd.predict.members import check_trusted, members_of
from raykd.stored import CONFIG, find_run, stored_config

# As an export of such a run has them.
_BUILT_IN_COLUMNS = {"docsqa": Columns(text=["query", "passage"]), "digits": Columns(features="features")}


def predict(
    run: str,
    source: str,
    *,
    model: str | None = None,
    output: str | None = None,
    config: str | None = None,
    overrides: Sequence[str] = (),
    storage_path: str | None = None,
    address: str | None = None,
    verbose: bool = False,
    show: Show = lambda rows, done, pieces: None,
) -> Predicted:
    """Predict every row of a source with a finished run's models.

    Args:
        run: the run directory, a path or URI, or its name below the storage path.
        source: as `data.source`: a file, folder, glob or URI; its columns are those of the run, labels aside; where
            the run's data are built in, `query` and `passage`, or `features`.
        model: as in `evaluation.json`; None: the student with the highest accuracy on validation rows.
        output: folder or URI; None: `predictions/<model>/<source>-<its place, hashed>/` in the run directory.
        config: the run's configuration, where it names models of the user's own; None: the one in the run directory.
        overrides: `a.b=value`, for columns that are named otherwise here.
        storage_path: that holds the run directory of this name; None: the default.
        address: of a Ray cluster; None starts Ray here. verbose: let libraries' messages through.
        show: told of every piece of the source that is done.
    Raises: InputError for bad input.
    """
    directory = find_run(run, storage_path)
    settings = _settings(directory, config, overrides)
    manifest = _manifest(directory)
    members = members_of(settings, directory, manifest, model)
    if config is None:
        check_trusted(members, directory.path(CONFIG))
    data = settings.data.model_copy(update={"source": source, "format": _format(settings, overrides)})
    folder = output or RunDirectory.at(directory.root, f"predictions/{members.name}/{_name_of(source)}").root
    with connect(address, verbose) as cluster:
        return predict_source(directory, members, manifest, data, folder, cluster, show)


def _settings(run: RunDirectory, config: str | None, overrides: Sequence[str]) -> Config:
    settings = stored_config(run, overrides) if config is None else load_config(config, overrides)
    columns = _BUILT_IN_COLUMNS.get(settings.data.source)
    if columns is None or any(re.match(r"data\.columns[.=]", override) for override in overrides):
        return settings
    return settings.model_copy(update={"data": settings.data.model_copy(update={"columns": columns})})


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
