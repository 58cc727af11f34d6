"""raykd distils several large Keras teachers into small students, on a laptop or on a Ray cluster.

Importing raykd loads neither TensorFlow nor Ray; `run` does, when it is called.
"""

from raykd.config import Config
from raykd.errors import InputError
from raykd.loading import load_config, parse_config
from raykd.pipeline import run

__all__ = ["Config", "InputError", "load_config", "parse_config", "run"]
