"""raykd distils several large Keras teachers into small students, on a laptop or on a Ray cluster.

Importing raykd loads neither TensorFlow nor Ray; `run` does, when it is called. The pieces, to use one by one with
Keras models of your own, are in `raykd.api`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from raykd.errors import InputError

if TYPE_CHECKING:
    from raykd.api import run
    from raykd.config import Config
    from raykd.loading import load_config, parse_config

__all__ = ["Config", "InputError", "load_config", "parse_config", "run"]

# They load Arrow and more: when they are asked for, so that `raykd --help` answers at once.
_PLACES = {
    "Config": "raykd.config",
    "load_config": "raykd.loading",
    "parse_config": "raykd.loading",
    "run": "raykd.api",
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module raykd has no attribute {name}; it has {', '.join(__all__)}")
    return getattr(import_module(_PLACES[name]), name)
