"""External teachers' part of the logits store: what ingestion kept of a column, beside the trained teachers' logits."""

import time
from typing import Any

from raykd.artifacts import RunDirectory, external_folder, logits_folder
from raykd.data.shards import read_manifest


def publish(teacher: str, run: RunDirectory) -> dict[str, Any]:
    """Copy the logits of every row that the teacher has scored into the store.

    A copy, as the examples' folder belongs to ingestion alone, and each teacher's logits to a step of their own.
    Returns: rows and seconds.
    """
    begun = time.perf_counter()
    manifest = read_manifest(run)
    splits = dict(manifest.external)[teacher]
    run.write_json(
        f"{logits_folder(teacher)}/manifest.json",
        {
            "external": True,
            "examples": manifest.fingerprint,
            "dtype": "float16",
            "classes": manifest.classes,
            "rows": manifest.rows(*splits),
        },
    )
    for shard in manifest.of(*splits):
        path = f"{logits_folder(teacher)}/{shard.name}"
        if not run.exists(path):
            run.write_bytes(path, run.read_bytes(f"{external_folder(teacher)}/{shard.name}"))
    return {"rows": manifest.rows(*splits), "seconds": time.perf_counter() - begun}
