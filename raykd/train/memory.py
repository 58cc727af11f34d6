"""How this process gets its memory from the system.

A step's large buffers (activations, gradients, messages to other workers) are freed and asked for again every few
milliseconds. glibc can keep freed ones for the next; otherwise each comes as new pages, which the system has to make
and clear, a page at a time.
"""

import ctypes
import platform

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # mallopt(3)
_KEPT = 1 << 30  # bytes of freed memory, at most, at the end of a heap
_FROM_HEAP = 32 << 20  # bytes: the most that glibc allows; larger buffers always are new pages


def keep_freed_memory() -> None:
    """Keep what is freed for later buffers, in this process and from now on.

    Call it once the feed's iterator has been made: with a process's first one over a Python generator, TensorFlow sets
    glibc's mmap threshold to 128 kB, after which every larger buffer is new pages. It does so once. Elsewhere than on
    glibc nothing is changed.
    """
    if platform.libc_ver()[0] != "glibc":
        return
    libc = ctypes.CDLL(None)
    libc.mallopt(_MMAP_THRESHOLD, _FROM_HEAP)
    libc.mallopt(_TRIM_THRESHOLD, _KEPT)
