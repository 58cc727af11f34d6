"""Silences Ray's and TensorFlow's own messages in a process that raykd starts."""

import logging
import os


def quiet() -> None:
    """Keep the libraries' notes and progress bars to errors. Call before TensorFlow is imported."""
    import ray.data

    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    for name in ("ray.data", "ray.train"):
        logging.getLogger(name).setLevel(logging.ERROR)
    ray.data.DataContext.get_current().enable_progress_bars = False
