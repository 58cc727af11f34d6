import pytest
import yaml

from raykd.errors import InputError
from raykd.loading import load_config, load_text, packaged_configs, parse_config

SMALL = {
    "teachers": [{"name": "a", "model": {"type": "mlp"}}, {"name": "b", "model": {"type": "mlp"}}],
    "student": {"model": {"type": "mlp"}},
}

JOB = """
name: job
teacher_defaults: {training: {epochs: 4, batch_size: 64}}
teachers:
  - {name: a, model: {type: cross_encoder, layers: 2}}
  - {name: b, model: {type: cross_encoder, layers: 2}}
  - {name: c, model: {type: mlp, hidden: [8]}}
student: {model: {type: cross_encoder, layers: 1, width: 32}}
"""


@pytest.fixture
def job(tmp_path):
    path = tmp_path / "job.yaml"
    path.write_text(JOB)
    return str(path)


def error_of(source, *overrides):
    """The message of the InputError; every one is a single line."""
    with pytest.raises(InputError) as caught:
        load_config(str(source), overrides)
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


@pytest.mark.parametrize("name", packaged_configs())
def test_packaged_configs_load(name):
    config = load_config(name)
    assert config.name == name
    assert len(config.teachers) == 3
    assert {"plain", "one_avg_on_one", "many_on_one"} <= set(config.distill.recipes)


def test_packaged_configs_are_the_documented_ones():
    assert set(packaged_configs()) == {"quickstart", "digits", "mnist", "banking77", "pretrained"}
    assert load_config().distill.recipes == ["plain", "one_on_one", "one_avg_on_one", "many_on_many", "many_on_one"]
    assert load_config() == load_config("quickstart")


@pytest.mark.parametrize(
    ("override", "read", "expected"),
    [
        ("distill.alpha=0.25", lambda config: config.distill.alpha, 0.25),
        ("seed=0", lambda config: config.seed, 0),
        ("data.columns.text=[query, passage]", lambda config: config.data.columns.text, ["query", "passage"]),
        ("data.labelled=null", lambda config: config.data.labelled, None),
        ("student.training.learning_rate=1e-4", lambda config: config.student.training.learning_rate, 1e-4),
        ("scaling.lanes=2", lambda config: config.scaling.lanes, 2),
        ("distill.recipes=[plain]", lambda config: config.distill.recipes, ["plain"]),
        ("teachers.b.model.layers=5", lambda config: [t.model.layers for t in config.teachers[:2]], [2, 5]),
        ("teachers.c.training.seed=7", lambda config: config.teacher("c").training.seed, 7),
        (
            "teacher_defaults.training.epochs=9",
            lambda config: [t.training.epochs for t in config.teachers],
            [9] * 3,
        ),
    ],
)
def test_an_override_sets_its_key_and_nothing_else(job, override, read, expected):
    config = load_config(job, [override])
    assert read(config) == expected
    key = override.partition("=")[0].split(".")[0].replace("teacher_defaults", "teachers")
    untouched = load_config(job).model_dump(exclude={key})
    assert config.model_dump(exclude={key}) == untouched


def test_the_last_override_of_a_key_counts(job):
    assert load_config(job, ["seed=1", "seed=2"]).seed == 2


def test_a_common_value_that_no_teacher_takes_is_refused() -> None:
    saved = yaml.safe_dump(parse_config(SMALL).model_dump(mode="json"))
    [first, second] = [teacher["name"] for teacher in SMALL["teachers"]]
    message = f"teacher_defaults.training.epochs=9: found .* give --set teachers.{first}.training.epochs=... --set "
    with pytest.raises(InputError, match=message + f"teachers.{second}"):
        load_text(saved, "config.yaml", ["teacher_defaults.training.epochs=9"])
    own = load_text(saved, "config.yaml", [f"teachers.{name}.training.epochs=9" for name in (first, second)])
    assert {teacher.training.epochs for teacher in own.teachers} == {9}


def test_a_teachers_own_value_goes_before_the_teacher_defaults():
    common = {"training": {"epochs": 2, "learning_rate": 0.5}}
    own = {"name": "a", "model": {"type": "mlp"}, "training": {"epochs": 5}}
    config = parse_config({**SMALL, "teacher_defaults": common, "teachers": [own, SMALL["teachers"][1]]})
    assert [(t.training.epochs, t.training.learning_rate) for t in config.teachers] == [(5, 0.5), (2, 0.5)]


