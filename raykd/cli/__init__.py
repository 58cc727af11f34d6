"""The `raykd` command."""

import sys

import typer
from rich.console import Console as Terminal

from raykd.bench.cli import app as bench
from raykd.cli.finished import export, predict, report, serve
from raykd.cli.job import part, run, sweep
from raykd.cli.setup import doctor, init
from raykd.errors import InputError

app = typer.Typer(
    help="Distil several large Keras teachers into small students.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)


@app.callback()
def _root() -> None:
    """Distil several large Keras teachers into small students."""


app.command()(run)
app.command()(sweep)
app.command("teachers")(part("teachers", "Train the teachers"))
app.command("score")(part("score", "Write every teacher's logits"))
app.command("distill")(part("distill", "Train every recipe's students"))
app.command("evaluate")(part("evaluate", "Measure every model on the test split"))
app.command()(predict)
app.command()(report)
app.command()(export)
app.command()(serve)
app.command()(init)
app.command()(doctor)
app.add_typer(bench, name="bench")


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
