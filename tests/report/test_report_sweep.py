from typing import Any

from raykd.distill.trials import Record
from raykd.report.sweep import trials_finding, trials_plot

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
