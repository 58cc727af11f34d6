"""The `raykd bench` commands."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from raykd.bench.output import conclude, show_rate, write

if TYPE_CHECKING:
    from raykd.config import Config

app = typer.Typer(help="Measure speeds on this machine, beside what to compare them with.", no_args_is_help=True)

JsonFile = Annotated[Path | None, typer.Option("--json", help="Write all figures here too.")]


@app.callback()
def _root() -> None:
    """Measure speeds on this machine, beside what to compare them with."""


@app.command()
def scaling(
    layers: Annotated[int, typer.Option(min=1, help="Layers of the cross-encoder.")] = 4,
    width: Annotated[int, typer.Option(min=32, help="Its width.")] = 256,
    batch_size: Annotated[int, typer.Option(min=16, help="Rows of a global batch.")] = 64,
    steps: Annotated[
        int, typer.Option(min=1, help="Steps of an epoch; each training has four, two of them counted.")
    ] = 8,
    repeats: Annotated[int, typer.Option(min=1, help="Repeats; medians are shown.")] = 3,
    json_: JsonFile = None,
) -> None:
    """Examples per second of one and two one-core workers, beside two independent one-core trainings.

    Example: `raykd bench scaling --json scaling.json`
    """
    _load_tensorflow()
    from raykd.bench.scaling import Size, measure, summary
    from raykd.cluster import connect

    size = Size(layers, width, batch_size, steps, repeats)
    with connect(None, verbose=False):
        rates = measure(size, show_rate("examples/s"))
    conclude(summary(rates), "examples/s")
    write(json_, "scaling", {"size": vars(size), "examples_per_second": rates, "summary": summary(rates)})


@app.command()
def arithmetic(
    batch_size: Annotated[int, typer.Option(min=8, help="Rows of a batch, of 64 tokens each.")] = 64,
    steps: Annotated[int, typer.Option(min=1, help="Steps of an epoch; a repeat counts two epochs.")] = 16,
    threads: Annotated[int | None, typer.Option(min=1, help="Of all that is measured; default: all cores.")] = None,
    repeats: Annotated[int, typer.Option(min=1, help="Repeats; medians are shown.")] = 3,
    json_: JsonFile = None,
) -> None:
    """Billions of operations per second in training 4 x 256 and 2 x 128 cross-encoders, beside a matrix product.

    Example: `raykd bench arithmetic --threads 1`
    """
    _load_tensorflow()
    from raykd.bench.arithmetic import Size, measure, summary
    from raykd.cluster import connect
    from raykd.train.strategy import use_threads

    size = Size(batch_size, steps, repeats)
    with connect(None, verbose=False) as cluster:
        use_threads(threads or cluster.cpus)
        rates = measure(size, show_rate("GFLOP/s"))
    conclude(summary(rates), "GFLOP/s")
    used = {"threads": threads or cluster.cpus, "size": vars(size)}
    write(json_, "arithmetic", {**used, "gflops_per_second": rates, "summary": summary(rates)})


@app.command()
def feed(
    rows: Annotated[int, typer.Option(min=1, help="Rows of 64 int32 ids.")] = 400_000,
    batch_size: Annotated[int, typer.Option(min=8, help="Rows of a batch, a multiple of 8.")] = 256,
    shard_rows: Annotated[int, typer.Option(min=1, help="Rows of a Parquet shard.")] = 8192,
    knob_rows: Annotated[int, typer.Option(min=64, help="Rows for the knobs, each through an expensive map.")] = 8192,
    repeats: Annotated[int, typer.Option(min=1, help="Repeats; medians are shown.")] = 5,
    json_: JsonFile = None,
) -> None:
    """Rows per second into TensorFlow, beside tf.data reading TFRecord files; and what each knob of the feed gives.

    Example: `raykd bench feed --rows 100000 --json feed.json`
    """
    _load_tensorflow()
    from raykd.bench.feed import Size, measure, summary
    from raykd.bench.knobs import measure_knobs, medians
    from raykd.cluster import connect

    size = Size(rows, batch_size, shard_rows, repeats)
    with connect(None, verbose=False):
        rates = measure(size, show_rate("rows/s"))
        knobs = measure_knobs(knob_rows, repeats, show_rate("rows/s"))
    conclude(summary(rates), "rows/s")
    conclude(medians(knobs), "rows/s")
    figures = {"size": vars(size), "rows_per_second": rates, "summary": summary(rates)}
    write(json_, "feed", {**figures, "knobs_rows_per_second": knobs})


@app.command()
def store(
    rows: Annotated[int, typer.Option(min=2048, help="Rows; fewer of 30,000 classes.")] = 32_768,
    repeats: Annotated[int, typer.Option(min=1, help="Repeats; medians are shown.")] = 3,
    json_: JsonFile = None,
) -> None:
    """Rows per second into and out of the logits store, and its bytes, with 2, 77 and 30,000 classes.

    Example: `raykd bench store --json store.json`
    """
    _load_tensorflow()
    from raykd.bench.store import Size, measure, summary

    size = Size(rows, repeats)
    measured = measure(size, show_rate("rows/s"))
    conclude(summary(measured), "rows/s")
    conclude(measured.sizes, "bytes", digits=3)
    figures = {"rows_per_second": measured.rates, "summary": summary(measured), "bytes": measured.sizes}
    write(json_, "store", {"size": vars(size), **figures})


@app.command()
def padding(
    config: Annotated[str, typer.Argument(help="A YAML file or the name of a packaged configuration, of texts.")],
    set_: Annotated[list[str] | None, typer.Option("--set", help="Change one value, as in `raykd run`.")] = None,
    repeats: Annotated[int, typer.Option(min=1, help="Repeats of 16 steps; medians are shown.")] = 3,
    json_: JsonFile = None,
) -> None:
    """Examples per second of the first teacher's training, on batches padded to data.bucket and to data.max_length.

    Example: `raykd bench padding quickstart --set data.bucket=16`
    """
    _load_tensorflow()
    from raykd.bench.padding import measure, summary

    rates = _of_a_teacher(measure, config, set_, repeats, "examples/s")
    conclude(summary(rates), "examples/s")
    write(json_, "padding", {"examples_per_second": rates, "summary": summary(rates)})


@app.command()
def scoring(
    config: Annotated[str, typer.Argument(help="A YAML file or the name of a packaged configuration, of texts.")],
    set_: Annotated[list[str] | None, typer.Option("--set", help="Change one value, as in `raykd run`.")] = None,
    repeats: Annotated[int, typer.Option(min=1, help="Repeats; medians are shown.")] = 3,
    json_: JsonFile = None,
) -> None:
    """Rows per second that the first teacher scores, beside Keras's `model.predict`.

    Example: `raykd bench scoring quickstart --set data.bucket=16 --set data.unlabelled=2000`
    """
    _load_tensorflow()
    from raykd.bench.scoring import measure, summary

    rates = _of_a_teacher(measure, config, set_, repeats, "rows/s")
    conclude(summary(rates), "rows/s")
    write(json_, "scoring", {"rows_per_second": rates, "summary": summary(rates)})


@app.command()
def distill(
    case: Annotated[list[str] | None, typer.Option(help="mlp or transformer; repeatable; default: both.")] = None,
    teachers: Annotated[list[int] | None, typer.Option(min=1, help="Teachers; repeatable; default: 1 and 3.")] = None,
    epochs: Annotated[list[int] | None, typer.Option(min=1, help="Of totals; repeatable; default: 5 and 20.")] = None,
    rows: Annotated[int | None, typer.Option(min=64, help="Default: 20,000 (mlp), 4,096 (transformer).")] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="Of every way of training; default: all cores.")] = None,
    repeats: Annotated[int, typer.Option(min=1, help="Turns; medians are shown.")] = 5,
    json_: JsonFile = None,
) -> None:
    """Seconds of a student's training: raykd on cached logits, Keras's Distiller, and both on labels alone.

    Example: `raykd bench distill --case mlp --json distill.json`
    """
    _load_tensorflow()
    from raykd.bench.distill import Size, measure
    from raykd.bench.distill_table import figures, show_table
    from raykd.bench.subjects import cases_named
    from raykd.cluster import connect
    from raykd.train.strategy import use_threads

    chosen, found = cases_named(case), {}
    counts, totals = tuple(teachers or (1, 3)), tuple(epochs or (5, 20))
    with connect(None, verbose=False) as cluster:
        use_threads(threads or cluster.cpus)
        for name, one in chosen.items():
            size = Size(rows or one.rows, counts, repeats)
            measured = measure(one, size, show_rate(f"s, {name}", digits=3))
            show_table(name, size, measured, totals)
            found[name] = {"size": vars(size), **figures(size, measured, totals)}
    write(json_, "distill", {"threads": threads or cluster.cpus, "cases": found})


@app.command()
def predict(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Run directory, or a name below --storage-path.")],
    model: Annotated[str | None, typer.Option(help="A student; default: the one that would be exported.")] = None,
    storage_path: Annotated[str | None, typer.Option(help="Folder or URI of the run directories.")] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="Of one call; default: as many as cores.")] = None,
    repeats: Annotated[int, typer.Option(min=1, help="Repeats; medians are shown.")] = 5,
    json_: JsonFile = None,
) -> None:
    """Rows per second of a finished run's student through a SavedModel, beside its teachers' ensemble.

    Example: `raykd bench predict quickstart --threads 1`
    """
    _load_tensorflow()
    import psutil

    from raykd.bench.predict import measure, summary
    from raykd.export.source import open_run
    from raykd.train.strategy import use_threads

    config, directory = open_run(run, storage_path)
    cores = threads or psutil.cpu_count() or 1
    use_threads(cores)
    rates = measure(config, directory, model, repeats, show_rate("rows/s"))
    conclude(summary(rates), "rows/s")
    write(json_, "predict", {"threads": cores, "rows_per_second": rates, "summary": summary(rates)})


@app.command()
def launch(
    layers: Annotated[int, typer.Option(min=1, help="Layers of the cross-encoder.")] = 2,
    width: Annotated[int, typer.Option(min=32, help="Its width.")] = 128,
    jit_compile: Annotated[bool, typer.Option(help="Compile the step with XLA, as trainings do.")] = True,
    repeats: Annotated[int, typer.Option(min=1, help="Repeats; medians are shown.")] = 3,
    json_: JsonFile = None,
) -> None:
    """Seconds until the command answers, Ray is up, and a lane or a group of workers has taken its first step.

    Example: `raykd bench launch --json launch.json`
    """
    _load_tensorflow()
    from raykd.bench.launch import Size, measure, medians
    from raykd.cluster import connect

    size = Size(layers, width, jit_compile=jit_compile, repeats=repeats)
    with connect(None, verbose=False) as cluster:
        workers = tuple(count for count in (1, 2) if count <= cluster.cpus)
        seconds = measure(size, workers, show_rate("s", digits=2))
    conclude(medians(seconds), "s", digits=2)
    write(json_, "launch", {"size": vars(size), "seconds": seconds, "medians": medians(seconds)})


@app.command("all")
def all_(
    config: Annotated[str, typer.Argument(help="Of texts: its first teacher is what scoring and padding take.")],
    json_: Annotated[Path, typer.Option("--json", help="Every figure is added to this file.")],
    set_: Annotated[list[str] | None, typer.Option("--set", help="Change one value, as in `raykd run`.")] = None,
    run: Annotated[str | None, typer.Option(help="A finished run; default: predictions aren't measured.")] = None,
    storage_path: Annotated[str | None, typer.Option(help="Folder or URI of the run directories.")] = None,
) -> None:
    """Every benchmark, one after the other; what fails is named at the end, and the others are measured.

    Example: `raykd bench all quickstart --run quickstart --json bench.json`
    """
    from raykd.bench.suite import commands, measure_all

    console = Console()
    chosen = commands(config, set_ or [], run, storage_path)
    failed = measure_all(chosen, json_, lambda one: console.print(f"bench {' '.join(one)}", style="bold"))
    if failed:
        console.print(f"failed: {'; '.join(' '.join(one) for one in failed)}", style="red", highlight=False)
        raise typer.Exit(1)


def _load_tensorflow() -> None:
    """Before anything else imports it: its notes on starting are none of a benchmark's."""
    from raykd.quiet import quiet, silenced

    quiet()
    with silenced():
        import tensorflow  # noqa: F401


def _of_a_teacher(
    measure: Callable[["Config", int, int, Callable[[str, float], None]], dict[str, list[float]]],
    config: str,
    settings: list[str] | None,
    repeats: int,
    unit: str,
) -> dict[str, list[float]]:
    """Rates of a benchmark of a configuration's first teacher, on every core."""
    from raykd.cluster import connect
    from raykd.loading import load_config
    from raykd.train.strategy import use_threads

    job = load_config(config, settings or [])
    with connect(None, verbose=False) as cluster:
        use_threads(cluster.cpus)
        return measure(job, repeats, cluster.cpus, show_rate(unit))
