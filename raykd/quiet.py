"""Silences Ray's and TensorFlow's own messages in a process that raykd starts."""

import contextlib
import logging
import os
import sys
import warnings
from collections.abc import Iterator

_STDOUT, _STDERR = 1, 2  # file descriptors


def quiet() -> None:
    """Keep the libraries' notes and progress bars to errors. Call before TensorFlow is imported."""
    import ray.data

    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    for name in ("ray.data", "ray.train"):
        logging.getLogger(name).setLevel(logging.ERROR)
    ray.data.DataContext.get_current().enable_progress_bars = False


@contextlib.contextmanager
def silenced(*, output: bool = False) -> Iterator[None]:
    """Nothing goes to the error stream in the `with` block: libraries in C++ write past Python's streams.

    Exceptions pass. For work in this process, where the user's own messages come before or after.
    Args: output: nor to the output stream.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    kept = {stream: os.dup(stream) for stream in ((_STDOUT, _STDERR) if output else (_STDERR,))}
    with open(os.devnull, "w") as nowhere:
        for stream in kept:
            os.dup2(nowhere.fileno(), stream)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for stream, copy in kept.items():
            os.dup2(copy, stream)
            os.close(copy)
