"""The export step: every asked-for format in one bundle, with loader, tokenizer and card.

export/<model>/
  manifest.json   what goes in and comes out, and how each format compares with the source
  README.md       the model card
  load.py         loads the bundle; needs no raykd
  tokenizer.json  for texts
  saved_model/, model.keras, model.onnx, model.tflite
"""

import json
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from raykd.artifacts import EVALUATION, RunDirectory
from raykd.config import Config
from raykd.data.shards import read_manifest
from raykd.distill.trials import chosen
from raykd.export import loader
from raykd.export.card import card
from raykd.export.choice import chosen_name, export_folder
from raykd.export.formats import write
from raykd.export.loader import FILES, MANIFEST, Bundle
from raykd.export.model import Servable, load_servable, predict
from raykd.export.verify import Verified, validation_rows, verify, verify_texts, written_out

_SCHEMA = 1  # of the bundle's manifest

Report = Callable[[dict[str, Any]], None]


def export(config: Config, run: RunDirectory, report: Report) -> dict[str, Any]:
    """Export the model that the configuration names, compare each format with it, and publish the bundle.

    Returns: facts: `seconds`, and under `exports` what was found for each format.
    Raises: InputError where a format can't hold the model, lacks a package, or doesn't predict as the source does.
    """
    begun = time.perf_counter()
    config = chosen(config, run)
    name = chosen_name(config)
    servable = load_servable(config, name, run)
    manifest = read_manifest(run)
    rows = validation_rows(run, manifest)
    expected = predict(servable, rows)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        described = _describe(config, servable, run, manifest.class_names)
        _write_common(folder, described, servable)
        verified: list[Verified] = []
        for format in config.export.formats:
            path = folder / FILES[format]
            write(servable, format, path)
            bundle = Bundle(folder, format)
            verified.append(verify(bundle, format, _bytes(path), rows, expected, manifest.inputs))
            if format == "saved_model" and servable.reads_texts:
                assert servable.tokenizer is not None
                verify_texts(bundle, path, written_out(servable.tokenizer, rows, len(servable.fields)))
            report({"folder": export_folder(name), "share": len(verified) / len(config.export.formats)})
        described["formats"] = {one.format: one.as_json() for one in verified}
        _write_json(folder / MANIFEST, described)
        text = card(config, servable, manifest, described, run.read_json(f"{EVALUATION}/models.json"))
        (folder / "README.md").write_text(text, encoding="utf-8")
        _publish(folder, run, export_folder(name))
    return {"seconds": time.perf_counter() - begun, "exports": [one.as_json() for one in verified]}


def _describe(config: Config, servable: Servable, run: RunDirectory, class_names: Sequence[str]) -> dict[str, Any]:
    return {
        "schema": _SCHEMA,
        "run": config.name,
        "model": servable.name,
        "evaluation": run.facts(EVALUATION)["fingerprint"],
        "classes": servable.classes,
        "class_names": list(class_names),
        "fields": list(servable.fields),
        "inputs": asdict(servable.inputs),
        "truncation": config.data.truncation,
        "parts": list(servable.parts),
        "weights": list(servable.weights),
        "average": servable.space,
        "temperature": servable.temperature,
        "licence": config.export.licence,
        "formats": {format: {} for format in config.export.formats},
    }


def _write_common(folder: Path, described: dict[str, Any], servable: Servable) -> None:
    _write_json(folder / MANIFEST, described)
    shutil.copyfile(loader.__file__, folder / "load.py")
    if servable.tokenizer is not None:
        (folder / "tokenizer.json").write_text(servable.tokenizer, encoding="utf-8")


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def _files(path: Path) -> Sequence[Path]:
    return sorted(one for one in path.rglob("*") if one.is_file()) if path.is_dir() else [path]


def _bytes(path: Path) -> int:
    return sum(one.stat().st_size for one in _files(path))


def _publish(folder: Path, run: RunDirectory, target: str) -> None:
    for one in _files(folder):
        run.write_bytes(f"{target}/{one.relative_to(folder).as_posix()}", one.read_bytes())
