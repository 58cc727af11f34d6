"""Raw rows are encoded for prediction as they were for training."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from raykd.artifacts import RunDirectory
from raykd.config import BiLSTMConfig, Columns, DataConfig
from raykd.data.ingest import ingest
from raykd.data.reader import Reader
from raykd.models.build import ModelSpec, build
from raykd.predict.members import Member, Members
from raykd.predict.scorer import Scorer
from raykd.train.checkpoint import save_weights, values_of
from raykd.train.predict import Predictor, probabilities_of


@pytest.mark.parametrize("truncation", ["longest_first", "only_second"])
def test_pairs_short_and_too_long_are_encoded_alike(
    local_ray: None, run_directory: RunDirectory, truncation: str
) -> None:
    rows = [
        {"query": f"what is word {row} " * (row % 4 + 1), "passage": "it is that " * (row % 5 + 1), "label": row % 2}
        for row in range(40)
    ]
    source = f"{run_directory.path()}-rows.parquet"
    pq.write_table(pa.Table.from_pylist(rows), source)
    columns = Columns(text=["query", "passage"])
    settings = {"max_length": 16, "vocabulary": 200, "streams": 2, "truncation": truncation}
    manifest = ingest(run_directory, DataConfig(source=source, columns=columns, **settings), seed=0, tasks=1)
    assert sum(cut for _, cut in manifest.truncated) > 10
    spec = ModelSpec(BiLSTMConfig(type="bilstm", width=4), manifest.inputs, 2, heads=3)
    weights = values_of(build(spec, seed=1).variables)
    save_weights(run_directory, "students/s", weights)
    members = Members("student/s", (Member("students/s", spec),), None, "probabilities")
    texts = pa.table({"text_0": [row["query"] for row in rows], "text_1": [row["passage"] for row in rows]})
    found = Scorer(run_directory, members, manifest.inputs, truncation)(texts)
    predictor = Predictor(spec, weights)
    for shard in Reader(run_directory, manifest.shards, manifest.inputs).all():
        expected = probabilities_of(predictor.logits(shard))
        np.testing.assert_allclose(found[shard["example_id"]], expected, atol=1e-6)
