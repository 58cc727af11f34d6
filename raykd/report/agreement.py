"""How often students predict as their teachers do: a heat map."""

from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure

from raykd.report.heat import heat_map
from raykd.report.plots import Plot, style, svg
from raykd.report.sheet import Sheet
from raykd.report.wording import percent, short

Agreement = Mapping[str, Mapping[str, float]]
"""By model and teacher the share of test rows that both predict alike."""


def agreement_plot(agreement: Agreement) -> Plot | None:
    """One row per model, one column per teacher; None where no teacher was measured."""
    teachers = list(next(iter(agreement.values()), {}))
    rows = [name for name in agreement if name not in teachers] + teachers
    if not teachers:
        return None
    finding = agreement_finding(agreement)
    shares = [[agreement[name][teacher] for teacher in teachers] for name in rows]
    low = min(min(line) for line in shares)
    shades = [[(share - low) / (1 - low) if low < 1 else 1.0 for share in line] for line in shares]
    texts = [
        ["" if name == teacher else f"{100 * agreement[name][teacher]:.1f}" for teacher in teachers] for name in rows
    ]
    with style():
        size = (2.4 + 0.95 * len(teachers), 0.9 + 0.3 * len(rows))
        figure = Figure(figsize=size, dpi=72, layout="constrained")
        axes = figure.subplots()
        heat_map(axes, shades, texts, [short(name) for name in rows], [short(name) for name in teachers])
        axes.xaxis.tick_top()
        axes.set_xlabel("percent of the test rows predicted alike")
        return Plot(svg(figure, "agreement", f"Agreement of models with teachers. {finding}"), finding)


def agreement_finding(agreement: Agreement) -> str:
    """The closest and the farthest pair of a student and a teacher, and how far teachers agree with each other."""
    teachers = list(next(iter(agreement.values())))
    pairs = [(share, name, t) for name in agreement if name not in teachers for t, share in agreement[name].items()]
    single = [teacher for teacher in teachers if teacher != "teacher_ensemble"]
    between = [agreement[a][b] for i, a in enumerate(single) for b in single[:i]]
    said = []
    if pairs:
        share, student, teacher = max(pairs)
        said.append(f"Closest: {student} predicts as {teacher} does on {percent(share, 1)} of the test rows.")
        share, student, teacher = min(pairs)
        said.append(f"Farthest: {student} and {teacher}, {percent(share, 1)}.")
    if between:
        said.append(f"Teachers agree with each other on {percent(min(between), 1)} or more.")
    return " ".join(said) or "One teacher alone was measured."


def agreement_sheet(agreement: Mapping[str, Any]) -> Sheet:
    """Every pair."""
    rows = [(name, teacher, share) for name, shares in agreement.items() for teacher, share in shares.items()]
    return Sheet("agreement", ("model", "teacher", "share_predicted_alike"), rows)
