"""A process that is made ready has TensorFlow, and no more of the libraries that Keras would load than it uses."""

import subprocess
import sys

import pytest

READY = """
import gc, sys
from raykd.process import prepare

prepare(1)
import keras
import tensorflow as tf

assert tf.config.threading.get_intra_op_parallelism_threads() == 1
print(sorted({"matplotlib", "sklearn"} & set(sys.modules)), gc.isenabled())

from sklearn.metrics import accuracy_score
import matplotlib.pyplot

print(accuracy_score([0, 1], [0, 1]), keras.Sequential([keras.layers.Dense(1)])(tf.zeros((2, 3))).shape)
"""


@pytest.mark.slow
def test_libraries_that_keras_adapts_come_when_they_are_used() -> None:
    done = subprocess.run([sys.executable, "-c", READY], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["[] True", "1.0 (2, 1)"]
