"""A finished run of texts without any training: a tiny tokenizer, rows, weights drawn at random, an evaluation."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from raykd.artifacts import EVALUATION, EXAMPLES, RunDirectory
from raykd.config import Config
from raykd.data.encoding import InputSpec, encode_texts, train_tokenizer
from raykd.data.shards import Manifest, Shard, hash_ids, write_table
from raykd.loading import parse_config

ROWS = 240
LENGTH = 24
CLASS_NAMES = ("no", "yes `indeed`")
_WORDS = [
    "sum",
    "mean",
    "array",
    "axis",
    "row",
    "column",
    "index",
    "sort",
    "the",
    "of",
    "returns",
    "value",
    "file",
    "open",
]


def texts(seed: int, rows: int) -> list[list[str]]:
    """Two columns of texts, with letters that the tokenizer doesn't know among them."""
    rng = np.random.default_rng(seed)
    return [
        [
            " ".join(rng.choice(_WORDS, rng.integers(2, 30))) + rng.choice(["", ".", " ÄÖ é", " 漢字"])
            for _ in range(rows)
        ]
        for _ in range(2)
    ]


def tiny_config(storage: str, student: dict[str, Any], **export: Any) -> Config:
    """A job of two teachers; nothing of it is trained."""
    teachers = [{"name": name, "model": {"type": "cross_encoder", "layers": 1, "width": 16}} for name in ("a", "b")]
    values = {
        "name": "tiny",
        "storage_path": storage,
        "data": {"source": "docsqa", "max_length": LENGTH, "bucket": 8},
        "teachers": teachers,
        "student": {"model": student},
        "export": export,
    }
    return parse_config(values)


def write_run(config: Config, names: Sequence[str]) -> RunDirectory:
    """What the run leaves behind: these models with weights drawn at random, as loud as trained ones."""
    from raykd.distill.stages import model_of_step
    from raykd.export.choice import folders_of
    from raykd.models.build import HEADS, build
    from raykd.train.checkpoint import save_weights, values_of

    run = RunDirectory.at(config.storage_path, config.name)
    manifest = _write_examples(run)
    for name in names:
        for folder in folders_of(config, name, run):
            spec = model_of_step(config, folder, manifest)
            assert spec is not None
            model = build(spec, seed=len(folder))
            kernel = model.get_layer(HEADS).kernel
            kernel.assign(30.0 * kernel)
            save_weights(run, folder, values_of(model.variables))
    lines = [_line(name) for name in names]
    run.write_json(
        f"{EVALUATION}/models.json",
        {"best_teacher": "teacher/a", "learned_from": "labels", "device": "a processor", "models": lines},
    )
    run.write_json(f"{EVALUATION}/done.json", {"fingerprint": "of the evaluation"})
    run.write_bytes("config.yaml", config.model_dump_json().encode())  # JSON is YAML
    return run


def _line(name: str) -> dict[str, Any]:
    kind = "student_ensemble" if name.startswith("ensemble/") else name.partition("/")[0]
    recipe = name.split("/")[1] if not kind.startswith("teacher") else None
    weights = {"weights": [0.25, 0.75]} if kind.endswith("ensemble") else {}
    return {"name": name, "kind": kind, "recipe": recipe, "accuracy": 0.75, "accuracy_ci95": [0.7, 0.8], **weights}


def _write_examples(run: RunDirectory) -> Manifest:
    columns = texts(seed=0, rows=ROWS)
    tokenizer: Tokenizer = train_tokenizer([text for column in columns for text in column], 200, LENGTH)
    run.write_bytes(f"{EXAMPLES}/tokenizer.json", tokenizer.to_str().encode())
    encoded = encode_texts(tokenizer, columns)
    ids = np.arange(ROWS)
    shard = Shard("validation", 0, ROWS, hash_ids(ids))
    values = {"example_id": ids, "label": (ids % 2).astype(np.int32), "inputs": [row.tolist() for row in encoded]}
    import pyarrow as pa

    values["inputs"] = pa.array(values["inputs"], pa.list_(pa.int32()))
    write_table(run, f"{EXAMPLES}/{shard.name}", values)
    inputs = InputSpec("tokens", LENGTH, "int32", tokenizer.get_vocab_size(), 8)
    manifest = Manifest(2, inputs, (shard,), class_names=CLASS_NAMES)
    manifest.save(run)
    return manifest
