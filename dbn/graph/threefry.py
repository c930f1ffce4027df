"""The counter-based random generator Threefry-2x32 with 20 rounds (Salmon et al., "Parallel random numbers: as easy as
1, 2, 3", SC 2011): a block cipher whose n-th block is the n-th pair of random words.

A number depends on the key and the counter alone, whatever was drawn before, so that a processor's vector unit makes
eight at a time. The functions take NumPy arrays of uint32, and scalars where Numba compiles them; Numba would widen
their sums: hence all the casts.
"""
import numpy as np
from numba.extending import register_jitable


@register_jitable
def threefry2x32(key0, key1, counter0, counter1):
    """Encrypt a counter by a key: two words of uint32 each, and two words of uint32 in return."""
    key2 = np.uint32(key0 ^ key1 ^ np.uint32(0x1BD11BDA))
    x, y = np.uint32(counter0 + key0), np.uint32(counter1 + key1)
    x, y = _four_rounds(x, y, 13, 15, 26, 6)
    x, y = np.uint32(x + key1), np.uint32(y + key2 + np.uint32(1))
    x, y = _four_rounds(x, y, 17, 29, 16, 24)
    x, y = np.uint32(x + key2), np.uint32(y + key0 + np.uint32(2))
    x, y = _four_rounds(x, y, 13, 15, 26, 6)
    x, y = np.uint32(x + key0), np.uint32(y + key1 + np.uint32(3))
    x, y = _four_rounds(x, y, 17, 29, 16, 24)
    x, y = np.uint32(x + key1), np.uint32(y + key2 + np.uint32(4))
    x, y = _four_rounds(x, y, 13, 15, 26, 6)
    return np.uint32(x + key2), np.uint32(y + key0 + np.uint32(5))


@register_jitable
def _four_rounds(x, y, first, second, third, fourth):
    x, y = _round(x, y, first)
    x, y = _round(x, y, second)
    x, y = _round(x, y, third)
    return _round(x, y, fourth)


@register_jitable
def _round(x, y, bits):
    """Add, rotate to the left, exclusive or."""
    x = np.uint32(x + y)
    rotated = np.uint32(np.uint32(y << np.uint32(bits)) | np.uint32(y >> np.uint32(32 - bits)))
    return x, np.uint32(rotated ^ x)


@register_jitable
def uniform32(word):
    """A number in [0, 1) from the upper 24 bits of a word, which is all that single precision holds; float32."""
    return np.float32(np.int32(word >> np.uint32(8))) * np.float32(2.0 ** -24)


@register_jitable
def uniform64(word1, word2):
    """A number in [0, 1) of the 53 bits that double precision holds, from two words; float64."""
    high, low = np.int64(word1 >> np.uint32(5)), np.int64(word2 >> np.uint32(6))
    return np.float64(high * np.int64(2**26) + low) * 2.0 ** -53
