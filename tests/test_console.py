"""What a log says: one line per event, with run, lane and stage."""

import re

import pytest

from raykd.console import Console
from raykd.loading import load_config

EPOCH = {"kind": "epoch", "lane": 1, "step": "students/many_on_one", "folder": "students/many_on_one/stage1",
         "epochs": 9, "train_loss": 0.5, "validation_loss": 0.25, "examples_per_second": 1234.0, "stall_fraction": 0.01,
         "share": 0.5}  # fmt: skip
EVENTS = [
    {"kind": "started", "step": "examples"},
    {"kind": "finished", "step": "examples", "seconds": 2.0, "rows": 1797},
    {"kind": "waiting", "step": "lanes", "seconds": 30.4, "CPU": 4.0, "GPU": 1.0},
    {"kind": "started", "lane": 1, "step": "students/many_on_one"},
    {"kind": "progress", "lane": 1, "step": "students/many_on_one", "share": 0.1},
    *({**EPOCH, "epoch": epoch} for epoch in range(3)),
    {"kind": "restarted", "lane": 1, "step": "students/many_on_one", "lost": True},
    {"kind": "restarted", "lane": 0, "step": "teachers/wide", "lost": False},
    {"kind": "finished", "lane": 1, "step": "students/many_on_one", "seconds": 9.0, "validation_accuracy": 0.5},
]
LINES = [
    "digits driver examples 1/8: started",
    "digits driver examples 2/8: 2 s, 1,797 rows",
    "digits driver lanes 2/8: none is up yet after 30 s: each asks for 4 CPU and 1 GPU on one node",
    "digits lane 1 students/many_on_one 2/8: started",
    # Of three epochs within a moment one has a line.
    "digits lane 1 students/many_on_one/stage1 2/8: epoch 1/9, loss 0.5000, validation loss 0.2500, 1,234 examples/s, "
    "1.0% stalled",
    "digits lane 1 students/many_on_one 2/8: its node was lost; going on from the last checkpoint in a new lane",
    "digits lane 0 teachers/wide 2/8: its lane died; going on from the last checkpoint in a new lane",
    "digits lane 1 students/many_on_one 3/8: 9 s, validation accuracy 50.00%",
]


def test_a_log_has_a_line_for_every_event(capsys: pytest.CaptureFixture[str]) -> None:
    with Console(load_config("digits"), "/runs/digits", steps=8, missing=7) as console:
        for event in EVENTS:
            console.show(event)
    first, *lines = capsys.readouterr().out.splitlines()
    assert first == "digits: /runs/digits, 1 of 8 steps done already"
    times, texts = zip(*((line[:19], line[20:]) for line in lines), strict=True)
    assert list(texts) == LINES
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", time) for time in times)
