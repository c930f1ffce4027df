"""A recording of any length in bounded memory: the signal and its frames, block by block.

Block borders leave no trace: the samples and the DFT magnitudes are, bit for bit, those of :func:`dbn.audio.load_audio`
and :func:`dbn.audio.dft_magnitudes` on the whole file. Memory depends on the length of a block, not on the file.
"""
import math

import numpy as np

from dbn.audio.pooling import pool_blocks
from dbn.audio.reading import mono_blocks, require_length
from dbn.audio.spectra import FRAME_LENGTH, HIGHEST_RATE, HOP_LENGTH, SAMPLE_RATE, SPECTRUM_BLOCK, dft_magnitudes
from dbn.errors import require_integer

# Of the file's own samples read at once: a corpus's clip as a whole, 11 MB of 44,100 Hz stereo. A second or more at
# least holds a whole period of the resampling filter's phases at any pair of rates.
BLOCK_SECONDS = 32.0

# Whole groups of those that are transformed at once, so that the magnitudes are the same as in the whole signal. Their
# memory is used again for the next ones; a clip's whole spectrum would go back to the system and be asked for anew.
BLOCK_FRAMES = 4 * SPECTRUM_BLOCK


def stream_signal(path, sample_rate=SAMPLE_RATE, min_length=FRAME_LENGTH, seconds=BLOCK_SECONDS):
    """The signal that :func:`dbn.audio.load_audio` returns, in blocks.

    Parameters
    ----------
    path : str or path-like
    sample_rate : int
        Of the result, in Hz.
    min_length : int
        Fewest samples that the file must have at that rate.
    seconds : float
        Audio read at once.

    Yields
    ------
    ndarray of float32 [shape=(n,)]
        The next samples; their number varies.

    Raises
    ------
    AudioError
        With the messages of :func:`~dbn.audio.load_audio`; after the last block where only the end shows the fault.
    """
    require_integer("sample_rate", sample_rate, 1, HIGHEST_RATE)
    n = 0
    for block in _resampled(mono_blocks(path, seconds), sample_rate):
        n += len(block)
        yield block
    require_length(path, n, sample_rate, min_length)


def stream_magnitudes(path, sample_rate=SAMPLE_RATE, frame_length=FRAME_LENGTH, hop_length=HOP_LENGTH, window=None,
                      seconds=BLOCK_SECONDS, pooling=None):
    """The DFT magnitudes of a whole file (paper §4.1), in blocks of 512 frames, or of what about so many are pooled to.

    Parameters
    ----------
    path : str or path-like
    sample_rate, frame_length, hop_length, window
        As in :func:`dbn.audio.dft_magnitudes`; the rate in Hz, the lengths in samples.
    seconds : float
        Audio read at once.
    pooling : str or None
        As in :func:`dbn.audio.pooling.pool`.

    Yields
    ------
    ndarray of float32 [shape=(m, frame_length // 2 + 1)]
        The next m frames; fewer than 512 only at the end. Pooled ones are fewer, and as wide as
        :func:`dbn.audio.pooling.pooled_width` says.

    Raises
    ------
    AudioError
        See :func:`stream_signal`.
    """
    return pool_blocks(_magnitude_blocks(path, sample_rate, frame_length, hop_length, window, seconds), pooling)


def _magnitude_blocks(path, sample_rate, frame_length, hop_length, window, seconds):
    block_length = (BLOCK_FRAMES - 1) * hop_length + frame_length
    pending, skip = np.empty(0, dtype=np.float32), 0
    for block in stream_signal(path, sample_rate, frame_length, seconds):
        pending = np.concatenate([pending, block]) if len(pending) else block
        dropped = min(skip, len(pending))
        pending, skip = pending[dropped:], skip - dropped
        while len(pending) >= block_length:
            yield dft_magnitudes(pending[:block_length], frame_length, hop_length, window)
            skip = max(0, BLOCK_FRAMES * hop_length - len(pending))  # a hop longer than a frame may end after the block
            pending = pending[BLOCK_FRAMES * hop_length:]
    if len(pending) >= frame_length:
        yield dft_magnitudes(pending, frame_length, hop_length, window)


def _resampled(blocks, to_rate):
    """Blocks (signal, rate) converted to another rate as :func:`scipy.signal.resample_poly` converts the whole.

    Each output is a sum over the inputs within the filter's reach. What is converted is therefore a stretch with that
    much more on either side, and it starts at a multiple of the filter's period, so that the phases are the same.
    """
    pending, start, done, ready = np.empty(0, dtype=np.float32), 0, 0, 0
    up = down = reach = 1
    for signal, rate in blocks:
        if rate == to_rate:
            yield signal
            continue
        from scipy.signal import resample_poly  # half a second to import, not needed at the model's own rate
        divisor = math.gcd(rate, to_rate)
        up, down = to_rate // divisor, rate // divisor
        reach = 10 * max(up, down) // up + 1  # half the length of resample_poly's filter, in inputs
        pending = np.concatenate([pending, signal])
        ready = max(done, (start + len(pending) - 1 - reach) * up // down + 1)
        if ready > done:
            offset = start // down * up  # the first output that belongs to `pending`
            yield resample_poly(pending, up, down)[done - offset:ready - offset]
            done = ready
            keep = max(0, (done * down // up - reach) // down * down)
            pending, start = pending[keep - start:], keep
    if len(pending):
        yield resample_poly(pending, up, down)[done - start // down * up:]
