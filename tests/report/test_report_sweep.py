from typing import Any

from raykd.distill.trials import Record
from raykd.report.sweep import grid, trials_finding, trials_plot

NBSP = "\N{NO-BREAK SPACE}"


def record(number: int, temperature: float, alpha: float, accuracy: float | None, status: Any = "finished") -> Record:
    return Record(number, status, {"temperature": temperature, "alpha": alpha}, accuracy, 0.5)


OWN = record(0, 2.0, 0.9, 0.7)
BETTER = record(1, 3.5, 0.75, 0.7125)
STOPPED = record(2, 1.0, 0.5, 0.6, "stopped")
FAILED = record(3, 8.0, 0.5, None, "failed")


def test_finding_says_what_the_choice_is_worth() -> None:
    assert trials_finding([OWN, BETTER, STOPPED, FAILED]).replace(NBSP, " ") == (
        "Of 4 trials (2 finished, 1 stopped, 1 failed), trial 1 is the best: T 3.5, alpha 0.75, validation accuracy "
        "71.25 %. The configuration's own settings: T 2, alpha 0.9, validation accuracy 70.00 %. The choice is worth "
        "1.25 points."
    )


def test_finding_where_the_own_settings_win_or_failed() -> None:
    assert "These are the configuration's own settings." in trials_finding([OWN, STOPPED])
    failed = record(0, 2.0, 0.9, None, "failed")
    assert "with the configuration's own settings failed" in trials_finding([failed, BETTER])


def test_plot_holds_its_finding_and_is_the_same_twice() -> None:
    records = [OWN, BETTER, STOPPED, FAILED]
    plot = trials_plot(records)
    assert plot is not None
    assert "trial 1 is the best" in plot.finding
    assert plot.finding.replace("'", "&#39;") in plot.svg
    assert trials_plot(records) == plot
    alone = trials_plot([OWN])
    assert alone is not None
    assert "stopped" not in alone.svg.replace("0 stopped", "")


def test_no_plot_where_no_trial_trained() -> None:
    assert trials_plot([FAILED]) is None
    assert trials_plot([]) is None


def test_trials_on_a_grid_are_a_heat_map_and_scattered_ones_are_points() -> None:
    records = [
        record(i, t, a, 0.5 + 0.01 * i) for i, (t, a) in enumerate((t, a) for t in (1, 2, 4) for a in (0.5, 0.9))
    ]
    assert grid(records) == {1: {0.5: 0.5, 0.9: 0.51}, 2: {0.5: 0.52, 0.9: 0.53}, 4: {0.5: 0.54, 0.9: 0.55}}
    off_grid = record(6, 3.0, 0.75, 0.6)
    cells = grid([*records, off_grid, record(7, 3.0, 0.75, 0.4)])
    assert cells is not None
    assert cells[3.0] == {0.5: None, 0.75: 0.6, 0.9: None}  # the better of the two
    plot = trials_plot([*records, off_grid])
    assert plot is not None
    assert f"60.00{NBSP}%" in plot.svg.split(">", 1)[1]
    assert "framed: the best trial" in plot.svg
    assert grid([OWN, BETTER, STOPPED]) is None
    assert grid([record(0, 2.0, 0.5, 0.7), record(1, 2.0, 0.9, 0.7)]) is None  # One temperature is no plane.
