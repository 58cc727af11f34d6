"""What a student may take over: which blocks, from whom, and one clear line where it can't."""

from typing import Any

import pytest
import yaml

from raykd.config import Config, CrossEncoderConfig
from raykd.errors import InputError
from raykd.loading import load_config
from raykd.transfer import blocks_of, teacher_names

JOB: dict[str, Any] = {
    "teachers": [
        {"name": "a", "model": {"type": "cross_encoder", "layers": 4, "width": 64}},
        {"name": "b", "model": {"type": "cross_encoder", "layers": 3, "width": 64}},
    ],
    "student": {"model": {"type": "cross_encoder", "layers": 2, "width": 64}},
}


@pytest.fixture
def job(tmp_path: Any) -> str:
    path = tmp_path / "job.yaml"
    path.write_text(yaml.safe_dump(JOB))
    return str(path)


@pytest.mark.parametrize(
    ("initialise", "layers", "blocks"),
    [
        ("random", 3, ()),
        ("first", 3, (0, 1, 2)),
        ("every_other", 1, (0,)),
        ("every_other", 3, (0, 2, 4)),
        ((0, 3), 2, (0, 3)),
    ],
)
def test_blocks(initialise: Any, layers: int, blocks: tuple[int, ...]) -> None:
    assert blocks_of(initialise, CrossEncoderConfig(type="cross_encoder", layers=layers)) == blocks


@pytest.mark.parametrize(
    ("initialise_from", "fed_by", "found"),
    [
        ("paired", ("b",), ("b",)),
        ("paired", ("a", "b", "c"), ("a", "b", "c")),
        ("best", ("b",), ("a", "b", "c")),
        ("c", ("b",), ("c",)),
        ("c", ("a", "b", "c"), ("c",)),
    ],
)
def test_whose_blocks(initialise_from: str, fed_by: tuple[str, ...], found: tuple[str, ...]) -> None:
    assert teacher_names(initialise_from, fed_by, ("a", "b", "c")) == found


def _read(job: str, *overrides: str) -> Config:
    return load_config(job, overrides)


@pytest.mark.parametrize(
    "overrides",
    [
        ["student.initialise=every_other"],
        ["student.initialise=[2, 0]", "student.initialise_from=best"],
        ["student.initialise=[0, 3]", "student.initialise_from=a"],
        ["student.initialise=first", "teachers.a.model.width=96", "student.initialise_from=b"],
        ["distill.hidden.loss=attention_relation"],
        ["distill.hidden.loss=mse", "student.model={type: bilstm, width: 8}"],
        ["distill.hidden.loss=cosine", "student.model={type: bi_encoder, width: 8}"],
    ],
)
def test_what_fits_is_taken(job: str, overrides: list[str]) -> None:
    _read(job, *overrides)


def test_by_default_nothing_is_taken_over(job: str) -> None:
    config = _read(job)
    assert (config.student.initialise, config.student.initialise_from) == ("random", "paired")
    assert config.distill.hidden.loss == "none"


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["student.initialise=last"],
         "student.initialise: found 'last', expected: random, every_other, first or a list of the teacher's block "
         "numbers, such as [0, 3]"),
        (["student.initialise=[0, -1]"], "student.initialise: found [0, -1], expected: random, every_other, first or"),
        (["student.initialise=[]"], "student.initialise: found [], expected: random, every_other, first or"),
        (["student.initialise=[0, 1, 2]"],
         "student.initialise: found 3 blocks [0, 1, 2], expected one for each of the student's 2 layers; change"),
        (["student.initialise=[0, 3]"],
         "student.initialise: [0, 3] reads block 3 of teacher b, which has 3 (0 to 2); give the teacher more layers"),
        (["student.initialise=every_other", "student.model.layers=3"],
         "student.initialise: every_other reads block 4 of teacher a, which has 4 (0 to 3); give"),
        (["student.initialise=first", "student.model.width=32"],
         "student.initialise: first from teacher a: found type cross_encoder, width 64, heads 2, expected the "
         "student's type cross_encoder, width 32, heads 1; change either, name another teacher in "
         "student.initialise_from, or choose random"),
        (["student.initialise=first", "student.model.heads=4"],
         "student.initialise: first from teacher a: found type cross_encoder, width 64, heads 2, expected the"),
        (["student.initialise=first", "student.model={type: bilstm, width: 64}"],
         "student.initialise: first from teacher a: found type cross_encoder, width 64, heads 2, expected the "
         "student's type bilstm, width 64; change"),
        (["student.initialise=first", "student.model={type: mlp}"],
         "student.initialise: found first for a student of type mlp, expected one of cross_encoder, bi_encoder, "
         "bilstm, pretrained; choose random"),
        (["student.initialise=first", "student.initialise_from=z"],
         "student.initialise_from: found z, expected paired, best or a teacher's name: a, b"),
        (["student.initialise=[1]", "student.model={type: bilstm, layers: 1}"],
         "student.initialise: found [1], expected block 0 at the bottom and nowhere else: the lowest layer"),
        (["student.initialise=first", "teachers.a.name=best"],
         "teachers: the name best means something else in student.initialise_from; rename the teacher"),
        (["distill.hidden.los=mse"], "distill.hidden.los: unknown key; did you mean loss?"),
        (["distill.hidden.loss=kl"], "distill.hidden.loss: found 'kl', expected: input should be 'none', 'cosine'"),
        (["distill.hidden={loss: mse, weight: 0}"], "distill.hidden.weight: found 0, expected: input should be"),
        (["distill.hidden.loss=mse", "student.model={type: mlp}"],
         "distill.hidden.loss: mse: found a student of type mlp and teacher a of type cross_encoder, expected both or "
         "neither of cross_encoder, bi_encoder, bilstm, pretrained: states of tokens can't be compared"),
        (["distill.hidden.loss=attention_relation", "teachers.b.model={type: bilstm}"],
         "distill.hidden.loss: attention_relation: found a student of type cross_encoder and teacher b of type bilstm, "
         "expected cross_encoders with the same number of heads; choose cosine, mse or none"),
        (["distill.hidden.loss=attention_relation", "student.model.width=32"],
         "distill.hidden.loss: attention_relation: found heads 1 in the student and 2 in teacher a, expected "
         "cross_encoders with the same number of heads; set model.heads of either"),
        (["distill.hidden.loss=cosine", "scaling.workers=1", "scaling.strategy=parameter_server"],
         "distill.hidden.loss: found cosine with scaling.strategy parameter_server, which would send the teachers' "),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_in_one_line(job: str, overrides: list[str], message: str) -> None:
    with pytest.raises(InputError) as caught:
        _read(job, *overrides)
    assert str(caught.value).startswith(f"{job}: {message}")
    assert len(str(caught.value).splitlines()) == 1
