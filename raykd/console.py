"""What a run shows: one live picture in a terminal, calm lines elsewhere."""

import time
from types import TracebackType
from typing import Any

from rich.console import RenderableType
from rich.live import Live
from rich.table import Table

from raykd.config import Config
from raykd.distill.trials import OBJECTIVE
from raykd.tables import number, output, print_below, setting

Event = dict[str, Any]

_LOG_SECONDS = 10.0  # between epochs of a training in a log


class Console:
    """Shows events of one run.

    Args: steps: of the whole job; missing: steps that are still to do.
    """

    def __init__(self, config: Config, run: str, steps: int, missing: int) -> None:
        self._console = output()
        self._running: dict[str, Event] = {}
        self._begun: dict[str, float] = {}
        self._run = config.name
        self.steps, self.finished = steps, steps - missing
        self._logged: dict[str, float] = {}
        self._live = Live(console=self._console, get_renderable=self._picture, refresh_per_second=4, transient=True)
        done = f", {self.finished} of {steps} steps done already" if self.finished else ""
        self._console.print(f"[bold]{config.name}[/]: {run}{done}", highlight=False, soft_wrap=True)

    def __enter__(self) -> "Console":
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._console.is_terminal:
            self._live.stop()

    def show(self, event: Event) -> None:
        """Take in one event of a step: started, progress, finished or restarted."""
        step = event["step"]
        if event["kind"] == "started":
            self._begun[step] = time.monotonic()
            self._running[step] = event
            self._log(event, "started")
        elif event["kind"] == "progress":
            self._running[step] = event
        elif event["kind"] == "finished":
            self._running.pop(step, None)
            self.finished += 1
            self._line(event, _facts(event))
        elif event["kind"] == "trial":
            self._running.pop(step, None)
            self._line(event, _trial(event))
        elif event["kind"] == "restarted":
            died = "its node was lost" if event.get("lost") else "its lane died"
            on = "on other workers" if event.get("workers") else "in a new lane"
            self._line(event, f"{died}; going on from the last checkpoint {on}")
        elif event["kind"] == "waiting":
            amounts = " and ".join(f"{event[name]:g} {name}" for name in ("CPU", "GPU") if name in event)
            up = f"room for {event['room']} of {event['workers']}" if "workers" in event else "none is up yet"
            self._line(event, f"{up} after {event['seconds']:.0f} s: each asks for {amounts} on one node")
        elif event["kind"] == "epoch":
            self._log_now_and_then(event)

    def _line(self, event: Event, text: str) -> None:
        """Print what happened to a step."""
        if self._console.is_terminal:
            step = event["step"]
            self._console.print(
                f"[dim]{self.finished:>3}/{self.steps}[/] {step}: {text}", highlight=False, soft_wrap=True
            )
        else:
            self._log(event, text)

    def _log(self, event: Event, text: str) -> None:
        """A line of a log, which stands for itself among those of other runs; none in a terminal."""
        if self._console.is_terminal:
            return
        place = f"{self._run} lane {event['lane']}" if "lane" in event else f"{self._run} driver"
        stage = event.get("folder") or event["step"]
        now = time.strftime("%Y-%m-%d %H:%M:%S")
        line = f"{now} {place} {stage} {self.finished}/{self.steps}: {text}"
        self._console.print(line, highlight=False, soft_wrap=True, markup=False)

    def _log_now_and_then(self, event: Event) -> None:
        """Of a training's epochs, no more than one in some seconds."""
        stage, now = event["folder"], time.monotonic()
        if now - self._logged.get(stage, -_LOG_SECONDS) < _LOG_SECONDS:
            return
        self._logged[stage] = now
        figures = [f"loss {event['train_loss']:.4f}", f"validation loss {event['validation_loss']:.4f}"]
        figures += [f"{event['examples_per_second']:,.0f} examples/s", f"{event['stall_fraction']:.1%} stalled"]
        self._log(event, f"epoch {event['epoch'] + 1}/{event['epochs']}, {', '.join(figures)}")

    def _picture(self) -> Table:
        table = Table(box=None, pad_edge=False, header_style="dim")
        for name in ("lane", "step", "epoch", "loss", "examples/s", "stalled", "done", "left"):
            table.add_column(name, justify="left" if name == "step" else "right")
        for step, event in sorted(self._running.items()):
            share = event.get("share")
            spent = time.monotonic() - self._begun.get(step, time.monotonic())
            left = f"{spent / share - spent:.0f} s" if share else ""
            epoch = f"{event['epoch'] + 1}/{event['epochs']}" if "epoch" in event else ""
            table.add_row(
                str(event.get("lane", "")),
                event.get("folder", step),
                epoch,
                number(event.get("loss"), ".4f"),
                number(event.get("examples_per_second"), ",.0f"),
                number(event.get("stall_fraction"), ".1%"),
                number(share, ".0%"),
                left,
            )
        return table

    def below(self, *shown: RenderableType) -> None:
        """Print what has come of it."""
        print_below(self._console, shown)


def _trial(event: Event) -> str:
    """A trial that ended, and the best one so far."""
    settings = ", ".join(f"{name} {setting(value)}" for name, value in event["settings"].items())
    outcome = event["reason"] if event["status"] == "failed" else f"validation accuracy {event[OBJECTIVE]:.2%}"
    text = f"{settings}: {outcome} ({event['status']}, {event['seconds']:.0f} s)"
    best = event["best"]
    if best is None:
        return text
    if best["number"] == event["number"]:
        return f"{text}, the best so far"
    return f"{text}; best so far: {best['number']} with {best[OBJECTIVE]:.2%}"


def _facts(event: Event) -> str:
    parts = [f"{event['seconds']:.0f} s"]
    if event.get("trials") is not None:
        parts.append(f"{event['trials']} trials, {event['steps']:,} steps")
    if event.get("rows") is not None:
        parts.append(f"{event['rows']:,} rows")
    if event.get("truncated"):
        cut = ", ".join(f"{rows:,} of {split}" for split, rows in event["truncated"].items())
        parts.append(f"cut to {event['max_length']} tokens: {cut}")
    if event.get("kept") is not None:
        parts.append(f"{event['kept']:,} of {event['unlabelled']:,} unlabelled rows kept")
    if event.get("validation_accuracy") is not None:
        parts.append(f"validation accuracy {event['validation_accuracy']:.2%}")
    for export in event.get("exports", []):
        parts.append(
            f"{export['format']} differs by {export['largest_difference']:.1e}, accuracy "
            f"{100 * export['accuracy_change']:+.2f} points"
        )
    if event.get("examples_per_second") is not None:
        parts.append(f"{event['examples_per_second']:,.0f} examples/s")
    if event.get("stall_fraction") is not None:
        parts.append(f"{event['stall_fraction']:.1%} stalled")
    return ", ".join(parts)
