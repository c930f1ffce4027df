"""A recording of any length in bounded memory: the signal, its frames and its windows' statistics, block by block.

Block borders leave no trace: the samples and the DFT magnitudes are, bit for bit, those of :func:`dbn.audio.load_audio`
and :func:`dbn.audio.dft_magnitudes` on the whole file, and the windows those of :func:`dbn.aggregate.aggregate` to
float32 rounding. Memory depends on the length of a block and on the number of windows open at a time, not on the file.
"""
import math

import numpy as np

from dbn.aggregate import window_bounds
from dbn.audio import (FRAME_LENGTH, HOP_LENGTH, SAMPLE_RATE, SPECTRUM_BLOCK, dft_magnitudes, mono_blocks,
                       require_integer, require_length)

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
    require_integer("sample_rate", sample_rate, minimum=1)
    n = 0
    for block in _resampled(mono_blocks(path, seconds), sample_rate):
        n += len(block)
        yield block
    require_length(path, n, sample_rate, min_length)


def stream_magnitudes(path, sample_rate=SAMPLE_RATE, frame_length=FRAME_LENGTH, hop_length=HOP_LENGTH, window=None,
                      seconds=BLOCK_SECONDS):
    """The DFT magnitudes of a whole file (paper §4.1), in blocks of 512 frames.

    Parameters
    ----------
    path : str or path-like
    sample_rate, frame_length, hop_length, window
        As in :func:`dbn.audio.dft_magnitudes`; the rate in Hz, the lengths in samples.
    seconds : float
        Audio read at once.

    Yields
    ------
    ndarray of float32 [shape=(m, frame_length // 2 + 1)]
        The next m frames; fewer than 512 only at the end.

    Raises
    ------
    AudioError
        See :func:`stream_signal`.
    """
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


class WindowStatistics:
    """Mean and variance over windows (§5.1.2) of rows that come in blocks, as :func:`dbn.aggregate.aggregate` gives.

    Parameters
    ----------
    frame_rate, window, hop : float
        Frames a second, and seconds: see :func:`dbn.aggregate.window_bounds`.

    Attributes
    ----------
    length, step : int
        Frames of a window, and from one window's start to the next.

    Raises
    ------
    DBNError
        A window or hop shorter than one frame.
    """

    def __init__(self, frame_rate, window=5.0, hop=2.5):
        window_bounds(1, frame_rate, window, hop)  # refuses what is no length
        (start, stop), (second, _) = window_bounds(math.ceil((window + hop) * frame_rate) + 2,
                                                   frame_rate, window, hop)[:2]
        self.length, self.step = stop - start, second - start
        self.n_rows = 0
        self._open = []  # (first row, _Moments) of the windows that lack rows, in order
        self._next_start = 0

    def add(self, rows):
        """Take the next rows, float32 [m, d]; returns the statistics float32 [n, 2 d] of the windows they complete."""
        stop = self.n_rows + len(rows)
        while self._next_start < stop:
            self._open.append((self._next_start, _Moments(rows.shape[1])))
            self._next_start += self.step
        for start, moments in self._open:
            moments.add(rows[max(0, start - self.n_rows):start + self.length - self.n_rows])
        self.n_rows = stop
        complete = [moments.statistics() for _, moments in self._open if moments.n == self.length]
        self._open = [(start, moments) for start, moments in self._open if moments.n < self.length]
        return np.array(complete, dtype=np.float32).reshape(-1, 2 * rows.shape[1])

    def finish(self):
        """Statistics float32 [1, 2 d] of all rows where they are fewer than one window; else None."""
        if not 0 < self.n_rows < self.length:
            return None
        return self._open[0][1].statistics()[None]


class _Moments:
    """Mean and population variance of rows in blocks, in float64: each block's own, merged (Chan et al., 1979)."""

    def __init__(self, n_columns):
        self.n = 0
        self.mean = np.zeros(n_columns)
        self.deviation = np.zeros(n_columns)  # sum of squares about the mean

    def add(self, rows):
        if len(rows):
            n, mean = len(rows), rows.mean(axis=0, dtype=np.float64)
            delta, total = mean - self.mean, self.n + n
            self.deviation += np.square(rows - mean).sum(axis=0) + delta ** 2 * (self.n * n / total)
            self.mean += delta * (n / total)
            self.n = total

    def statistics(self):
        return np.concatenate([self.mean, self.deviation / self.n]).astype(np.float32)
