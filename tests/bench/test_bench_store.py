"""The store's benchmark: every case is measured, and what a row takes."""

from raykd.bench.store import Size, measure, summary


def test_two_bytes_hold_a_class_and_few_logits_hold_very_many() -> None:
    shown: list[str] = []
    measured = measure(Size(rows=2048, repeats=1, classes=(2, 77, 1100)), lambda case, rate: shown.append(case))
    cases = [f"{classes} classes, {done}" for classes in ("2", "77", "1,100") for done in ("written", "read")]
    assert shown == [f"{case}, repeat 1 of 1" for case in cases]
    assert min(summary(measured).values()) > 0
    assert 1 < measured.sizes["2 classes: a class"] <= 2
    assert 1 < measured.sizes["77 classes: a class"] <= 2
    assert measured.sizes["1,100 classes: a row's logits"] <= 64 * 6 + 2
    assert measured.sizes["77 classes: an id"] <= 8
