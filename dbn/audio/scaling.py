"""What the inputs are scaled by before the network sees them; the paper does not say (§4.1).

Binary visible units need values in [0, 1], Gaussian ones of unit variance need zero mean and unit variance. Every kind
is ``y = (f(x) - offset) * gain`` for each bin, with f the identity or log(1 + x):

=============== ============================ ======================= ============= ===========
kind            offset                       gain                    f             clipped to
=============== ============================ ======================= ============= ===========
``max``         0                            1 / largest value       identity      [0, 1]
``minmax``      smallest of the bin          1 / range of the bin    identity      [0, 1]
``standardize`` mean of the bin              1 / std of the bin      identity      not clipped
``log``         0                            1 / largest value       log(1 + x)    [0, 1]
``none``        0                            1                       identity      not clipped
=============== ============================ ======================= ============= ===========

They are fitted on the training frames alone, in one pass over blocks of them.
"""
import numpy as np

from dbn.errors import DBNError

KINDS = ("max", "minmax", "standardize", "log", "none")

# Below this a range or a deviation counts as zero: such a bin is constant and keeps its unit (gain 1).
_SMALLEST_SPREAD = 1e-30

_CACHE_ROWS = 256  # rows which stay in the processor's cache while all steps are applied to them


class Scaling:
    """A scaling of one kind, fitted to training frames.

    Parameters
    ----------
    kind : {"max", "minmax", "standardize", "log", "none"}

    Attributes
    ----------
    kind : str
    offset, gain : ndarray of float32 [shape=(n_features,)], or None before :meth:`fit`
    """

    def __init__(self, kind="minmax"):
        if kind not in KINDS:
            raise DBNError(f"scaling {kind!r} is unknown; choose one of {', '.join(KINDS)}")
        self.kind = kind
        self.offset = self.gain = None

    def fit(self, blocks):
        """Take offset and gain from the training frames.

        Parameters
        ----------
        blocks : iterable of ndarray [shape=(m, n_features)]
            Read once, in any order, one block at a time.

        Returns
        -------
        self : Scaling

        Raises
        ------
        DBNError
            No frames at all, blocks of different width, NaN or infinite values.
        """
        statistics = _Statistics()
        for block in blocks:
            statistics.add(block)
        if not statistics.n:
            raise DBNError(f"scaling {self.kind!r} cannot be fitted: there are no frames")
        offset, spread = self._offset_and_spread(statistics)
        spread = np.where(spread < _SMALLEST_SPREAD, 1.0, spread)
        self.offset = offset.astype(np.float32)
        self.gain = (1 / spread).astype(np.float32)
        return self

    def _offset_and_spread(self, statistics):
        zeros = np.zeros(len(statistics.mean))
        if self.kind == "minmax":
            return statistics.lowest, statistics.highest - statistics.lowest
        if self.kind == "standardize":
            return statistics.mean, np.sqrt(statistics.squares / statistics.n)
        if self.kind == "none":
            return zeros, zeros + 1
        largest = max(0, statistics.highest.max())
        return zeros, zeros + (np.log1p(largest) if self.kind == "log" else largest)

    def transform(self, x, out=None):
        """Scale frames.

        Parameters
        ----------
        x : ndarray of float32 [shape=(m, n_features)]
        out : ndarray of float32 [shape=(m, n_features)], optional
            Where the result goes; may be `x` itself.

        Returns
        -------
        y : ndarray of float32 [shape=(m, n_features)]
            `out`, or a new array.

        Raises
        ------
        DBNError
            The scaling is not fitted, or was fitted to another number of features.
        """
        self._check_frames(x)
        if out is None:
            out = np.empty(x.shape, dtype=np.float32)
        with np.errstate(over="ignore"):  # far outside the training range: infinite, then clipped to 1
            for start in range(0, len(x), _CACHE_ROWS):
                rows = slice(start, start + _CACHE_ROWS)
                self._transform_rows(x[rows], out[rows])
        return out

    def inverse(self, y):
        """What :meth:`transform` makes `y` of, but for frames that it has to clip.

        Parameters
        ----------
        y : ndarray of float32 [shape=(m, n_features)]

        Returns
        -------
        x : ndarray of float32 [shape=(m, n_features)]

        Raises
        ------
        DBNError
            As :meth:`transform`.
        """
        self._check_frames(y)
        x = y / self.gain + self.offset
        return np.expm1(x) if self.kind == "log" else x

    def _check_frames(self, x):
        if self.gain is None:
            raise DBNError(f"scaling {self.kind!r} is not fitted yet: call fit with the training frames first")
        if x.ndim != 2 or x.shape[1] != len(self.gain):
            raise DBNError(f"the scaling was fitted to {len(self.gain)} features, these frames have shape {x.shape}")

    def _transform_rows(self, x, out):
        if self.kind == "log":
            np.maximum(x, 0, out=out)
            x = np.log1p(out, out=out)
        np.subtract(x, self.offset, out=out)
        np.multiply(out, self.gain, out=out)
        if self.kind in ("max", "minmax", "log"):
            np.clip(out, 0, 1, out=out)

    def to_arrays(self):
        """The scaling as a dictionary of plain arrays ``kind``, ``offset`` and ``gain``, for a model file."""
        if self.gain is None:
            raise DBNError(f"scaling {self.kind!r} is not fitted yet: there is nothing to save")
        return {"kind": np.array(self.kind), "offset": self.offset, "gain": self.gain}

    @classmethod
    def from_arrays(cls, arrays):
        """The reverse of :meth:`to_arrays`.

        Raises
        ------
        DBNError
            An array is missing or has the wrong shape or values.
        """
        missing = {"kind", "offset", "gain"} - set(arrays)
        if missing:
            raise DBNError(f"the scaling's arrays lack {', '.join(sorted(missing))}")
        scaling = cls(str(arrays["kind"]))
        offset, gain = np.asarray(arrays["offset"]), np.asarray(arrays["gain"])
        if offset.ndim != 1 or offset.shape != gain.shape or offset.dtype.kind != "f" or gain.dtype.kind != "f":
            raise DBNError("the scaling's offset and gain must be two vectors of floats of one length, but are "
                           f"{offset.dtype}{offset.shape} and {gain.dtype}{gain.shape}")
        if not (np.isfinite(offset).all() and np.isfinite(gain).all()):
            raise DBNError("the scaling's offset and gain must be finite")
        scaling.offset, scaling.gain = offset.astype(np.float32), gain.astype(np.float32)
        return scaling


