import base64
import hashlib
import re
import subprocess
import sys
from html.parser import HTMLParser
from typing import Any

import pytest
from pages import AVERAGED, OTHER, PLAIN, TEACHER, TMKD, TOGETHER, config, evaluation, model

from raykd.artifacts import RunDirectory
from raykd.report.curves import ACCURACY, LOSS, Curve, student_curves, teacher_curves
from raykd.report.findings import curves_finding, frontier, highlighted, summary, tiles
from raykd.report.html import write_report
from raykd.report.labels import Box, place
from raykd.report.plots import COLOURS, KINDS, frontier_plot

NBSP = "\N{NO-BREAK SPACE}"


def epochs(*accuracies: float | None) -> list[dict[str, Any]]:
    return [
        {
            "epoch": epoch,
            "validation_accuracy": value,
            "validation_loss": None if value is None else 1 - value,
        }
        for epoch, value in enumerate(accuracies)
    ]


@pytest.fixture
def run(tmp_path: Any) -> RunDirectory:
    """Histories of two teachers and of the plain student; TMKD was stopped in its second stage."""
    run = RunDirectory(str(tmp_path / "tiny"))
    run.write_json("evaluation.json", evaluation())
    run.write_json("teachers/a/history.json", epochs(0.5, 0.75, 0.7))
    run.write_json("teachers/b/history.json", epochs(0.4, 0.6))
    run.write_json("students/plain/labelled/history.json", epochs(0.3))
    run.write_json("students/many_on_one/stage1/history.json", epochs(0.2, 0.4, 0.5))
    run.write_json("students/many_on_one/stage2/history.json", epochs(0.6, 0.55))
    return run


def page(run: RunDirectory, *models: dict[str, Any]) -> str:
    write_report(config(), run, evaluation(*models))
    return run.read_bytes("report.html").decode()


# Findings: pure functions.


def test_frontier_keeps_what_nothing_beats() -> None:
    # (1, .9) is the most accurate, (5, .5) the fastest. (3, .8) beats (2, .7) in both and (3, .6) in one;
    # (4, .5) is as accurate as (5, .5) and slower.
    points = [(5.0, 0.5), (2.0, 0.7), (1.0, 0.9), (3.0, 0.8), (3.0, 0.6), (4.0, 0.5)]
    assert frontier(points) == [2, 3, 0]


def test_frontier_of_equal_points_keeps_both_and_of_none_is_empty() -> None:
    assert frontier([(1.0, 0.5), (1.0, 0.5)]) == [0, 1]
    assert frontier([]) == []


def test_summary_gives_tmkds_numbers_though_another_student_is_more_accurate() -> None:
    said = summary(evaluation(TEACHER, OTHER, TOGETHER, PLAIN, AVERAGED, TMKD)).replace(NBSP, " ")
    assert said.startswith("The TMKD student (student/many_on_one) reaches 78.00 % accuracy")
    assert "95 % interval 76.0 to 80.0 %" in said
    assert "97.5 % of the accuracy of the best single teacher (teacher/a, 80.00 %)" in said  # 0.78 / 0.8
    assert "24.5 times as many examples per second as the teacher ensemble (980 against 40)" in said  # 980 / 40
    assert "8.00 points above the plain student" in said
    assert "overlap" in said  # 76 to 80 and 78 to 82


def test_summary_without_tmkd_takes_the_most_accurate_student() -> None:
    said = summary(evaluation(TEACHER, TOGETHER, PLAIN, AVERAGED))
    assert said.startswith("The most accurate student (student/one_avg_on_one) reaches 79.00")
    assert "9.00 points above" in said


def test_summary_says_below_when_tmkd_loses_to_plain() -> None:
    worse = model("student/many_on_one", "student", "many_on_one", 0.65, 980.0)
    said = summary(evaluation(TEACHER, TOGETHER, PLAIN, worse))
    assert "5.00 points below the plain student" in said
    assert "overlap" not in said  # 63 to 67 and 78 to 82


