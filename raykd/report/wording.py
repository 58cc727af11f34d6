"""How the report writes numbers."""

NBSP = "\N{NO-BREAK SPACE}"
ABSENT = "–"


def percent(share: float, digits: int = 2) -> str:
    """A share as a percentage, the sign kept on the number's line."""
    return f"{100 * share:.{digits}f}{NBSP}%"


def interval(ends: tuple[float, float]) -> str:
    """An interval of shares as percentages."""
    return f"{100 * ends[0]:.1f} to {percent(ends[1], 1)}"


def duration(seconds: float) -> str:
    """Minutes and seconds, rounded."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def points(share: float) -> str:
    """A difference of shares in percentage points, with its sign."""
    return f"{100 * share:+.2f}"


def probability(p_value: float) -> str:
    """A p-value, no more exact than it is of use."""
    return "p < 0.001" if p_value < 0.001 else f"p = {p_value:.3f}"


def short(name: str) -> str:
    """A model's name without its kind, for labels in plots."""
    return name.removeprefix("student/").removeprefix("teacher/").removeprefix("ensemble/").replace("_", " ")
