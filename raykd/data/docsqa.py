"""docs-QA: question-passage pairs from the docstrings of installed packages; needs no download.

The summary line is the query, the rest of the docstring its passage (label 1); another docstring of the
same module is a hard negative (label 0). Sources are read, never imported.
"""

import hashlib
import sysconfig
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from raykd.data.docstrings import docstrings

PACKAGES = ("tensorflow", "keras", "ray", "numpy", "pandas")
_SKIPPED_FOLDERS = {"_api", "test", "tests", "testing"}
_MIN_QUERY_WORDS, _MIN_PASSAGE_WORDS = 3, 5
_PAIRS = pa.schema(
    [
        ("example_id", pa.int64()),
        ("split", pa.string()),
        ("text_0", pa.string()),
        ("text_1", pa.string()),
        ("label", pa.int32()),
    ]
)
_MAX_PASSAGE_WORDS = 120  # More than any model here reads; the rest would only be encoded and cut off.


def versions() -> dict[str, str]:
    """Version of each package read; with the seed it decides every pair."""
    return {package: metadata.version(package) for package in PACKAGES}


def source_files() -> list[str]:
    """Python files of the packages, relative to site-packages, in a fixed order; tests and generated code left out."""
    root = Path(sysconfig.get_paths()["purelib"])
    return sorted(
        path.relative_to(root).as_posix()
        for package in PACKAGES
        for path in (root / package).rglob("*.py")
        if not _is_skipped(path.relative_to(root))
    )


def _is_skipped(path: Path) -> bool:
    name = path.name
    return bool(_SKIPPED_FOLDERS & set(path.parts)) or name.startswith(("gen_", "test_")) or name.endswith(
        ("_pb2.py", "_test.py")
    )  # fmt: skip


def docstrings_of(files: Sequence[str]) -> pa.Table:
    """Docstrings with a summary and a body.

    Returns: columns `file`, `query` (the summary), `passage` (the rest, white space folded, its first words).
    """
    root = Path(sysconfig.get_paths()["purelib"])
    rows: list[dict[str, str]] = []
    for file in files:
        source = (root / file).read_text(encoding="utf-8", errors="replace")
        if '"""' in source:
            rows.extend({"file": file, **pair} for pair in _pairs_in(source))
    return pa.Table.from_pylist(
        rows, schema=pa.schema([("file", pa.string()), ("query", pa.string()), ("passage", pa.string())])
    )


def _pairs_in(source: str) -> list[dict[str, str]]:
    pairs = []
    for docstring in docstrings(source):
        summary, _, body = docstring.partition("\n\n")
        query, passage = " ".join(summary.split()), " ".join(body.split()[:_MAX_PASSAGE_WORDS])
        if len(query.split()) >= _MIN_QUERY_WORDS and len(passage.split()) >= _MIN_PASSAGE_WORDS:
            pairs.append({"query": query, "passage": passage})
    return pairs


def pairs(docstrings: pa.Table, shares: dict[str, float], seed: int) -> pa.Table:
    """Positive and hard negative pairs, split by docstring, so that no passage stands in two splits.

    Args: docstrings: as `docstrings_of` gives; shares: of the splits other than train; seed: of the split and
    of the choice of negatives.
    Returns: columns `example_id` int64, `split`, `text_0`, `text_1`, `label`; in an order fixed by the seed.
    """
    # Packages repeat whole docstrings (aliases, versions): equal passages and equal queries count once.
    seen: set[str] = set()
    by_module: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in sorted(docstrings.to_pylist(), key=lambda row: (row["file"], row["query"], row["passage"])):
        if row["query"] in seen or row["passage"] in seen:
            continue
        seen.update((row["query"], row["passage"]))
        split = _split_of(_hash(seed, row["passage"]), shares)
        by_module.setdefault((split, row["file"]), []).append(row)

    rows = []
    for (split, file), group in sorted(by_module.items()):
        generator = np.random.default_rng(_hash(seed, split, file))
        for position, row in enumerate(group):
            if len(group) == 1:
                continue  # No other docstring of this module to tell it from.
            other = group[(position + int(generator.integers(1, len(group)))) % len(group)]
            for passage, label in ((row["passage"], 1), (other["passage"], 0)):
                rows.append(
                    {
                        "example_id": _hash(row["query"], passage),
                        "split": split,
                        "text_0": row["query"],
                        "text_1": passage,
                        "label": label,
                    }
                )
    return pa.Table.from_pylist(rows, schema=_PAIRS)


def _split_of(key: int, shares: dict[str, float]) -> str:
    position = key / 2**63
    for split, share in shares.items():
        if position < share:
            return split
        position -= share
    return "train"


def _hash(*parts: object) -> int:
    """63 bits, the same in every process."""
    digest = hashlib.blake2b("\0".join(map(str, parts)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1
