"""Statistics of frame features over windows of a few seconds: the paper's mean and variance (§5.1.2), and others.

Window and hop are given in seconds and rounded down to whole frames, so every window of a clip holds the same number of
frames and no window reaches past the last one. At 22,050 / 512 = 43.07 frames a second, 5 s are 215 frames and 2.5 s
are 107; a 30 s clip (1,290 or 1,291 frames) has 1 + (1290 - 215) // 107 = 11 windows.

Windows of further lengths may stand beside each of these, around the same centre, as in Hamel, Lemieux, Bengio and Eck,
"Temporal pooling and multiscale learning for automatic annotation and ranking of music audio" (ISMIR 2011), who also
took maxima and minima. They end where the clip does, so that there are as many of every length.
"""
import math

import numpy as np

from dbn.errors import DBNError

MOST_OPEN_WINDOWS = 10_000  # at one time, each with a mean and a deviation of every feature

# of a window's rows [n, d], in float64 where sums are taken; the variance is the population's, divided by n
STATISTICS = {"mean": lambda rows: rows.mean(axis=0, dtype=np.float64),
              "variance": lambda rows: rows.var(axis=0, dtype=np.float64),
              "maximum": lambda rows: rows.max(axis=0), "minimum": lambda rows: rows.min(axis=0)}


def window_bounds(n_frames, frame_rate, window=5.0, hop=2.5):
    """First frame of each window, and the one after its last.

    Parameters
    ----------
    n_frames : int
        Frames of the clip.
    frame_rate : float
        Frames a second: sample rate / hop length of the frames.
    window, hop : float
        Length of a window, and from one window's start to the next, in seconds.

    Returns
    -------
    list of (start, stop)
        1 + (n_frames - w) // h windows of w = ⌊window · frame_rate⌋ frames, h = ⌊hop · frame_rate⌋ apart; one window
        over all there is where the clip is shorter than w.

    Raises
    ------
    DBNError
        A clip without frames, or a window or hop shorter than one frame.
    """
    if n_frames < 1:
        raise DBNError("a clip without frames cannot be aggregated; leave it out")
    if not 0 < frame_rate < math.inf:
        raise DBNError(f"frame_rate is {frame_rate}; it must be a positive number of frames a second")
    length = _whole_frames("window", window, frame_rate)
    step = _whole_frames("hop", hop, frame_rate)
    if n_frames <= length:
        return [(0, n_frames)]
    return [(start, start + length) for start in range(0, n_frames - length + 1, step)]


def concentric_bounds(bounds, n_frames, frame_rate, window):
    """Windows of another length around the same centres.

    Parameters
    ----------
    bounds : list of (start, stop)
        See :func:`window_bounds`.
    n_frames : int
        Frames of the clip.
    frame_rate : float
        Frames a second.
    window : float
        Their length in seconds.

    Returns
    -------
    list of (start, stop)
        As many windows, each of w = ⌊window · frame_rate⌋ frames, fewer where it would reach past the clip's ends. Its
        centre is that of the other one, or half a frame before where only one of them has an odd number of frames.

    Raises
    ------
    DBNError
        A window shorter than one frame.
    """
    length = _whole_frames("window", window, frame_rate)
    firsts = [(start + stop - length) // 2 for start, stop in bounds]
    return [(max(0, first), min(n_frames, first + length)) for first in firsts]


def require_statistics(names):
    """Raise a :class:`DBNError` unless these are names of :data:`STATISTICS`, at least one."""
    unknown = [name for name in names if name not in STATISTICS]
    if unknown or not len(names):
        raise DBNError(f"window statistics {', '.join(map(str, unknown)) or 'are none'}: choose one or more of "
                       f"{', '.join(STATISTICS)}")


def aggregate(features, frame_rate, window=5.0, hop=2.5, statistics=("mean", "variance"), scales=()):
    """Statistics of every feature over each window (§5.1.2).

    Parameters
    ----------
    features : float array, [n_frames, d]
        One clip's features, in the order of time.
    frame_rate, window, hop : float
        Frames a second, and seconds: see :func:`window_bounds`.
    statistics : sequence of str
        Of :data:`STATISTICS`.
    scales : sequence of float
        Lengths in seconds of further windows around the same centres, see :func:`concentric_bounds`.

    Returns
    -------
    float32, [n_windows, (1 + len(scales)) * len(statistics) * d]
        The d means, then the d variances (population: divided by the number of frames), or the statistics that were
        asked for in their order; beside them those of each further length, in the same way. Computed in float64 from
        deviations, so that a large offset costs no accuracy.

    Raises
    ------
    DBNError
        No frames, NaN or infinite features, a window or hop shorter than one frame, or an unknown statistic.
    """
    require_statistics(statistics)
    features = np.asarray(features)
    if features.ndim != 2:
        raise DBNError(f"features must be [n_frames, d], not shape {features.shape}")
    bounds = window_bounds(len(features), frame_rate, window, hop)
    bad = np.argwhere(~np.isfinite(features))
    if bad.size:
        raise DBNError(f"feature {bad[0, 1]} of frame {bad[0, 0]} is {features[tuple(bad[0])]}; only finite features "
                       "can be aggregated")
    of_lengths = [bounds, *(concentric_bounds(bounds, len(features), frame_rate, scale) for scale in scales)]
    found = np.empty((len(bounds), len(of_lengths), len(statistics), features.shape[1]), dtype=np.float32)
    for length, of_length in enumerate(of_lengths):
        for row, (start, stop) in enumerate(of_length):
            for column, name in enumerate(statistics):
                found[row, length, column] = STATISTICS[name](features[start:stop])
    return found.reshape(len(bounds), -1)


class WindowStatistics:
    """Mean and variance over windows (§5.1.2) of rows that come in blocks, as :func:`aggregate` gives.

    Parameters
    ----------
    frame_rate, window, hop : float
        Frames a second, and seconds: see :func:`window_bounds`.

    Attributes
    ----------
    length, step : int
        Frames of a window, and from one window's start to the next.

    Raises
    ------
    DBNError
        A window or hop shorter than one frame, or more windows open at once than memory is for.
    """

    def __init__(self, frame_rate, window=5.0, hop=2.5):
        window_bounds(1, frame_rate, window, hop)  # refuses what is no length
        (start, stop), (second, _) = window_bounds(math.ceil((window + hop) * frame_rate) + 2,
                                                   frame_rate, window, hop)[:2]
        self.length, self.step = stop - start, second - start
        if self.length > MOST_OPEN_WINDOWS * self.step:
            raise DBNError(f"windows of {window} s, one every {hop} s: more than {MOST_OPEN_WINDOWS:,} of them are "
                           "open at once; take a longer hop")
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


def _whole_frames(name, seconds, frame_rate):
    """Whole frames in so many seconds; the slack keeps e.g. 0.29 s at 100 frames a second (28.999...) at 29."""
    frames = seconds * frame_rate + 1e-9
    if not 1 <= frames < 2**53:
        least = math.ceil(10_000 / frame_rate) / 10_000  # what is rounded down would be refused in turn
        raise DBNError(f"{name} is {seconds} s, which is no number of frames at {frame_rate:g} a second; "
                       f"take at least {least:g} s")
    return math.floor(frames)
