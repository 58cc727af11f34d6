"""Teachers' weights, from logits of the validation split alone, and the jobs that carry them."""

import numpy as np
import pytest

from raykd.artifacts import EXAMPLES, RunDirectory, logits_folder
from raykd.config import DistillConfig
from raykd.data.encoding import InputSpec
from raykd.data.shards import Manifest, Shard, hash_ids, write_table
from raykd.distill.recipes import MANY_ON_MANY, ONE_AVG_ON_ONE, PLAIN, TMKD, Student
from raykd.distill.stages import student_jobs
from raykd.distill.weighting import teacher_weights
from raykd.errors import InputError
from raykd.loading import load_config
from raykd.losses import Objective

TEACHERS = ("good", "poor")
RIGHT = {"good": [1, 1, 1, 1], "poor": [1, 0, 0, 0]}  # of the labelled rows


def write_run(run: RunDirectory, labels: list[int]) -> Manifest:
    """Two validation shards, one row of each unlabelled; only the validation split has logits."""
    shards = []
    for split, ids in (("train", [0]), ("validation", [1, 2, 3]), ("validation", [4, 5, 6]), ("test", [7])):
        shard = Shard(split, ids[0], len(ids), hash_ids(np.array(ids)))
        shards.append(shard)
        own = np.array([labels[i] for i in ids], np.int32)
        columns = {"example_id": ids, "label": own, "inputs": [np.zeros(2, np.float32)] * len(ids)}
        write_table(run, f"{EXAMPLES}/{shard.name}", columns)
        if split != "validation":
            continue
        for teacher in TEACHERS:
            right = iter(RIGHT[teacher][0 if ids[0] == 1 else 2 :])
            predicted = [label if label < 0 or next(right) else (label + 1) % 3 for label in own]
            logits = [4 * np.eye(3, dtype=np.float16)[one] for one in predicted]
            write_table(run, f"{logits_folder(teacher)}/{shard.name}", {"example_id": ids, "logits": logits})
    manifest = Manifest(3, InputSpec("features", length=2, dtype="float32"), tuple(shards))
    manifest.save(run)
    return manifest


LABELS = [0, 2, -1, 1, 0, 1, -1, 2]


@pytest.fixture
def manifest(run_directory: RunDirectory) -> Manifest:
    return write_run(run_directory, LABELS)


def weights(run: RunDirectory, manifest: Manifest, **settings: str):
    return teacher_weights(DistillConfig(**settings), TEACHERS, run, manifest)


def test_accuracy_counts_labelled_validation_rows(run_directory: RunDirectory, manifest: Manifest) -> None:
    assert weights(run_directory, manifest, weighting="accuracy") == (4 / 5, 1 / 5)


@pytest.mark.parametrize("space", ["probabilities", "logits"])
def test_fitted_weights_leave_the_poor_teacher_out(run_directory: RunDirectory, manifest: Manifest, space: str) -> None:
    np.testing.assert_allclose(
        weights(run_directory, manifest, weighting="fitted", average=space), [1.0, 0.0], atol=1e-6
    )


def test_equal_weights_need_no_logits(run_directory: RunDirectory, manifest: Manifest) -> None:
    run_directory.delete_folder("logits")
    assert weights(run_directory, manifest) is None


def test_without_labelled_validation_rows_weights_are_refused(run_directory: RunDirectory) -> None:
    manifest = write_run(run_directory, [-1] * 8)
    with pytest.raises(InputError, match=r"distill\.weighting: found no labelled rows in the validation split"):
        weights(run_directory, manifest, weighting="fitted")


def test_the_job_of_the_averages_student_carries_them(run_directory: RunDirectory, manifest: Manifest) -> None:
    config = load_config("digits", ["distill.weighting=accuracy", "distill.average=logits", "distill.soft_loss=dkd",
                                    "distill.dkd_weights=[1,2]"])  # fmt: skip
    objective = Objective("dkd", average=True, space="logits", weights=(4 / 5, 1 / 5), dkd_weights=(1.0, 2.0))
    jobs = student_jobs(config, Student(ONE_AVG_ON_ONE, TEACHERS), manifest, run_directory)
    assert [job.objective for job in jobs] == [objective, objective]
    for student in (Student(MANY_ON_MANY, ("poor",)), Student(TMKD, TEACHERS)):
        jobs = student_jobs(config, student, manifest, run_directory)
        assert [job.objective for job in jobs] == [Objective("dkd", dkd_weights=(1.0, 2.0))] * 2
        assert [job.alpha for job in jobs] == [1.0, config.distill.alpha]
    [plain] = student_jobs(config, Student(PLAIN, ()), manifest, run_directory)
    assert plain.objective == Objective()
