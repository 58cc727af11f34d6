"""The `raykd` command."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console as Terminal
from rich.markup import escape

from raykd import pipeline
from raykd.artifacts import EVALUATION, SWEEP
from raykd.bench.cli import app as bench
from raykd.config import Config
from raykd.errors import InputError

app = typer.Typer(
    help="Distil several large Keras teachers into small students.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)

app.add_typer(bench, name="bench")

STORAGE_PATH = str(Config.model_fields["storage_path"].default)


@app.callback()
def _root() -> None:
    """Distil several large Keras teachers into small students."""


_Source = Annotated[
    str, typer.Argument(help="YAML file, or a packaged configuration: quickstart, digits, mnist, banking77.")
]
_Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change a value, for example distill.alpha=0.5; repeatable."),
]
_Name = Annotated[str | None, typer.Option(help="Name of the run.")]
_StoragePath = Annotated[str | None, typer.Option(help="Folder or URI that holds run directories.")]
_Run = Annotated[str, typer.Argument(help="A run directory, or the configuration that was run.")]
_Model = Annotated[
    str | None, typer.Option(help="Such as student/many_on_one, ensemble/many_on_many; default: that of many_on_one.")
]
_Address = Annotated[str | None, typer.Option(help="Address of a Ray cluster; default: start Ray here.")]
_DryRun = Annotated[bool, typer.Option("--dry-run", help="Show steps and work, done or to do; run nothing.")]
_Verbose = Annotated[bool, typer.Option("--verbose", help="Show Ray's and TensorFlow's own messages too.")]


@app.command()
def run(
    config: _Source = "quickstart",
    set_: _Set = None,
    name: _Name = None,
    storage_path: _StoragePath = None,
    address: _Address = None,
    seeds: Annotated[str | None, typer.Option(help="Run once per seed and compare, for example 0,1,2.")] = None,
    dry_run: _DryRun = False,
    verbose: _Verbose = False,
) -> None:
    """Run the whole job; the same command again does only what is missing.

    Examples:

    - `raykd run` distils three teachers on the built-in docs-QA data

    - `raykd run digits --set distill.temperature=4 --name digits-t4`

    - `raykd run mine.yaml --storage-path /data/runs --seeds 0,1,2`
    """
    from raykd.console import show_plan, show_seeds
    from raykd.preview import preview

    loaded = _load(config, set_, name, storage_path)
    if dry_run:
        show_plan(preview(loaded))
    elif seeds is not None:
        from raykd.seeds import run_seeds

        show_seeds(run_seeds(loaded, _parse_seeds(seeds), address=address, verbose=verbose))
    else:
        pipeline.run(loaded, address=address, verbose=verbose)


@app.command()
def sweep(
    config: _Source = "quickstart",
    set_: _Set = None,
    name: _Name = None,
    storage_path: _StoragePath = None,
    address: _Address = None,
    dry_run: _DryRun = False,
    verbose: _Verbose = False,
) -> None:
    """Find temperature and alpha on the validation split: Ray Tune tries them over the teachers' cached logits.

    Does what is missing of ingestion, teachers, logits and trials. `raykd run` with `sweep.enabled` sweeps too and
    trains all students with the best trial's settings.

    Examples:

    - `raykd sweep` tries 12 pairs of temperature and alpha on the quickstart

    - `raykd sweep digits --set sweep.searcher=grid --set sweep.temperature=[2,4] --set sweep.alpha=[0.5,0.9]`

    - `raykd sweep mine.yaml --set sweep.trials=30 --set sweep.share=0.25 --dry-run` shows its trials and row passes

    - `raykd run mine.yaml --set sweep.enabled=true` goes on to the students
    """
    from raykd.console import show_plan
    from raykd.preview import preview

    loaded = pipeline.sweeping(_load(config, set_, name, storage_path))
    if dry_run:
        show_plan(preview(loaded, last=SWEEP))
    else:
        pipeline.sweep(loaded, address=address, verbose=verbose)


@app.command()
def predict(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Run directory, such as ~/raykd_results/docsqa.")],
    source: Annotated[str, typer.Argument(metavar="FILE", help="File, folder, glob or URI with the run's columns.")],
    model: Annotated[
        str | None, typer.Option(help="As in evaluation.json; default: the best student on validation rows.")
    ] = None,
    output: Annotated[
        str | None, typer.Option(help="Folder or URI; default: predictions/<model>/<file>/ in the run directory.")
    ] = None,
    config: Annotated[
        str | None, typer.Option(help="The run's configuration, needed where it names models of your own.")
    ] = None,
    set_: _Set = None,
    address: _Address = None,
    verbose: _Verbose = False,
) -> None:
    """Predict every row of a file: Parquet with each row's class and probabilities.

    Read, predicted and written piece by piece; the same command goes on where an earlier one stopped.

    Examples:

    - `raykd predict ~/raykd_results/mine rows.parquet` uses the best student

    - `raykd predict ~/raykd_results/mine "s3://bucket/rows/*.csv" --model students/many_on_one --output out`

    - `raykd predict ~/raykd_results/mine rows.csv --model ensemble/many_on_many --set data.columns.text=[q, a]`
    """
    from raykd.predict.command import predict as predict_

    done = predict_(
        run, source, model=model, output=output, config=config, overrides=set_ or (), address=address, verbose=verbose
    )
    aside = f", {done.bad:,} bad rows aside" if done.bad else ""
    Terminal().print(
        f"{done.rows:,} rows by {done.model} in {done.seconds:.0f} s{aside}: {done.folder}",
        highlight=False,
        soft_wrap=True,
    )


@app.command()
def init(
    file: Annotated[str, typer.Argument(metavar="[FILE]", help="Where to write it.")] = "raykd.yaml",
) -> None:
    """Write a configuration to start from: every setting, its meaning and its default.

    Examples:

    - `raykd init mine.yaml`
    """
    from raykd.starter import starter

    try:
        with open(file, "x", encoding="utf-8") as opened:
            opened.write(starter(file))
    except FileExistsError as error:
        raise InputError(f"{file}: is there already; name another file or delete it") from error
    except OSError as error:
        raise InputError(f"{file}: can't be written ({error.strerror}); name another file") from error
    Terminal().print(f"{file}: set data.source and data.columns, then: raykd run {file}", highlight=False)


@app.command()
def doctor(
    storage_path: Annotated[str, typer.Option(help="Folder or URI that is to hold run directories.")] = STORAGE_PATH,
    address: _Address = None,
) -> None:
    """Check packages, devices, memory, the storage path and Ray; each failing line with its remedy. Exit code 1 if any.

    Examples:

    - `raykd doctor`

    - `raykd doctor --address auto --storage-path /shared/runs`
    """
    from raykd.doctor import examine

    failed = 0
    for finding in examine(storage_path, address):
        failed += finding.ok is False
        mark = {True: "[green]ok[/]  ", False: "[red]fail[/]", None: "    "}[finding.ok]
        text = escape(f"{finding.subject}: {finding.found}" + (f"; {finding.remedy}" if finding.ok is False else ""))
        Terminal().print(f"{mark} {text}", highlight=False, soft_wrap=True)
    if failed:
        raise typer.Exit(1)


@app.command()
def report(
    runs: Annotated[
        list[str], typer.Argument(metavar="RUN...", help="Run directories, or names below --storage-path.")
    ],
    storage_path: _StoragePath = None,
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


@app.command()
def export(
    run: _Run,
    model: _Model = None,
    format_: Annotated[
        list[str] | None,
        typer.Option("--format", metavar="FORMAT", help="saved_model, keras, onnx or litert; with commas or repeated."),
    ] = None,
    licence: Annotated[str | None, typer.Option(help="For the model card: an SPDX identifier.")] = None,
    storage_path: _StoragePath = None,
    verbose: _Verbose = False,
) -> None:
    """Write a finished run's model as files to serve, load them back and compare them with the source.

    `raykd run` does the same at its end where the configuration names `export.formats`.

    Examples:

    - `raykd export quickstart` writes the model of many_on_one as a SavedModel

    - `raykd export ~/raykd_results/digits --model ensemble/many_on_many --format saved_model,onnx,litert`
    """
    from raykd import pipeline
    from raykd.console import show_exports
    from raykd.export.choice import chosen_name, export_folder
    from raykd.export.source import open_run

    config, directory = open_run(run, storage_path)
    config = _exporting(config, model, format_, licence)
    folder = export_folder(chosen_name(config))
    facts = pipeline.export(config, directory, verbose=verbose)
    show_exports(facts["exports"], directory.path(folder))


@app.command()
def serve(
    run: _Run,
    model: _Model = None,
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 lets other machines in.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535)] = 8000,
    max_batch: Annotated[int, typer.Option(min=1, help="Requests predicted together, at most; 1: each alone.")] = 64,
    wait_ms: Annotated[float, typer.Option(min=0, help="Milliseconds that a request waits for others.")] = 2.0,
    threads: Annotated[int | None, typer.Option(min=1, help="That the model computes with; default: all.")] = None,
    storage_path: _StoragePath = None,
    verbose: _Verbose = False,
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


def _exporting(config: Config, model: str | None, formats: list[str] | None, licence: str | None) -> Config:
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


def _add_part(name: str, do: Callable[..., Any], last: str, purpose: str) -> None:
    """Add a command that does a part of the job, up to `last` as `raykd.plan.plan_of` has it."""

    def command(
        config: _Source = "quickstart",
        set_: _Set = None,
        name: _Name = None,
        storage_path: _StoragePath = None,
        address: _Address = None,
        dry_run: _DryRun = False,
        verbose: _Verbose = False,
    ) -> None:
        from raykd.console import show_plan
        from raykd.preview import preview

        loaded = _load(config, set_, name, storage_path)
        if dry_run:
            show_plan(preview(loaded, last=last))
        else:
            do(loaded, address=address, verbose=verbose)

    app.command(name, help=f"{purpose}, and do what is missing of the steps before; `raykd run` goes on to the end.")(
        command
    )


_add_part("teachers", pipeline.teachers, "teachers", "Train the teachers")
_add_part("score", pipeline.score, "logits", "Write every teacher's logits")
_add_part("distill", pipeline.distill, "students", "Train every recipe's students")
_add_part("evaluate", pipeline.evaluate, EVALUATION, "Measure every model on the test split")


def _load(source: str, set_: list[str] | None, name: str | None, storage_path: str | None) -> Config:
    from raykd.loading import load_config

    overrides = list(set_ or [])
    overrides += [f"name={name}"] if name else []
    overrides += [f"storage_path={storage_path}"] if storage_path else []
    return load_config(source, overrides)


def _parse_seeds(text: str) -> list[int]:
    try:
        seeds = [int(part) for part in text.split(",")]
    except ValueError as error:
        raise InputError(f"--seeds {text}: expected whole numbers with commas between them, such as 0,1,2") from error
    if min(seeds) < 0 or len(set(seeds)) < len(seeds):
        raise InputError(f"--seeds {text}: expected different numbers, 0 or more, such as 0,1,2")
    return seeds


def main() -> None:
    """Entry point: errors of input become one line and exit code 2."""
    try:
        app(standalone_mode=True)
    except InputError as error:
        line = " ".join(str(error).split())
        Terminal(stderr=True).print(f"error: {line}", style="red", highlight=False, soft_wrap=True, markup=False)
        sys.exit(2)
    except KeyboardInterrupt:
        Terminal(stderr=True).print("interrupted; the same command goes on from here", highlight=False)
        sys.exit(1)
