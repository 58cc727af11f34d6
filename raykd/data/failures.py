"""Bad input that a Ray Data task finds, as the one line that it is anywhere else."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import ray.data
from ray.exceptions import RayTaskError

from raykd.errors import InputError


@contextmanager
def one_line_errors(context: ray.data.DataContext | None = None) -> Iterator[None]:
    """While it lasts, an `InputError` of a task of a Ray Dataset is raised here as itself.

    Ray Data wraps what a task raises, logs it with its trace and adds lines on retries.
    Args: context: of the Dataset; None: of those that are made meanwhile.
    """
    context, logger = context or ray.data.DataContext.get_current(), logging.getLogger("ray.data")
    usual, level = context.raise_original_map_exception, logger.level
    context.raise_original_map_exception = True
    logger.setLevel(logging.CRITICAL)  # The exception says the same.
    try:
        yield
    except RayTaskError as error:
        if isinstance(error.cause, InputError):
            raise InputError(str(error.cause).splitlines()[0]) from None
        raise
    finally:
        context.raise_original_map_exception = usual
        logger.setLevel(level)
