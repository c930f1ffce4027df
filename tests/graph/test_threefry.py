"""Threefry-2x32-20 against the known answers that its authors publish with Random123, by NumPy and by Numba."""
import numpy as np
import pytest
from numba import njit

from dbn.graph.threefry import threefry2x32, uniform32, uniform64

# key, counter and the two words of the block
KNOWN = [((0, 0), (0, 0), (0x6B200159, 0x99BA4EFE)),
         ((0xFFFFFFFF, 0xFFFFFFFF), (0xFFFFFFFF, 0xFFFFFFFF), (0x1CB996FC, 0xBB002BE7)),
         ((0x13198A2E, 0x03707344), (0x243F6A88, 0x85A308D3), (0xC4923A9C, 0x483DF7A0))]


@njit
def one_block(key0, key1, counter0, counter1):
    return threefry2x32(key0, key1, counter0, counter1)


@njit
def one_number(word):
    return uniform32(word)


@njit
def two_words(high, low):
    return uniform64(high, low)


@pytest.mark.parametrize("key, counter, block", KNOWN)
def test_known_answers(key, counter, block):
    arrays = [np.array([word, word], dtype=np.uint32) for word in (*key, *counter)]
    for found, expected in zip(threefry2x32(*arrays), block, strict=True):
        assert found.dtype == np.uint32 and found.tolist() == [expected] * 2
    assert one_block(*(np.uint32(word) for word in (*key, *counter))) == block


def test_numba_makes_the_same_numbers():
    words = np.random.default_rng(0).integers(2**32, size=(4, 200), dtype=np.uint32)
    first, second = threefry2x32(*words)
    assert [one_block(*each) for each in words.T] == list(zip(first, second))
    assert [one_number(word) for word in first] == uniform32(first).tolist()


def test_numbers_lie_in_the_unit_interval():
    """The upper 24 bits as a fraction: 0 is among them, 1 is not."""
    words = np.array([0, 255, 256, 2**31, 2**32 - 256, 2**32 - 1], dtype=np.uint32)
    numbers = uniform32(words)
    assert numbers.dtype == np.float32
    np.testing.assert_array_equal(numbers, [0, 0, 2.0**-24, 0.5, 1 - 2.0**-24, 1 - 2.0**-24])


def test_double_precision_takes_53_bits_of_two_words():
    high, low = (np.array(words, dtype=np.uint32) for words in (
        [0, 31, 32, 2**31, 2**32 - 1], [63, 64, 0, 0, 2**32 - 1]))
    expected = [0, 2.0**-53, 2.0**-27, 0.5, 1 - 2.0**-53]
    np.testing.assert_array_equal(uniform64(high, low), expected)
    assert [two_words(*pair) for pair in zip(high, low)] == expected
