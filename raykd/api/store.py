"""A folder of examples and of what teachers say of them."""

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from raykd.api.models import Teacher
from raykd.artifacts import EXAMPLES, RunDirectory, fingerprint, logits_folder, teacher_folder
from raykd.cluster import connect
from raykd.config import Config
from raykd.data.ingest import ingest
from raykd.data.largest import spread
from raykd.data.reader import Reader
from raykd.data.shards import SCORED_SPLITS, Arrays, Manifest, read_manifest
from raykd.data.sources import source_fingerprint
from raykd.data.staging import stage
from raykd.distill.logits import check_store, missing_shards, write_logits
from raykd.distill.publish import publish
from raykd.errors import InputError
from raykd.loading import parse_config
from raykd.train.checkpoint import save_weights, values_of

_SETTINGS = "store.json"
_SCORED = "scored.json"  # written last


class LogitsStore:
    """Examples in shards, and for each teacher its raw logits beside them: scored once, read by every student.

    Args:
        folder: a path or URI, for this store alone. With the same data and settings again, all that is in it stays.
        data: as `raykd.run` takes it; None opens a store that is there.
        columns: as `data.columns`: `{"features": name}`, `{"text": [name, name]}`, `{"image": name}`; label, id.
        seed: of the split.
        settings: others of the section `data`: validation, test, labelled, classes, streams, ...
    Raises: InputError for bad data, or where nothing is there to open.
    """

    def __init__(
        self,
        folder: str,
        data: Any = None,
        *,
        columns: Mapping[str, Any] | None = None,
        seed: int = 0,
        **settings: Any,
    ) -> None:
        self.run = RunDirectory.opened(folder)
        if data is None:
            if not self.run.exists(_SETTINGS):
                raise InputError(f"{folder}: no store is there; give data to make one")
            self._values = self.run.read_json(_SETTINGS)
        else:
            self._make(data, dict(columns or {}), seed, settings)
        self.manifest: Manifest = read_manifest(self.run)

    def _make(self, data: Any, columns: dict[str, Any], seed: int, settings: Mapping[str, Any]) -> None:
        self.run.prepare()
        source, names = stage(data, self.run, columns.get("label", "label"))
        given = {"classes": names, **settings, "source": source, "format": "parquet", "columns": columns}
        self._values = {"seed": seed, "data": given}
        config = self.config({"model": {"type": "mlp"}})
        wanted = fingerprint(source_fingerprint(config.data), config.data.model_dump(), seed)
        if not self.run.is_done(EXAMPLES, wanted):
            self.run.delete_folder("logits")
            self.run.begin(EXAMPLES, wanted)
            with connect(None, verbose=False) as cluster:
                ingest(self.run, config.data, seed, cluster.cpus)
            for name in config.external:
                publish(name, self.run)
                self.run.write_json(f"{logits_folder(name)}/{_SCORED}", {"external": True})
            self.run.finish(EXAMPLES, wanted)
        self.run.write_json(_SETTINGS, self._values)

    def config(self, student: Mapping[str, Any], **sections: Any) -> Config:
        """A whole job on these examples with the store's teachers.

        Args: student, sections: as in the YAML. Raises: InputError.
        """
        external = self._values["data"]["columns"].get("external", {})
        trained = [{"name": name, "model": {"type": "mlp"}} for name in self.teachers if name not in external]
        # A configuration has a teacher, and each has a model; nothing here reads it.
        teachers = trained or ([] if external else [{"name": "none", "model": {"type": "mlp"}}])
        return parse_config({**self._values, "teachers": teachers, "student": student, **sections}, "store")

    @property
    def teachers(self) -> tuple[str, ...]:
        """Names of the teachers that have scored the examples."""
        names = self.run.names("logits", "")
        return tuple(name for name in names if self.run.exists(f"{logits_folder(name)}/{_SCORED}"))

    def add(self, teacher: Teacher) -> None:
        """Have a teacher score the rows to learn from and to validate on, as far as it hasn't.

        Raises: InputError when it has another number of classes than the examples, or the store holds logits of
        another teacher of this name.
        """
        if teacher.classes != self.manifest.classes:
            raise InputError(
                f"teacher {teacher.name}: gives {teacher.classes} classes, but the examples have "
                f"{self.manifest.classes}; change its last layer or data.classes"
            )
        weights = [*values_of(teacher.model.weights), np.frombuffer(teacher.gives.encode(), np.uint8)]
        # A folder for these weights alone: those of another teacher of this name stay.
        digest = hashlib.sha256(b"".join(np.ascontiguousarray(value).tobytes() for value in weights)).hexdigest()
        folder = f"{teacher_folder(teacher.name)}/{digest[:12]}"
        save_weights(self.run, folder, weights)
        check_store(self.run, teacher.name, folder, self.manifest)
        reader = Reader(self.run, self.manifest.of(*SCORED_SPLITS), self.manifest.inputs)
        for position in missing_shards(self.run, teacher.name, self.manifest):
            rows = reader.read(position)
            logits = teacher.logits(rows["inputs"])
            write_logits(self.run, teacher.name, reader.shards[position], rows["example_id"], logits)
        self.run.write_json(f"{logits_folder(teacher.name)}/{_SCORED}", {"examples": self.manifest.fingerprint})

    def rows(self, split: str) -> int:
        """Rows of a split: train, unlabelled, validation or test."""
        return self.manifest.rows(split)

    def examples(self, split: str) -> Arrays:
        """A split in memory: `example_id`, `label` (-1 where unknown), `inputs` [rows, length] and `lengths`."""
        return _joined(list(Reader(self.run, self.manifest.of(split), self.manifest.inputs).all()))

    def logits(self, teacher: str, split: str) -> NDArray[np.float16]:
        """A teacher's logits of a split's rows, in the order of `examples`, [rows, classes]."""
        reader = Reader(self.run, self.manifest.of(split), self.manifest.inputs, (logits_folder(teacher),))
        return spread(_joined(list(reader.all()))["teacher_logits"][:, 0], self.manifest.classes)


def _joined(shards: list[Arrays]) -> Arrays:
    return {name: np.concatenate([shard[name] for shard in shards]) for name in shards[0]} if shards else {}