def test_the_callers_mapping_stays_as_it_was():
    values = {**SMALL, "teacher_defaults": {"training": {"epochs": 2}}}
    before = yaml.safe_dump(values)
    parse_config(values)
    assert yaml.safe_dump(values) == before


@pytest.mark.parametrize(
    ("override", "key", "nearest"),
    [
        ("distil.alpha=0.5", "distil", "distill"),
        ("distill.tempurature=2", "distill.tempurature", "temperature"),
        ("distill.stage1.epoch=2", "distill.stage1.epoch", "epochs"),
        ("data.columns.txt=[a]", "data.columns.txt", "text"),
        ("teachers.a.training.learning_rte=1", "teachers.0.training.learning_rte", "learning_rate"),
        ("teachers.a.model.layer=2", "teachers.0.model.layer", "layers"),
        ("teacher_defaults.training.epoch=2", "teachers.0.training.epoch", "epochs"),
        ("student.modl.width=2", "student.modl", "model"),
        ("sweep.trails=2", "sweep.trails", "trials"),
        ("sweep.alpha={low: 0, high: 1, hihg: 1}", "sweep.alpha.hihg", "high"),
        ("sweep.student=[{type: mlp, hiden: [2]}]", "sweep.student.0.hiden", "hidden"),
    ],
)
def test_an_unknown_key_names_the_nearest_known_one(job, override, key, nearest):
    assert error_of(job, override) == f"{job}: {key}: unknown key; did you mean {nearest}?"


def test_an_unknown_key_far_from_all_lists_the_known_ones(job):
    message = error_of(job, "scaling.zzz=1")
    assert message.startswith(
        f"{job}: scaling.zzz: unknown key; known keys here: cpus_per_worker, gpus_per_worker, lanes, max_failures"
    )


@pytest.mark.parametrize("key", ["width", "cnn"])
def test_an_unknown_model_key_is_named_and_never_answered_with_a_key_the_model_lacks(job, key):
    message = error_of(job, f"teachers.c.model.{key}=3")  # An mlp: type, hidden, dropout, input_dropout.
    assert message.startswith(f"{job}: teachers.2.model.{key}: unknown key; ")
    assert "did you mean" not in message