class _Statistics:
    """Extremes, mean and sum of squared deviations of each bin, in float64, one block after another.

    Two sets of n_a and n_b values with means m_a and m_b and sums of squared deviations S_a and S_b have together
    ``m = m_a + (m_b - m_a) n_b / n`` and ``S = S_a + S_b + (m_b - m_a)^2 n_a n_b / n`` (Chan, Golub and LeVeque, 1979):
    no small difference of large numbers, as in mean(x^2) - mean(x)^2.
    """

    def __init__(self):
        self.n = 0
        self.lowest = self.highest = self.mean = self.squares = None

    def add(self, block):
        if block.ndim != 2 or (self.n and block.shape[1] != len(self.mean)):
            raise DBNError(f"the scaling cannot be fitted to a block of frames of shape {block.shape}"
                           + (f" after blocks of {len(self.mean)} features" if self.n else ""))
        for start in range(0, len(block), _CACHE_ROWS):
            self._add_rows(block[start:start + _CACHE_ROWS].astype(np.float64))

    def _add_rows(self, rows):
        lowest, highest = rows.min(axis=0), rows.max(axis=0)
        if not (np.isfinite(lowest).all() and np.isfinite(highest).all()):
            raise DBNError("the scaling cannot be fitted to frames with NaN or infinite values")
        n, mean = len(rows), rows.mean(axis=0)
        rows -= mean
        squares = np.einsum("ij,ij->j", rows, rows)
        if not self.n:
            self.n, self.lowest, self.highest, self.mean, self.squares = n, lowest, highest, mean, squares
            return
        total, shift = self.n + n, mean - self.mean
        self.squares += squares + shift ** 2 * (self.n * n / total)
        self.mean += shift * (n / total)
        np.minimum(self.lowest, lowest, out=self.lowest)
        np.maximum(self.highest, highest, out=self.highest)
        self.n = total
