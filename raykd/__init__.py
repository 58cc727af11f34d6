"""raykd distils several large Keras teachers into small students, on a laptop or on a Ray cluster.

Importing raykd loads neither TensorFlow nor Ray. `run` loads Ray when it is called; the pieces of `raykd.api` load
both when they are first asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from raykd.config import Config
from raykd.errors import InputError
from raykd.loading import load_config, parse_config

if TYPE_CHECKING:
    from raykd.api.distilling import distill
    from raykd.api.job import run
    from raykd.api.models import Ensemble, Student, Teacher
    from raykd.api.store import LogitsStore

__all__ = [
    "Config",
    "Ensemble",
    "InputError",
    "LogitsStore",
    "Student",
    "Teacher",
    "distill",
    "load_config",
    "parse_config",
    "run",
]

_PLACES = {
    "Ensemble": "raykd.api.models",
    "LogitsStore": "raykd.api.store",
    "Student": "raykd.api.models",
    "Teacher": "raykd.api.models",
    "distill": "raykd.api.distilling",
    "run": "raykd.api.job",
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module raykd has no attribute {name}; it has {', '.join(__all__)}")
    return getattr(import_module(_PLACES[name]), name)