@pytest.mark.parametrize(
    ("override", "key", "found", "remedy"),
    [
        ("distill.temperature=0", "distill.temperature", "found 0,", "greater than 0"),
        ("distill.temperature=-2.5", "distill.temperature", "found -2.5,", "greater than 0"),
        ("distill.temperature=.nan", "distill.temperature", "found nan,", "finite number"),
        ("distill.temperature=.inf", "distill.temperature", "found inf,", "finite"),
        ("distill.alpha=1.5", "distill.alpha", "found 1.5,", "less than or equal to 1"),
        ("distill.alpha=-0.1", "distill.alpha", "found -0.1,", "or equal to 0"),
        ("distill.alpha=", "distill.alpha", "found None,", "a valid number"),
        ("distill.recipes=[foo]", "distill.recipes.0", "found 'foo',", "many_on_many"),
        ("teachers.b.model.type=gpt", "teachers.1.model.type", "found gpt,", "cross_encoder, bi_encoder"),
        ("teachers.b.training.epochs=0", "teachers.1.training.epochs", "found 0,", "or equal to 1"),
        ("teachers.b.training.seed=-1", "teachers.1.training.seed", "found -1,", "or equal to 0"),
        ("student.model.heads=5", "student.model", "'heads': 5", "a width that is a multiple of heads"),
        ("student=", "student", "found None,", "a section with keys of its own"),
        ("teachers=[]", "teachers", "found [],", "at least 1"),
        ("data.streams=7", "teachers.a.training.batch_size", "found 64,", "multiple of data.streams (7)"),
        ("distill.stage2.batch_size=20", "distill.stage2.batch_size", "found 20,", "data.streams (8)"),
        ("distill.soft_loss=kld", "distill.soft_loss", "found 'kld',", "logit_standardised_kl"),
        ("distill.dkd_weights=[1, -8]", "distill.dkd_weights.1", "found -8,", "or equal to 0"),
        ("distill.weighting=best", "distill.weighting", "found 'best',", "accuracy"),
        ("name=a/b", "name", "found 'a/b',", "match pattern"),
        ("sweep.temperature=3", "sweep.temperature", "found 3,", "a valid list"),
        ("sweep.temperature=[1, 0]", "sweep.temperature.1", "found 0,", "greater than 0"),
        ("sweep.temperature=[]", "sweep.temperature", "found [],", "at least 1"),
        ("sweep.temperature={low: 0, high: 2}", "sweep.temperature", "'low': 0", "low above 0"),
        ("sweep.temperature={low: 3, high: 2}", "sweep.temperature", "'low': 3", "low below high; found 3 and 2"),
        ("sweep.alpha={low: 0.5, high: 1.5}", "sweep.alpha", "'high': 1.5", "from 0 to 1"),
        ("sweep.alpha={low: 0.5}", "sweep.alpha.high", "missing", "add it"),
        ("sweep.soft_loss=[mse]", "sweep.soft_loss", "found ['mse'],", "kl, logit_mse"),
        ("sweep.recipe=plain", "sweep.recipe", "found 'plain',", "a recipe with teachers"),
        ("sweep.searcher=grid", "sweep", "'searcher': 'grid'", "temperature is a range; list its values"),
        ("sweep.student=[{type: gpt}]", "sweep.student.0.type", "found gpt,", "cross_encoder, bi_encoder"),
        ("sweep.share=0", "sweep.share", "found 0,", "greater than 0"),
        ("data.format=xml", "data.format", "found 'xml',", "'auto', or 'parquet', 'csv', 'jsonl', 'tfrecord' or 'imag"),
        ("scaling.workers=-1", "scaling.workers", "found -1,", "greater than or equal to 0, or a list"),
        ("scaling.lanes=0", "scaling.lanes", "found 0,", "greater than or equal to 1, or 'auto'"),
        ("student.training.jit_compile=no!", "student.training.jit_compile", "'no!',", "a valid boolean, or 'auto'"),
        ("student.model.type=[1]", "student.model.type", "found [1],", "cross_encoder"),
        ("student.initialise_from=zz", "student.initialise_from", "found zz,", "a teacher's name: a"),
        ("distill.recipes=[]", "distill.recipes", "found [],", "at least 1 item"),
        ("distill.recipes=[plain, plain]", "distill.recipes", "found ['plain',", "plain stands twice; drop one"),
        ("distill.stage1.pool=[]", "distill.stage1.pool", "found [],", "at least 1 item"),
    ],
)
def test_a_bad_value_is_named_with_its_key_and_what_was_expected(job, override, key, found, remedy):
    message = error_of(job, override)
    assert message.startswith(f"{job}: {key}: ")
    assert found in message
    assert remedy in message


@pytest.mark.parametrize(("section", "losses"), [("distill", "dist"), ("sweep", "[kl,dist]")])
def test_a_loss_over_the_whole_batch_is_not_accumulated(job, section, losses):
    message = error_of(job, f"{section}.soft_loss={losses}", "distill.stage1.accumulate=2")
    assert message.startswith(f"{job}: distill.stage1.accumulate: found 2, expected 1 with {section}.soft_loss dist")


def test_every_swept_student_must_fit_the_teacher_that_it_starts_from(job):
    students = "sweep.student=[{type: mlp, hidden: [7]}]"
    assert "student.initialise" in error_of(job, "student.initialise=first", students)


@pytest.mark.parametrize(
    ("override", "problem"),
    [
        ("distill.alpha", "expected key=value, for example --set distill.alpha=0.5"),
        ("=1", "expected key=value"),
        ("teachers.z.model.layers=1", "no entry named z; found a, b, c"),
        ("teachers.a=1", "a names a list entry; name a key inside it"),
        ("name.first=1", "name is a value, not a section"),
        ("distill.alpha=[1", "not valid YAML"),
    ],
)
def test_a_bad_override_is_quoted_with_the_remedy(job, override, problem):
    message = error_of(job, override)
    assert message.startswith(f"--set {override}: ")
    assert problem in message


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "found NoneType, expected a mapping of keys to values"),
        ("- 1\n", "found list, expected a mapping of keys to values"),
        ("a: [1\n", "not valid YAML"),
        ("teachers: [{name: a, model: {type: mlp}}]\n", "student: missing; add it"),
        (yaml.safe_dump({**SMALL, "teachers": SMALL["teachers"][:1] * 2}), "teachers: the name a stands"),
        (yaml.safe_dump({**SMALL, "teacher_defaults": [1]}), "teacher_defaults: found "),
        (yaml.safe_dump({**SMALL, "student": {"model": {"hidden": [3]}}}), "student.model.type: found None,"),
    ],
)
def test_a_bad_file_is_named_with_what_is_wrong_in_it(tmp_path, text, problem):
    path = tmp_path / "job.yaml"
    path.write_text(text)
    message = error_of(path)
    assert message.startswith(f"{path}: ")
    assert problem in message


