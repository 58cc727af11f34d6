from raykd.evaluate.speed import best_batch


def test_the_best_batch_of_an_ensemble_counts_its_members_one_after_the_other() -> None:
    fast, slow = {32: 0.25, 1024: 1.0}, {32: 0.75, 1024: 3.0}
    found = best_batch({256: 100.0}, [fast, slow])
    assert found == {"best_batch": 1024, "best_batch_examples_per_second": 256.0}
    assert best_batch({256: 1e6}, [fast, slow]) == {"best_batch": 256, "best_batch_examples_per_second": 1e6}
