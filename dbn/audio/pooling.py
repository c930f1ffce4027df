"""Frames put together over small windows before the network sees them, as the paper asks in §5.3.

``mean-4`` stands for the means of four frames, ``max-4`` for their maxima, ``meanvar-4`` for their means and, beside
them, their variances. The windows do not overlap; the last one of a song holds the frames that are left.
"""
import re

import numpy as np

from dbn.errors import DBNError

MOST = 512  # frames of a window: a block of dbn.audio.streaming holds a whole number of windows

_KIND = re.compile(r"(mean|max|meanvar)-([1-9][0-9]{0,3})")


def pooled_frames(kind):
    """Frames of a window of this kind, 1 for None.

    Raises
    ------
    DBNError
        There is no such kind, or the window is not of 2, 4, 8, ... up to 512 frames.
    """
    if kind is None:
        return 1
    parts = _KIND.fullmatch(kind) if isinstance(kind, str) else None
    n = int(parts[2]) if parts else 0
    if n not in {2 ** power for power in range(1, MOST.bit_length())}:
        raise DBNError(f"pooling {kind!r} is unknown; choose mean, max or meanvar and how many frames, a power of two "
                       f"from 2 to {MOST}: mean-4, for example")
    return n


def pooled_width(kind, n_features):
    """Values that a window's frames of `n_features` values become."""
    return 2 * n_features if kind is not None and kind.startswith("meanvar") else n_features


def frame_rate(settings):
    """Rows a second of frames of these settings, pooled ones if they are pooled; float, in Hz."""
    return settings["sample_rate"] / (settings["hop_length"] * pooled_frames(settings.get("pooling")))


def pool(x, kind):
    """Put the frames of each window together.

    Parameters
    ----------
    x : float32 [n, d]
    kind : str or None
        See the module; None leaves the frames as they are.

    Returns
    -------
    float32 [ceil(n / n_pooled), d], or twice as wide for ``meanvar``

    Raises
    ------
    DBNError
        See :func:`pooled_frames`.
    """
    n_pooled = pooled_frames(kind)
    if n_pooled == 1:
        return x
    starts = np.arange(0, len(x), n_pooled)
    if kind.startswith("max"):
        return np.maximum.reduceat(x, starts)
    counts = np.diff(np.append(starts, len(x))).astype(np.float32)[:, np.newaxis]
    means = np.add.reduceat(x, starts) / counts
    if kind.startswith("meanvar"):
        deviations = x - means.repeat(counts[:, 0].astype(int), axis=0)
        return np.hstack([means, np.add.reduceat(deviations * deviations, starts) / counts])
    return means