def test_a_missing_file_names_the_packaged_configs(tmp_path):
    message = error_of(tmp_path / "none.yaml")
    assert message.startswith(f"{tmp_path}/none.yaml: No such file or directory")
    assert all(name in message for name in packaged_configs())


def test_a_folder_in_place_of_a_file(tmp_path):
    assert error_of(tmp_path).startswith(f"{tmp_path}: Is a directory")


def test_a_file_that_is_no_utf8(tmp_path):
    path = tmp_path / "latin.yaml"
    path.write_bytes("name: é".encode("latin-1"))
    assert error_of(path).startswith(f"{path}: ")


def test_custom_models_are_named_by_module_and_function():
    model = {"type": "my.models:tiny", "options": {"width": 3}}
    config = parse_config({**SMALL, "student": {"model": model}})
    assert config.student.model.options == {"width": 3}


def test_a_config_is_frozen():
    with pytest.raises(ValueError, match="frozen"):
        load_config().distill.alpha = 0.1


IMAGES = """
data: {source: images, columns: {features: image}}
teachers: [{name: a, model: {type: mlp}}]
student: {model: {type: mlp}}
"""


@pytest.fixture
def images(tmp_path):
    path = tmp_path / "images.yaml"
    path.write_text(IMAGES)
    return str(path)


@pytest.mark.parametrize(
    ("override", "problem"),
    [
        ("teachers.a.training.augment.token_dropout=0.1",
         "teachers.a.training.augment.token_dropout: found 0.1, but the data are features, and it changes texts; "
         "remove it"),
        ("distill.stage1.augment.mixup=0.2",
         "distill.stage1.augment.mixup: found 0.2, but the teachers' logits are those of unmixed rows; remove it"),
        ("distill.stage2.augment.mixup=0.2",
         "distill.stage2.augment.mixup: found 0.2, but the teachers' logits are those of unmixed rows; remove it"),
        ("student.training={batch_size: 8, augment: {mixup: 1}}",
         "student.training.augment.mixup: found 1.0, but each of the 8 data.streams gives 1 row to a batch, and rows "
         "mix within a stream; raise batch_size or lower data.streams"),
        ("student.training.augment.shft=1", "student.training.augment.shft: unknown key; did you mean shift?"),
        ("student.training.augment.rotate=-1",
         "student.training.augment.rotate: found -1, expected: input should be greater than or equal to 0"),
    ],
)  # fmt: skip
def test_changes_that_rows_or_stages_cannot_have_are_refused(images, override, problem):
    assert error_of(images, override) == f"{images}: {problem}"


def test_images_do_not_move_where_the_data_are_texts(job):
    problem = "found 2, but the data are texts, and it changes features; remove it"
    assert error_of(job, "distill.stage1.augment.shift=2") == f"{job}: distill.stage1.augment.shift: {problem}"
    assert load_config(job, ["distill.stage1.augment.span_swap=0.5"]).distill.stage1.augment.active() == ["span_swap"]


def test_teachers_and_the_plain_student_may_mix_rows(images):
    config = load_config(images, ["teacher_defaults.training.augment.mixup=0.2", "student.training.augment.mixup=1"])
    assert [training.augment.mixup for training in config.trainings().values()] == [0.2, 1.0, 0.0, 0.0]


EXTERNAL = {"source": "rows.parquet", "columns": {"text": ["query"], "external": {"web": "p"}}}


def test_external_teachers_are_named_by_column_or_by_column_and_kind():
    columns = {"external": {"web": "p", "judge": {"column": "z", "kind": "logits"}}}
    config = parse_config({**SMALL, "data": {**EXTERNAL, "columns": columns}})
    assert [(c.column, c.kind) for c in config.data.columns.external.values()] == [
        ("p", "probabilities"), ("z", "logits"),
    ]  # fmt: skip
    assert config.teacher_names == [*(teacher.name for teacher in config.teachers), "web", "judge"]
    again = parse_config(config.model_dump(mode="json"))
    assert again == config