def test_summary_says_whether_the_gain_may_be_chance() -> None:
    tested = {"gain": 0.08, "gain_ci95": [0.05, 0.11], "gain_p": 0.0001, "gain_p_holm": 0.0004}
    said = summary(evaluation(TEACHER, TOGETHER, PLAIN, {**TMKD, **tested})).replace(NBSP, " ")
    assert "(70.00 %; 95 % interval of the difference +5.00 to +11.00, p < 0.001)" in said


def test_tiles_give_the_figures_to_see_first() -> None:
    tested = {"gain": -0.005, "gain_ci95": [-0.02, 0.01], "gain_p": 0.125, "gain_p_holm": 0.25}
    found = [
        (title, figure.replace(NBSP, " ")) for title, figure, _ in tiles(evaluation(TEACHER, PLAIN, {**TMKD, **tested}))
    ]
    assert found == [
        ("accuracy", "78.00 %"), ("retention", "97.5 %"), ("speed", "24.5 ×"), ("over plain", "-0.50 points"),
    ]  # fmt: skip
    assert tiles(evaluation(TEACHER)) == []


def test_summary_leaves_out_what_was_not_measured() -> None:
    untimed = model("student/many_on_one", "student", "many_on_one", 0.78, None)
    said = summary(evaluation(TEACHER, TOGETHER, untimed))
    assert "times as many" not in said
    assert "plain" not in said


def test_no_student_is_highlighted_where_none_was_trained() -> None:
    assert highlighted([TEACHER, TOGETHER]) is None
    assert "trained no student" in summary(evaluation(TEACHER, TOGETHER))


def outside(name: str, kind: str, recipe: str | None, accuracy: float, speed: float | None = None) -> dict[str, Any]:
    """As `model`, in a run whose only teacher is external and has not scored the test split."""
    unknown = ("agreement", "retention", "retention_ensemble", "speedup", "speedup_ensemble")
    return {**model(name, kind, recipe, accuracy, speed), **dict.fromkeys(unknown)}


def test_summary_without_a_teacher_that_was_measured_says_so() -> None:
    students = [outside("student/plain", "student", "plain", 0.7, 1000.0),
                outside("student/many_on_one", "student", "many_on_one", 0.78, 980.0)]  # fmt: skip
    said = summary({**evaluation(*students), "learned_from": "external teachers"}).replace(NBSP, " ")
    assert "reaches 78.00 % accuracy" in said
    assert "teacher/a has not scored that split, so there is no retention." in said
    assert "8.00 points above the plain student, which learned from external teachers alone (70.00 %)" in said
    assert "times as many" not in said
    assert "overlap" not in said


# Learning curves.


def test_curves_join_stages_and_skip_recipes_that_left_no_history(run: RunDirectory) -> None:
    assert [curve.label for curve in teacher_curves(config(), run)] == ["a", "b"]
    plain, tmkd = student_curves(config(), run)
    assert (plain.label, plain.stage_starts()) == ("plain", [])
    assert tmkd.points(ACCURACY) == [(1, 0.2), (2, 0.4), (3, 0.5), (4, 0.6), (5, 0.55)]
    assert tmkd.stage_starts() == [4]
    assert tmkd.best(ACCURACY) == (4, 0.6)
    assert tmkd.best(LOSS) == (4, pytest.approx(0.4))


def test_epochs_without_a_finite_value_are_left_out() -> None:
    curve = Curve("a", (epochs(0.5, None, float("nan"), 0.7),))
    assert curve.points(ACCURACY) == [(1, 0.5), (4, 0.7)]
    assert curves_finding([Curve("a", (epochs(None),))], ACCURACY) == "No validation accuracy was recorded."


def test_finding_names_the_best_and_the_worst_curve() -> None:
    curves = [Curve("a", (epochs(0.5, 0.75, 0.7),)), Curve("b", (epochs(0.4, 0.6),))]
    said = curves_finding(curves, ACCURACY).replace(NBSP, " ")
    assert "highest validation accuracy for a (75.00 %, epoch 2), lowest for b (60.00 %, epoch 2)" in said
    said = curves_finding(curves, LOSS)
    assert "lowest validation loss for a (0.250 nats, epoch 2), highest for b (0.400 nats, epoch 2)" in said


# Plots.


def contrast(one: str, other: str) -> float:
    """Source: WCAG 2.2, contrast ratio."""

    def luminance(colour: str) -> float:
        parts = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("colour", COLOURS)
