"""How many rows a teacher has scored, beside its logits: what proves that a sweep runs no teacher.

Readers: the logits store, which alone counts, and the sweep.
"""

from raykd.artifacts import RunDirectory, logits_folder

_ENDING = ".rows.json"


def rows_scored(run: RunDirectory, teacher: str) -> int:
    """Rows that the teacher has scored in this store, ever; one scored again counts twice."""
    folder = _folder(teacher)
    return sum(int(run.read_json(f"{folder}/{name}")["rows"]) for name in run.names(folder, _ENDING))


def count_scored(run: RunDirectory, teacher: str, rows: int, part: int) -> None:
    """Add rows that the teacher scores now.

    Args: part: of the scoring; several are done side by side, each with a count of its own.
    """
    path = f"{_folder(teacher)}/{part}{_ENDING}"
    before = run.read_json(path)["rows"] if run.exists(path) else 0
    run.write_json(path, {"rows": before + rows})


def _folder(teacher: str) -> str:
    return f"{logits_folder(teacher)}/scored"
