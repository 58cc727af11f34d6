"""Commands over a finished run: predict, report, export, serve."""

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console as Terminal
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from raykd.cli.options import Address, Model, Run, Set, StoragePath, Verbose

if TYPE_CHECKING:
    from raykd.config import Config


def predict(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Run directory, or its name below --storage-path.")],
    source: Annotated[str, typer.Argument(metavar="FILE", help="File, folder, glob or URI with the run's columns.")],
    model: Annotated[
        str | None, typer.Option(help="As in evaluation.json; default: the best student on validation rows.")
    ] = None,
    output: Annotated[
        str | None, typer.Option(help="Folder or URI; default: one of its own below predictions/ in the run.")
    ] = None,
    config: Annotated[
        str | None, typer.Option(help="The run's configuration, needed where it names models of your own.")
    ] = None,
    set_: Set = None,
    storage_path: StoragePath = None,
    address: Address = None,
    verbose: Verbose = False,
) -> None:
    """Predict every row of a file: Parquet with each row's class and probabilities.

    A student's probabilities are calibrated, as in an export. Rows are read, predicted and written piece by piece;
    the same command goes on where an earlier one stopped.

    Examples:

    - `raykd predict ~/raykd_results/mine rows.parquet` uses the best student

    - `raykd predict ~/raykd_results/mine "s3://bucket/rows/*.csv" --model students/many_on_one --output out`

    - `raykd predict mine rows.csv --model ensemble/many_on_many --set "data.columns.text=[q, a]"`
    """
    from raykd.quiet import quiet, silenced

    if not verbose:
        quiet()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    terminal = Terminal()
    progress = Progress(*columns, console=terminal, transient=True, disable=not terminal.is_terminal)
    with nullcontext() if verbose else silenced(), progress:
        from raykd.predict.command import predict as predict_

        shown = progress.add_task("reading", total=None)
        done = predict_(
            run,
            source,
            model=model,
            output=output,
            config=config,
            overrides=set_ or (),
            storage_path=storage_path,
            address=address,
            verbose=verbose,
            show=lambda rows, piece, pieces: progress.update(
                shown, completed=piece, total=pieces, description=f"{rows:,} rows"
            ),
        )
    aside = f", {done.bad:,} bad rows aside" if done.bad else ""
    terminal.print(
        f"{done.rows:,} rows by {done.model} in {done.seconds:.0f} s{aside}: {done.folder}",
        highlight=False,
        soft_wrap=True,
    )


def report(
    runs: Annotated[
        list[str], typer.Argument(metavar="RUN...", help="Run directories, or names below --storage-path.")
    ],
    storage_path: StoragePath = None,
    output: Annotated[
        Path, typer.Option(help="Page of a comparison; its tables go into a folder of that name.")
    ] = Path("comparison.html"),
) -> None:
    """Write the report of a finished run anew, or compare several runs on one page.

    Examples:

    - `raykd report ~/raykd_results/quickstart` rewrites `report.html` and the CSV files in `report/`

    - `raykd report a b c --output abc.html` compares three runs of the default storage path
    """
    from raykd.report.comparison import write_comparison
    from raykd.report.finished import read_finished
    from raykd.report.html import PAGE, write_report

    found = [read_finished(run, storage_path) for run in runs]
    if len(found) == 1:
        [one] = found
        write_report(one.config, one.directory, one.evaluation)
        written = one.directory.path(PAGE)
    else:
        write_comparison(found, output)
        written = str(output)
    Terminal().print(f"report: {written}", highlight=False, soft_wrap=True)


def export(
    run: Run,
    model: Model = None,
    format_: Annotated[
        list[str] | None,
        typer.Option("--format", metavar="FORMAT", help="saved_model, keras, onnx or litert; with commas or repeated."),
    ] = None,
    licence: Annotated[str | None, typer.Option(help="For the model card: an SPDX identifier.")] = None,
    storage_path: StoragePath = None,
    verbose: Verbose = False,
) -> None:
    """Write a finished run's model as files to serve, load them back and compare them with the source.

    `raykd run` does the same at its end where the configuration names `export.formats`.

    Examples:

    - `raykd export quickstart` writes the model of many_on_one as a SavedModel

    - `raykd export ~/raykd_results/digits --model ensemble/many_on_many --format saved_model,onnx,litert`
    """
    from raykd import pipeline, tables
    from raykd.export.choice import chosen_name, export_folder
    from raykd.export.source import open_run

    config, directory = open_run(run, storage_path)
    config = _exporting(config, model, format_, licence)
    folder = export_folder(chosen_name(config))
    facts = pipeline.export(config, directory, verbose=verbose)
    tables.show(tables.exports(facts["exports"], directory.path(folder)))


def serve(
    run: Run,
    model: Model = None,
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 lets other machines in.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535)] = 8000,
    max_batch: Annotated[int, typer.Option(min=1, help="Requests predicted together, at most; 1: each alone.")] = 64,
    wait_ms: Annotated[float, typer.Option(min=0, help="Milliseconds that a request waits for others.")] = 2.0,
    threads: Annotated[int | None, typer.Option(min=1, help="That the model computes with; default: all.")] = None,
    storage_path: StoragePath = None,
    verbose: Verbose = False,
) -> None:
    """Answer HTTP requests with a finished run's model, exporting it first where that isn't done.

    POST /predict takes JSON, one row or many; GET /health; GET / is a page to try it.

    Examples:

    - `raykd serve quickstart`, then `curl http://127.0.0.1:8000/predict -H 'Content-Type: application/json'
      -d '{"query": "...", "passage": "..."}'`

    - `raykd serve ~/raykd_results/digits --model ensemble/many_on_many --port 8080`
    """
    from raykd.export.choice import chosen_name
    from raykd.export.source import open_run
    from raykd.serve import run as serving
    from raykd.serve.settings import Settings

    serving.check_installed()
    serving.check_free(host, port)
    config, directory = open_run(run, storage_path)
    config = _exporting(config, model, None, None)
    serving.ensure_export(config, directory, verbose=verbose)
    settings = Settings(max_batch=max_batch, wait_ms=wait_ms, threads=threads)
    serving.serve(directory, chosen_name(config), settings, host, port, verbose=verbose)


def _exporting(config: "Config", model: str | None, formats: list[str] | None, licence: str | None) -> "Config":
    """The configuration with what the command names in its export section; a SavedModel by default."""
    from raykd.loading import parse_config

    named = {"model": model, "licence": licence}
    changes: dict[str, Any] = {key: value for key, value in named.items() if value is not None}
    if formats:
        changes["formats"] = [name for one in formats for name in one.split(",")]
    elif not config.export.formats:
        changes["formats"] = ["saved_model"]
    values = config.model_dump(mode="json")
    return parse_config({**values, "export": {**values["export"], **changes}}, "raykd export")
