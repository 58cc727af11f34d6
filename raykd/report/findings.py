"""What the numbers say, in sentences: the summary, the frontier and the text beside each plot."""

from collections.abc import Sequence
from typing import Any

from raykd.report.curves import Curve, Measure
from raykd.report.wording import NBSP, interval, percent, points, probability

Model = dict[str, Any]


def frontier(points: Sequence[tuple[float, float]]) -> list[int]:
    """Indices of the points that no other beats, slowest first.

    Args: points: (examples per second, accuracy). One point beats another when it is at least as good in both
    and better in one; so equal points stand or fall together.
    """

    def beaten(x: float, y: float) -> bool:
        return any(u >= x and v >= y and (u > x or v > y) for u, v in points)

    kept = [index for index, (x, y) in enumerate(points) if not beaten(x, y)]
    return sorted(kept, key=lambda index: points[index][0])


def highlighted(models: Sequence[Model]) -> Model | None:
    """The student to speak of: TMKD's, else the most accurate one; None where no student was trained."""
    found = [model for model in models if model["kind"] == "student"]
    tmkd = [model for model in found if model["recipe"] == "many_on_one"]
    return max(tmkd or found, key=lambda model: float(model["accuracy"]), default=None)


def summary(evaluation: dict[str, Any]) -> str:
    """The result in a few sentences: accuracy, retention, speed-up, gain over the plain student."""
    models: list[Model] = evaluation["models"]
    student = highlighted(models)
    best = next((model for model in models if model["name"] == evaluation["best_teacher"]), None)
    if student is None:
        return "This run trained no student, so there is nothing to compare with the teachers yet."
    tmkd = student["recipe"] == "many_on_one"
    title = "The TMKD student" if tmkd else "The most accurate student"
    reached = (
        f"{title} ({student['name']}) reaches {percent(student['accuracy'])} accuracy on the test split "
        f"(95{NBSP}% interval {interval(student['accuracy_ci95'])})"
    )
    if best is None:
        compared = f"; {evaluation['best_teacher']} has not scored that split, so there is no retention."
    else:
        compared = (
            f", which is {percent(student['retention'], 1)} of the accuracy of the best single teacher "
            f"({best['name']}, {percent(best['accuracy'])})."
        )
    gain = _gain(student, models, evaluation.get("learned_from", "labels"))
    return " ".join([reached + compared, *_speed(student, models), *gain, *_doubt(student, best)])


def _speed(student: Model, models: Sequence[Model]) -> list[str]:
    together = next((model for model in models if model["kind"] == "teacher_ensemble"), None)
    if together is None or student.get("speedup_ensemble") is None:
        return []
    return [
        f"It predicts {student['speedup_ensemble']:.1f} times as many examples per second as the teacher "
        f"ensemble ({student['examples_per_second']:,.0f} against {together['examples_per_second']:,.0f})."
    ]


def _gain(student: Model, models: Sequence[Model], learned_from: str) -> list[str]:
    plain = next((model for model in models if model["recipe"] == "plain" and model is not student), None)
    if plain is None:
        return []
    difference = 100 * (student["accuracy"] - plain["accuracy"])
    side = "above" if difference >= 0 else "below"
    tested = "" if student.get("gain_p_holm") is None else f"; {_tested(student)}"
    return [
        f"It stands {abs(difference):.2f} points {side} the plain student, which learned from {learned_from} alone "
        f"({percent(plain['accuracy'])}{tested})."
    ]


def _tested(student: Model) -> str:
    """The interval of the gain over the plain student, and whether it may be chance: corrected, as in the table."""
    low, high = student["gain_ci95"]
    return (
        f"95{NBSP}% interval of the difference {points(low)} to {points(high)}, {probability(student['gain_p_holm'])}"
    )


def tiles(evaluation: dict[str, Any]) -> list[tuple[str, str, str]]:
    """The figures to see first: what it is, the figure, and what to hold it against. None without a student."""
    student = highlighted(evaluation["models"])
    if student is None:
        return []
    found = [("accuracy", percent(student["accuracy"]), f"95{NBSP}% interval {interval(student['accuracy_ci95'])}")]
    if student.get("map") is not None:
        low, high = student["map_ci95"]
        found.append(("MAP", f"{student['map']:.3f}", f"95{NBSP}% interval {low:.3f} to {high:.3f}"))
    if student.get("retention") is not None:
        found.append(("retention", percent(student["retention"], 1), f"of {evaluation['best_teacher']}’s accuracy"))
    if student.get("speedup_ensemble") is not None:
        found.append(("speed", f"{student['speedup_ensemble']:.1f} ×", "the teacher ensemble’s examples per second"))
    if student.get("gain") is not None:
        found.append(("over plain", f"{points(student['gain'])} points", probability(student["gain_p_holm"])))
    return found


def _doubt(student: Model, best: Model | None) -> list[str]:
    if best is None:
        return []
    (low, high), (best_low, best_high) = student["accuracy_ci95"], best["accuracy_ci95"]
    if low > best_high or best_low > high:
        return []
    return [
        f"The intervals of this student and of the best teacher ({interval(best['accuracy_ci95'])}) overlap, "
        "so the order of the two may differ on other test rows."
    ]


def frontier_finding(models: Sequence[Model]) -> str:
    """Which models are worth choosing.

    Args: models: at least one; each was timed.
    """
    points = [(model["examples_per_second"], model["accuracy"]) for model in models]
    kept = [models[index] for index in frontier(points)]
    named = "; ".join(
        f"{model['name']} ({percent(model['accuracy'])}, {model['examples_per_second']:,.0f} examples/s)"
        for model in kept
    )
    rest = len(models) - len(kept)
    ending = f" Each of the other {rest} models is matched or beaten in both by one of these." if rest else ""
    return f"On the frontier, from slow to fast: {named}.{ending}"


def curves_finding(curves: Sequence[Curve], measure: Measure) -> str:
    """The best epoch of the best and of the worst curve; curves without a value are left out."""
    best = sorted(
        ((*curve.best(measure), curve.label) for curve in curves if curve.points(measure)),
        key=lambda found: -found[1] if measure.higher_is_better else found[1],
    )
    if not best:
        return f"No {measure.title} was recorded."

    def said(found: tuple[int, float, str]) -> str:
        epoch, value, label = found
        return f"{label} ({measure.format(value)}, epoch {epoch})"

    if len(best) == 1:
        return f"Best {measure.title}: {said(best[0])}."
    first, last = ("highest", "lowest") if measure.higher_is_better else ("lowest", "highest")
    return f"Best epoch of each: {first} {measure.title} for {said(best[0])}, {last} for {said(best[-1])}."
