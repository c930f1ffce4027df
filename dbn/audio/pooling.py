"""Frames put together over small windows before the network sees them, as the paper asks in §5.3.

``mean-4`` stands for the means of four frames, ``max-4`` for their maxima, ``meanvar-4`` for their means and, beside
them, their variances. ``stack-4`` leaves the four frames as they are, side by side in the order of time. The windows do
not overlap; the last one of a song holds the frames that are left. A stack is filled up with copies of the last frame:
zeros would be a silence that nobody has played, and without these frames the shortest songs would have none.
"""
import re

import numpy as np

from dbn.errors import DBNError

MOST, MOST_STACKED = 512, 64  # frames of a window: 12 s and 1.5 s of the paper's

_KIND = re.compile(r"(mean|max|meanvar|stack)-([1-9][0-9]{0,2})")


def pooled_frames(kind):
    """Frames of a window of this kind, 1 for None.

    Raises
    ------
    DBNError
        There is no such kind, or the window is not of 2 to 512 frames, 64 in a stack.
    """
    if kind is None:
        return 1
    parts = _KIND.fullmatch(kind) if isinstance(kind, str) else None
    n = int(parts[2]) if parts else 0
    if not 2 <= n <= (MOST_STACKED if parts and parts[1] == "stack" else MOST):
        raise DBNError(f"pooling {kind!r} is unknown; choose mean, max or meanvar and how many frames, from 2 to "
                       f"{MOST}, or stack and from 2 to {MOST_STACKED}: mean-4, for example")
    return n


def pooled_width(kind, n_features):
    """Values that a window's frames of `n_features` values become."""
    if _is_stack(kind):
        return pooled_frames(kind) * n_features
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
    float32 [ceil(n / n_pooled), d], or twice as wide for ``meanvar``, `n_pooled` times for ``stack``

    Raises
    ------
    DBNError
        See :func:`pooled_frames`.
    """
    n_pooled = pooled_frames(kind)
    if n_pooled == 1:
        return x
    if _is_stack(kind):
        copies = np.repeat(x[-1:], -len(x) % n_pooled, axis=0)
        return np.concatenate([x, copies]).reshape(-1, n_pooled * x.shape[1])
    starts = np.arange(0, len(x), n_pooled)
    if kind.startswith("max"):
        return np.maximum.reduceat(x, starts)
    counts = np.diff(np.append(starts, len(x))).astype(np.float32)[:, np.newaxis]
    means = np.add.reduceat(x, starts) / counts
    if kind.startswith("meanvar"):
        deviations = x - means.repeat(counts[:, 0].astype(int), axis=0)
        return np.hstack([means, np.add.reduceat(deviations * deviations, starts) / counts])
    return means


def pool_blocks(blocks, kind):
    """Put the frames of each window together, as :func:`pool` does of all of them, where they come in blocks.

    Parameters
    ----------
    blocks : iterable of float32 [m, d]
        A song's frames in order; the blocks may be of any length.
    kind : str or None
        See the module.

    Yields
    ------
    float32 [k, pooled_width(kind, d)]
        The windows that are complete, in order; the last block has the song's last window.

    Raises
    ------
    DBNError
        See :func:`pooled_frames`.
    """
    n_pooled, waiting = pooled_frames(kind), None
    for block in blocks:
        waiting = block if waiting is None or not len(waiting) else np.concatenate([waiting, block])
        n_whole = len(waiting) // n_pooled * n_pooled
        if n_whole:
            yield pool(waiting[:n_whole], kind)
        waiting = waiting[n_whole:]
    if waiting is not None and len(waiting):
        yield pool(waiting, kind)


def _is_stack(kind):
    return kind is not None and kind.startswith("stack")
