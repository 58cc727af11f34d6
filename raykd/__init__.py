"""raykd distils several large Keras teachers into small students, on a laptop or on a Ray cluster.

Importing raykd loads neither TensorFlow nor Ray; `run` does, when it is called. The pieces, to use one by one with
Keras models of your own, are in `raykd.api`.
"""

from raykd.api import run
from raykd.config import Config
from raykd.errors import InputError
from raykd.loading import load_config, parse_config

__all__ = ["Config", "InputError", "load_config", "parse_config", "run"]