def test_an_external_teacher_may_be_the_only_one():
    values = {key: value for key, value in SMALL.items() if key != "teachers"}
    assert parse_config({**values, "data": EXTERNAL}).teacher_names == ["web"]
    with pytest.raises(InputError, match=r"teachers: found \[\], expected at least 1, here or under"):
        parse_config(values)


def test_trained_teachers_alone_may_teach_what_an_external_one_taught_them():
    values = {**SMALL, "data": {**EXTERNAL, "repaired": 5}, "distill": {"external": False}}
    config = parse_config(values)
    assert config.teacher_names == [teacher.name for teacher in config.teachers]
    assert config.external == ["web"]
    with pytest.raises(InputError, match="found false without a trained teacher, expected one"):
        parse_config({**values, "teachers": []})


def test_a_ready_model_is_a_teacher_only():
    ready = {"type": "saved", "path": "m.keras", "outputs": "logits"}
    config = parse_config({**SMALL, "teachers": [{"name": "r", "model": ready}]})
    assert config.teachers[0].model.path == "m.keras"
    with pytest.raises(InputError, match=r"student.model.type: found saved, but only a teacher can be ready"):
        parse_config({**SMALL, "student": {"model": ready}})
    with pytest.raises(InputError, match=r"distill.hidden.loss: found mse with the saved teacher r, whose hidden"):
        parse_config({**SMALL, "teachers": [{"name": "r", "model": ready}], "distill": {"hidden": {"loss": "mse"}}})
    with pytest.raises(InputError, match=r"teachers.0.model.outputs: missing; add it"):
        parse_config({**SMALL, "teachers": [{"name": "r", "model": {"type": "saved", "path": "m.keras"}}]})


def _pretrained(**changes):
    return {"type": "pretrained", "preset": "folder", **changes}


def test_layers_of_a_pretrained_student():
    for layers in (None, 3, "every_other", [0, 5]):
        config = parse_config({**SMALL, "student": {"model": _pretrained(layers=layers)}})
        again = parse_config(config.model_dump(mode="json"))
        assert again.student.model.layers == (tuple(layers) if isinstance(layers, list) else layers)
    for layers in (0, -1, [], [0, -1], "some", 2.0, True):
        with pytest.raises(
            InputError, match=r"student.model.layers: found .*expected: a number of layers, every_other"
        ):
            parse_config({**SMALL, "student": {"model": _pretrained(layers=layers)}})


@pytest.mark.parametrize(
    ("student", "teacher", "problem"),
    [
        ({"layers": 3}, {}, None),
        ({"layers": [0, 2]}, {"layers": 4}, None),
        ({}, {}, "found every_other for a student with layers None, expected their number"),
        ({"layers": 3}, {"layers": 4}, "reads block 4 of teacher t, which has 4"),
        ({"layers": 1}, {"preset": "other"}, "expected the student's type pretrained, preset folder; change either"),
    ],
)
def test_pretrained_students_start_from_a_teachers_blocks(student, teacher, problem):
    values = {
        **SMALL,
        "teachers": [{"name": "t", "model": _pretrained(**teacher)}],
        "student": {"model": _pretrained(**student), "initialise": "every_other"},
    }
    if problem is None:
        assert parse_config(values).student.initialise == "every_other"
        return
    with pytest.raises(InputError) as raised:
        parse_config(values)
    assert problem in str(raised.value)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        ({"source": "docsqa"}, "data.columns.external: found web, expected none with data.source docsqa"),
        ({"repaired": 5}, "data.repaired: found 5, expected 0 with data.columns.external"),
        ({"columns": {"external": {"a": "p"}}}, "teachers: the name a stands twice"),
        (
            {"columns": {"external": {"web": {"column": "p", "kid": "logits"}}}},
            "external.web.kid: unknown key; did you",
        ),
        ({"columns": {"external": {"web": {"column": "p", "kind": "odds"}}}}, "external.web.kind: found 'odds'"),
        ({"columns": {"external": {"web": 3}}}, "data.columns.external.web: found 3"),
    ],
)
def test_external_teachers_that_can_not_be(data, problem):
    with pytest.raises(InputError) as raised:
        parse_config({**SMALL, "data": {**EXTERNAL, **data}})
    assert problem in str(raised.value)


def test_what_parameter_servers_workers_do_is_not_profiled(job: str) -> None:
    settings = ("scaling.strategy=parameter_server", "scaling.workers=2", "scaling.profile=true")
    assert "profile doesn't see what workers of strategy parameter_server do; leave it out" in error_of(job, *settings)
