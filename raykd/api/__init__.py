"""raykd without YAML: the whole job (`run`), and its pieces one by one, with Keras models of a user's own.

A notebook's story, with arrays in place of real data:

>>> import keras, numpy as np, tempfile
>>> from raykd.api import Ensemble, LogitsStore, Student, Teacher, distill
>>> rng = np.random.default_rng(0)
>>> pixels = rng.normal(size=(400, 4)).astype("float32")
>>> labels = (pixels[:, 0] > pixels[:, 1]).astype("int32")

A teacher is a trained Keras model that gives logits (or probabilities, if told so):

>>> keras.utils.set_random_seed(0)
>>> large = keras.Sequential([keras.Input((4,)), keras.layers.Dense(32, "relu"), keras.layers.Dense(2)])
>>> large.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
>>> history = large.fit(pixels, labels, epochs=8, verbose=0)
>>> teacher = Teacher("large", large)

A store holds examples and what teachers say of them; each teacher scores once, whatever learns from it:

>>> folder = tempfile.mkdtemp()
>>> store = LogitsStore(f"{folder}/store", {"pixels": pixels, "label": labels}, columns={"features": "pixels"})
>>> store.add(teacher)
>>> store.teachers
('large',)
>>> store.rows("train"), store.rows("validation"), store.rows("test")
(280, 40, 80)

A student is a Keras model without its last layer (compiling with XLA would take longer than this small training):

>>> small = keras.Sequential([keras.Input((4,)), keras.layers.Dense(4, "relu")])
>>> small_steps = {"batch_size": 16, "learning_rate": 5e-3, "jit_compile": False}
>>> stages = {"stage1": {"epochs": 2, **small_steps}, "stage2": {"epochs": 4, **small_steps}}
>>> student = distill(Student("small", small), store, recipe="many_on_one", temperature=2.0, **stages)
>>> student.predict(pixels[:3]).shape
(3, 2)

Any of them predict together:

>>> test = store.examples("test")
>>> right = Ensemble([teacher, student]).predict(test["inputs"]).argmax(axis=1) == test["label"]
>>> bool(right.mean() > 0.8)
True
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from raykd.api.job import run

if TYPE_CHECKING:
    from raykd.api.distilling import distill
    from raykd.api.models import Ensemble, Student, Teacher
    from raykd.api.store import LogitsStore

__all__ = ["Ensemble", "LogitsStore", "Student", "Teacher", "distill", "run"]

# They load TensorFlow and Ray: when they are asked for.
_PLACES = {
    "Ensemble": "raykd.api.models",
    "LogitsStore": "raykd.api.store",
    "Student": "raykd.api.models",
    "Teacher": "raykd.api.models",
    "distill": "raykd.api.distilling",
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module raykd.api has no attribute {name}; it has {', '.join(__all__)}")
    return getattr(import_module(_PLACES[name]), name)