def test_every_colour_stands_out_on_the_light_and_on_the_dark_page(colour: str) -> None:
    assert contrast(colour, "#ffffff") >= 3
    assert contrast(colour, "#15181c") >= 3


def test_kinds_differ_in_shape_and_in_colour() -> None:
    assert len({kind.marker for kind in KINDS.values()}) == len(KINDS)
    assert len({kind.glyph for kind in KINDS.values()}) == len(KINDS)
    assert len({kind.colour for kind in KINDS.values()}) == len(KINDS)


def test_names_at_the_same_point_are_written_apart() -> None:
    room = Box(0, 0, 300, 200)
    boxes = place([(150.0, 100.0)] * 4, [(60.0, 10.0)] * 4, room, marker=5.0)
    assert all(box.overlap(room) == pytest.approx(box.area) for box in boxes)
    assert all(boxes[i].overlap(boxes[j]) == 0 for i in range(4) for j in range(i))
    assert all(box.overlap(Box(145, 95, 155, 105)) == 0 for box in boxes)


def test_name_of_a_point_at_the_right_edge_is_written_to_its_left() -> None:
    [box] = place([(195.0, 50.0)], [(60.0, 10.0)], Box(0, 0, 200, 100), marker=5.0)
    assert (box.right, box.bottom, box.top) == (186.0, 45.0, 55.0)  # 9 units from the point


def test_frontier_plot_describes_its_frontier_and_is_the_same_twice() -> None:
    models = [TEACHER, OTHER, TOGETHER, PLAIN, AVERAGED, TMKD]
    plot, again = frontier_plot(models), frontier_plot(models)
    assert plot is not None
    # Plain (1000/s, 0.70) and TMKD (980/s, 0.78) are both beaten by averaged (1010/s, 0.79).
    assert plot.finding.replace(NBSP, " ") == (
        "On the frontier, from slow to fast: teacher_ensemble (90.00 %, 40 examples/s); "
        "teacher/b (82.00 %, 66 examples/s); teacher/a (80.00 %, 100 examples/s); "
        "student/one_avg_on_one (79.00 %, 1,010 examples/s). "
        "Each of the other 2 models is matched or beaten in both by one of these."
    )
    assert plot.finding in plot.svg
    assert again == plot


def test_plot_leaves_out_models_that_were_not_timed() -> None:
    outside = model("teacher/outside", "teacher", None, 0.99, None)
    assert frontier_plot([outside]) is None
    plot = frontier_plot([TEACHER, outside])
    assert plot is not None
    assert "teacher/a" in plot.finding
    assert "outside" not in plot.svg


# The page.


