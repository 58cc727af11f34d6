"""Freed memory is kept for the next buffers, though the feed's iterator has let TensorFlow set it otherwise."""

import platform
import subprocess
import sys

import pytest

_FAULTS = """
import ctypes, resource
import tensorflow as tf
from raykd.train.memory import keep_freed_memory

libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_size_t], [ctypes.c_void_p]

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        buffer = libc.malloc(20 << 20)
        ctypes.memset(buffer, 1, 20 << 20)
        libc.free(buffer)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

rows = tf.data.Dataset.from_generator(lambda: iter([1, 2]), output_signature=tf.TensorSpec((), tf.int32))
assert len(list(rows)) == 2
print("faults:", faults())
keep_freed_memory()
faults()
print("faults:", faults())
assert len(list(rows)) == 2
print("faults:", faults())
"""


@pytest.mark.slow
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc is told what to keep")
def test_a_buffer_of_freed_memory_costs_no_new_pages() -> None:
    done = subprocess.run([sys.executable, "-c", _FAULTS], capture_output=True, text=True, check=True)
    fresh, kept, later = (int(line.split()[1]) for line in done.stdout.splitlines() if line.startswith("faults:"))
    assert fresh > 10 * 20 * 2**20 / 2**16  # Even if a page were 64 kB.
    assert max(kept, later) < fresh / 10
