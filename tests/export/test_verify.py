"""An export that doesn't predict as its source does is refused, with the figures."""

from typing import Any

import numpy as np
import pytest

from raykd.data.encoding import InputSpec
from raykd.errors import InputError
from raykd.export.verify import verify

_ROWS = 400
_EXPECTED = np.tile([[0.9, 0.1], [0.2, 0.8]], (_ROWS // 2, 1))
_LABELS = np.arange(_ROWS, dtype=np.int32) % 2
_INPUTS = InputSpec("features", 1, "float32")


class _Bundle:
    """Answers with the expected probabilities, some rows changed: those whose number is fed in."""

    def __init__(self, changes: dict[int, list[float]]) -> None:
        self._answers = _EXPECTED.astype(np.float32)
        for row, value in changes.items():
            self._answers[row] = value

    def run(self, inputs: Any) -> Any:
        return {"probabilities": self._answers[inputs[:, 0].astype(int)]}


def _verify(changes: dict[int, list[float]], format: Any, labels: Any = _LABELS) -> Any:
    numbers = np.arange(_ROWS, dtype=np.float32)[:, None]
    rows = {"inputs": numbers, "lengths": np.ones(_ROWS, np.int32), "label": labels}
    return verify(_Bundle(changes), format, 10, rows, _EXPECTED, _INPUTS)  # type: ignore[arg-type]


def test_figures_of_a_faithful_export() -> None:
    found = _verify({}, "saved_model")
    assert found.rows == _ROWS
    assert found.largest_difference < 1e-7
    assert (found.accuracy, found.source_accuracy, found.agreement) == (1.0, 1.0, 1.0)


@pytest.mark.parametrize("format", ["saved_model", "keras", "onnx"])
def test_difference_above_1e5_is_refused(format: str) -> None:
    _verify({3: [0.2 + 9e-6, 0.8 - 9e-6]}, format)
    with pytest.raises(
        InputError, match=rf"export.formats: {format}: largest difference 2.0e-05, .*leave {format} out"
    ):
        _verify({3: [0.2 + 2e-5, 0.8 - 2e-5]}, format)


def test_not_a_number_is_refused() -> None:
    with pytest.raises(InputError, match="largest difference inf"):
        _verify({0: [float("nan"), 0.1]}, "onnx")


def test_eight_bits_may_change_half_a_point_of_accuracy() -> None:
    wrong = {row: [0.4, 0.6] for row in (0, 2)}  # two rows of 400
    assert _verify(wrong, "litert").accuracy_change == pytest.approx(-0.005)
    with pytest.raises(InputError, match=r"accuracy -0.75% on 400 validation rows; expected .* 0.5 points"):
        _verify({**wrong, 4: [0.4, 0.6]}, "litert")


def test_without_labels_the_predicted_classes_are_compared() -> None:
    unknown = np.full(_ROWS, -1, np.int32)
    found = _verify({0: [0.4, 0.6]}, "litert", unknown)
    assert found.accuracy is None
    assert found.accuracy_change == pytest.approx(-1 / _ROWS)