class _Tags(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


def test_page_needs_no_network(run: RunDirectory) -> None:
    text = page(run, TEACHER, TOGETHER, PLAIN, TMKD)
    links = [
        value
        for _, attributes in _Tags(text).tags
        for key, value in attributes.items()
        if key in ("src", "href", "xlink:href", "srcset", "action")
    ]
    assert all(value is not None and value.startswith(("#", "data:")) for value in links)
    assert not re.search(r"https?://|@import", text)


def test_the_only_script_is_the_one_that_the_pages_policy_names(run: RunDirectory) -> None:
    text = page(run, TEACHER, TOGETHER, PLAIN, TMKD)
    [script] = re.findall(r"<script>(.*?)</script>", text, flags=re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    [policy] = [attributes["content"] for _, attributes in _Tags(text).tags if "http-equiv" in attributes]
    assert policy is not None
    assert policy.startswith("default-src 'none';")
    assert f"script-src 'sha256-{digest}'" in policy
    assert all(not name.startswith("on") for _, attributes in _Tags(text).tags for name in attributes)


def test_ids_are_unique_and_every_reference_is_met(run: RunDirectory) -> None:
    text = page(run, TEACHER, TOGETHER, PLAIN, TMKD)
    ids = [attributes["id"] for _, attributes in _Tags(text).tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'(?:url\(|href=")#([^)"]+)', text)) <= set(ids)


def test_page_holds_every_plot_with_its_text(run: RunDirectory) -> None:
    plots = [attributes for tag, attributes in _Tags(page(run, TEACHER, TOGETHER, TMKD)).tags if tag == "svg"]
    assert len(plots) == 5  # the frontier; accuracy and loss of teachers and of students
    assert all(plot["role"] == "img" and plot["aria-label"] for plot in plots)


def test_results_show_each_figure_and_mark_the_best_teacher(run: RunDirectory) -> None:
    tested = {"gain": 0.08, "gain_ci95": [0.05, 0.11], "gain_p": 0.0004, "gain_p_holm": 0.002, "ece_tempered": 0.02,
              "nll_ci95": [0.45, 0.55], "best_batch": 512, "best_batch_examples_per_second": 1500.0}  # fmt: skip
    text = page(run, TEACHER, OTHER, TOGETHER, {**TMKD, **tested}).replace(NBSP, " ")
    rows = re.findall(r"<tr.*?</tr>", text, flags=re.DOTALL)
    [best] = [row for row in rows if ">best teacher<" in row]
    assert "teacher/a" in best
    [row] = [row for row in rows if "student/many_on_one" in row and "<td" in row]
    assert re.findall(r"<td[^>]*>(.*?)</td>", row) == [
        "78.00 %<small>76.0 to 80.0 %</small>", "+8.00<small>+5.00 to +11.00</small>", "0.002 *", "0.9500", "0.7500",
        "0.5000<small>0.450 to 0.550</small>", "0.2500", "0.0300", "0.0200", "97.0 %", "1,234,567",
        "980", "1,500", "512", "1.50", "2.50", "0.975", "0.867", "9.80", "24.50",
    ]  # fmt: skip
    assert 'data-value="0.78"' in row


def test_an_external_teachers_unknown_figures_are_dashes(run: RunDirectory) -> None:
    unknown = dict.fromkeys(("parameters", "bytes", "latency_ms_p50", "latency_ms_p95", "speedup", "speedup_ensemble"))
    text = page(run, TEACHER, {**model("teacher/web", "teacher", None, 0.88, None), **unknown}, TOGETHER, TMKD)
    [row] = [
        row for row in re.findall(r"<tr.*?</tr>", text.replace(NBSP, " "), flags=re.DOTALL) if "teacher/web" in row
    ]
    cells = re.findall(r"<td[^>]*>(.*?)</td>", row)
    assert cells[0] == "88.00 %<small>86.0 to 90.0 %</small>"
    assert cells[-8:] == ["–", "–", "–", "–", "1.100", "0.978", "–", "–"]  # 0.88 / 0.8, 0.88 / 0.9


def test_time_configuration_and_command_are_on_the_page(run: RunDirectory) -> None:
    text = page(run, TEACHER, TOGETHER, TMKD).replace(NBSP, " ")
    assert "1 min 23 s of wall time, 46 % of it" in text
    assert "12.5 %" in text
    assert "4,321" in text
    assert f"raykd run {run.path('config.yaml')}" in text
    assert "hidden:\n    - 8" in text
    assert re.search(r"<dt>versions</dt><dd>python [^<]*numpy \d+\.\d+", text)
    assert f"raykd report {run.root}" in text
    assert "a test machine, seed 7" in text


def test_same_numbers_give_the_same_page(run: RunDirectory) -> None:
    assert page(run, TEACHER, TOGETHER, TMKD) == page(run, TEACHER, TOGETHER, TMKD)


def test_names_are_escaped_and_dollars_are_no_formula(run: RunDirectory) -> None:
    nasty = model('student/<script>alert("1")</script>$x^2$', "student", "many_on_one", 0.78, 980.0)
    text = page(run, TEACHER, TOGETHER, nasty)
    assert text.count("<script") == 1
    assert "&lt;script&gt;" in text
    assert "$x^2$" in text


def test_page_of_a_run_without_histories_or_students_still_opens(tmp_path: Any) -> None:
    text = page(RunDirectory(str(tmp_path / "bare")), TEACHER, TOGETHER)
    assert "Learning curves" not in text
    assert "trained no student" in text


def test_reporting_loads_neither_tensorflow_nor_ray() -> None:
    code = "import sys, raykd.report.html; print(sorted({'tensorflow', 'ray'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
