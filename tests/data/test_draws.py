import numpy as np

from raykd.data.draws import splitmix


def test_outputs_are_those_of_the_published_generator() -> None:
    # SplitMix64 with seed 0, as java.util.SplittableRandom and the reference C code give them.
    expected = [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]
    assert splitmix(np.uint64(0), np.arange(3, dtype=np.uint64)).tolist() == expected


def test_seed_moves_along_with_the_counter() -> None:
    # The generator's state after n outputs is seed + n * gamma.
    later = np.uint64((5 + 2 * 0x9E3779B97F4A7C15) % 2**64)
    counter = np.arange(10, dtype=np.uint64)
    np.testing.assert_array_equal(splitmix(later, counter), splitmix(np.uint64(5), counter + np.uint64(2)))
