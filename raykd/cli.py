"""The `raykd` command."""

import sys
from collections.abc import Callable
from typing import Annotated, Any

import typer
from rich.console import Console as Terminal

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
