import os

import pytest

from raykd.evaluate.speed import _on_cores, best_batch


def test_the_best_batch_of_an_ensemble_counts_its_members_one_after_the_other() -> None:
    fast, slow = {32: 0.25, 1024: 1.0}, {32: 0.75, 1024: 3.0}
    found = best_batch({256: 100.0}, [fast, slow])
    assert found == {"best_batch": 1024, "best_batch_examples_per_second": 256.0}
    assert best_batch({256: 1e6}, [fast, slow]) == {"best_batch": 256, "best_batch_examples_per_second": 1e6}


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="threads can't be kept on cores here")
def test_models_are_timed_on_as_many_cores_as_threads() -> None:
    before = os.sched_getaffinity(0)
    with _on_cores(1):
        assert len(os.sched_getaffinity(0)) == 1
    with _on_cores(0):
        assert os.sched_getaffinity(0) == before
    assert os.sched_getaffinity(0) == before
