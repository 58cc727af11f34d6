from raykd.evaluate.speed import OTHER_BATCHES, best_batch


def test_the_best_batch_of_an_ensemble_counts_its_members_one_after_the_other() -> None:
    small, large = OTHER_BATCHES
    fast, slow = {small: 0.1, large: 1.0}, {small: 0.3, large: 3.0}
    found = best_batch({256: 100.0}, [fast, slow])
    assert found["best_batch"] == large
    assert found["best_batch_examples_per_second"] == large / 4.0
    assert best_batch({256: 1e6}, [fast, slow]) == {"best_batch": 256, "best_batch_examples_per_second": 1e6}
