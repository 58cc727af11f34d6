"""Commands that do the job, or a part of it: run, sweep, and one for each part."""

from collections.abc import Callable
from typing import Annotated

import typer

from raykd.cli.options import Address, DryRun, Name, Set, Source, StoragePath, Verbose, load
from raykd.errors import InputError


def run(
    config: Source = "quickstart",
    set_: Set = None,
    name: Name = None,
    storage_path: StoragePath = None,
    address: Address = None,
    seeds: Annotated[str | None, typer.Option(help="Run once per seed and compare, for example 0,1,2.")] = None,
    profile: Annotated[
        bool, typer.Option("--profile", help="Show where each training's time goes, and write TensorBoard traces.")
    ] = False,
    dry_run: DryRun = False,
    verbose: Verbose = False,
) -> None:
    """Run the whole job; the same command again does only what is missing.

    Examples:

    - `raykd run` distils three teachers on the built-in docs-QA data

    - `raykd run digits --set distill.temperature=4 --name digits-t4`

    - `raykd run mine.yaml --storage-path /data/runs --seeds 0,1,2`

    - `raykd run mine.yaml --profile` also writes profile/ in the run directory, of the trainings that it does
    """
    from raykd import tables
    from raykd.preview import preview

    loaded = load(config, [*(set_ or []), *(["scaling.profile=true"] if profile else [])], name, storage_path)
    wanted = None if seeds is None else _parse_seeds(seeds)
    if dry_run:
        from raykd.seeds import seeded

        for job in [loaded] if wanted is None else [seeded(loaded, seed) for seed in wanted]:
            tables.show(tables.steps(preview(job), job.name))
    elif wanted is not None:
        from raykd.seeds import run_seeds

        tables.show(tables.seeds(run_seeds(loaded, wanted, address=address, verbose=verbose)))
    else:
        from raykd import pipeline

        pipeline.run(loaded, address=address, verbose=verbose)


def sweep(
    config: Source = "quickstart",
    set_: Set = None,
    name: Name = None,
    storage_path: StoragePath = None,
    address: Address = None,
    dry_run: DryRun = False,
    verbose: Verbose = False,
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
    from raykd import pipeline, tables
    from raykd.artifacts import SWEEP
    from raykd.preview import preview

    loaded = pipeline.sweeping(load(config, set_, name, storage_path))
    if dry_run:
        tables.show(tables.steps(preview(loaded, last=SWEEP), loaded.name))
    else:
        pipeline.sweep(loaded, address=address, verbose=verbose)


def _parse_seeds(text: str) -> list[int]:
    try:
        seeds = [int(part) for part in text.split(",")]
    except ValueError as error:
        raise InputError(f"--seeds {text}: expected whole numbers with commas between them, such as 0,1,2") from error
    if min(seeds) < 0 or len(set(seeds)) < len(seeds):
        raise InputError(f"--seeds {text}: expected different numbers, 0 or more, such as 0,1,2")
    return seeds


def part(name_of_part: str, purpose: str) -> Callable[..., None]:
    """A command that does a part of the job: the function of this name in `raykd.pipeline`."""

    def command(
        config: Source = "quickstart",
        set_: Set = None,
        name: Name = None,
        storage_path: StoragePath = None,
        address: Address = None,
        dry_run: DryRun = False,
        verbose: Verbose = False,
    ) -> None:
        from raykd import pipeline, tables
        from raykd.preview import preview

        loaded = load(config, set_, name, storage_path)
        if dry_run:
            tables.show(tables.steps(preview(loaded, last=pipeline.LAST[name_of_part]), loaded.name))
        else:
            getattr(pipeline, name_of_part)(loaded, address=address, verbose=verbose)

    command.__doc__ = f"{purpose}, and do what is missing of the steps before; `raykd run` goes on to the end."
    return command
