"""Sources that come with raykd: docs-QA and scikit-learn's digits."""

import numpy as np
import pyarrow as pa
import ray
import ray.data

from raykd.config import DataConfig
from raykd.data import docsqa

_FILES_PER_TASK = 400  # of docs-QA's Python files: a task costs a tenth of a second beside its work


def read_docsqa(data: DataConfig, seed: int, tasks: int) -> ray.data.Dataset:
    """Pairs of docs-QA, with their split."""
    files = docsqa.source_files()
    # Stride, so that each task gets a like share of every package.
    pieces = max(1, len(files) // _FILES_PER_TASK)
    items = [{"files": files[start::pieces]} for start in range(pieces)]
    found = (
        ray.data.from_items(items, override_num_blocks=len(items))
        .map_batches(_docstrings_of_batch, batch_size=1, batch_format="pyarrow", concurrency=tasks)
        .to_arrow_refs()
    )
    docstrings = pa.concat_tables(table for table in ray.get(found) if table.num_rows)
    return ray.data.from_arrow(docsqa.pairs(docstrings, {"validation": data.validation, "test": data.test}, seed))


def _docstrings_of_batch(batch: pa.Table) -> pa.Table:
    return docsqa.docstrings_of([file for files in batch["files"].to_pylist() for file in files])


def read_digits() -> ray.data.Dataset:
    """1,797 images of 64 pixels, 0 to 1."""
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    features = (pixels / 16.0).astype(np.float32)
    table = pa.table(
        {
            "example_id": pa.array(np.arange(len(labels), dtype=np.int64)),
            "label": pa.array(labels.astype(np.int32)),
            "features": pa.FixedSizeListArray.from_arrays(features.ravel(), features.shape[1]),
        }
    )
    return ray.data.from_arrow(table)
