"""Makes a process ready to compute: quiet, TensorFlow loaded, and with its share of the cores."""

import gc
import sys

from raykd.quiet import quiet

_ADAPTED = ("matplotlib", "sklearn")  # Keras loads both, if they are there, for adapters and plots of its own.


def prepare(threads: int, *, verbose: bool = False) -> None:
    """Load TensorFlow, to compute with so many threads and the accelerators that Ray gave this process.

    Call it once, before anything that imports it.
    For processes that raykd starts alone: in them Keras's scikit-learn adapters and galleries don't work.
    Args: verbose: let libraries' messages through.
    """
    if not verbose:
        quiet()
    _load_tensorflow()
    from raykd.train.strategy import use_own_devices, use_threads

    use_own_devices()
    use_threads(threads)


def _load_tensorflow() -> None:
    """Import it without what takes a third of the time: libraries that Keras adapts, and garbage collection."""
    if "tensorflow" in sys.modules:
        return
    hidden = [name for name in _ADAPTED if name not in sys.modules]
    collects = gc.isenabled()
    gc.disable()  # It would search a million new objects, again and again, none of which goes.
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]  # None: not to be found
    try:
        import tensorflow  # noqa: F401
    finally:
        for name in hidden:
            del sys.modules[name]
        if collects:
            gc.enable()
