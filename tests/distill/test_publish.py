"""Publishing an external teacher's logits in the store."""

import numpy as np

from raykd.artifacts import RunDirectory, external_folder, logits_folder
from raykd.data.encoding import InputSpec
from raykd.data.shards import Manifest, Shard, hash_ids, read_table, write_table
from raykd.distill.publish import publish

INPUTS = InputSpec("features", 4, "float32")


def test_shards_are_published_as_they_are_and_described(run_directory: RunDirectory) -> None:
    shards = []
    for split, first in (("train", 0), ("validation", 10), ("test", 20)):
        ids = np.arange(first, first + 5)
        shards.append(Shard(split, 0, 5, hash_ids(ids)))
        if split != "test":
            logits = list(np.arange(10, dtype=np.float16).reshape(5, 2))
            write_table(run_directory, f"{external_folder('x')}/{split}/part-00000.parquet",
                        {"example_id": ids, "logits": logits})  # fmt: skip
    manifest = Manifest(2, INPUTS, tuple(shards), (("x", ("train", "validation")),))
    manifest.save(run_directory)
    assert publish("x", run_directory)["rows"] == 10
    assert run_directory.read_json(f"{logits_folder('x')}/manifest.json") == {
        "external": True, "examples": manifest.fingerprint, "dtype": "float16", "classes": 2, "rows": 10,
    }  # fmt: skip
    for split in ("train", "validation"):
        name = f"{split}/part-00000.parquet"
        assert read_table(run_directory, f"{logits_folder('x')}/{name}") == read_table(
            run_directory, f"{external_folder('x')}/{name}"
        )
    assert not run_directory.exists(f"{logits_folder('x')}/test")
