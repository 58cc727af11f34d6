"""The configuration to start from: it loads, and it knows every setting."""

import re
import sys
from pathlib import Path

import pytest
import yaml

from raykd.cli import main
from raykd.config import Config, DataConfig, DistillConfig, ScalingConfig, SweepConfig, TrainingConfig
from raykd.loading import load_config
from raykd.starter import starter


def _load(text: str, folder: Path) -> Config:
    (folder / "mine.yaml").write_text(text)
    return load_config(str(folder / "mine.yaml"))


def test_it_loads_and_stays_the_same_with_every_setting_uncommented(tmp_path: Path) -> None:
    text = starter("mine.yaml")
    config = _load(text, tmp_path)
    assert (config.name, config.data.source, len(config.teachers)) == ("mine", "rows.parquet", 3)
    everything = re.sub(r"^( *)#(?=\w)", r"\1", text, flags=re.MULTILINE)
    assert everything.count("\n") == text.count("\n")
    assert len(everything) < len(text) - 50
    assert _load(everything, tmp_path) == config


@pytest.mark.parametrize(
    ("section", "model"),
    [("data", DataConfig), ("distill", DistillConfig), ("sweep", SweepConfig), ("scaling", ScalingConfig)],
)
def test_it_shows_every_setting_with_its_default(section: str, model: type[DataConfig]) -> None:
    everything = yaml.safe_load(re.sub(r"^( *)#(?=\w)", r"\1", starter("x.yaml"), flags=re.MULTILINE))
    assert set(everything[section]) == set(model.model_fields)
    if section != "data":
        assert everything[section] == model().model_dump(mode="json")
    assert everything["teacher_defaults"]["training"] == TrainingConfig().model_dump(mode="json")


def test_a_description_stands_before_its_setting() -> None:
    lines = starter("x.yaml").splitlines()
    assert lines[lines.index("  #temperature: 2.0") - 1] == "  # T: larger is softer"
    assert max(map(len, lines)) <= 200


def test_the_command_writes_it_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = str(tmp_path / "mine.yaml")
    monkeypatch.setattr(sys, "argv", ["raykd", "init", file])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    assert load_config(file).name == "mine"
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert capsys.readouterr().err == f"error: {file}: is there already; name another file or delete it\n"
