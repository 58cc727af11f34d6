"""How many rows a teacher has scored, in the manifest of its logits: what proves that a sweep runs no teacher.

Readers: the logits store, which alone counts, and the sweep.
"""

from raykd.artifacts import RunDirectory, logits_folder

KEY = "rows_scored"


def rows_scored(run: RunDirectory, teacher: str) -> int:
    """Rows that the teacher has scored in this store, ever; one scored again counts twice."""
    path = _manifest(teacher)
    return int(run.read_json(path).get(KEY, 0)) if run.exists(path) else 0


def count_scored(run: RunDirectory, teacher: str, rows: int) -> None:
    """Add rows that the teacher scores now."""
    path = _manifest(teacher)
    run.write_json(path, {**run.read_json(path), KEY: rows_scored(run, teacher) + rows})


def _manifest(teacher: str) -> str:
    return f"{logits_folder(teacher)}/manifest.json"
