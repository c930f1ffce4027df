"""What the inputs are scaled by before the network sees them; the paper does not say (§4.1).

Binary visible units need values in [0, 1], Gaussian ones of unit variance need zero mean and unit variance. Every kind
is ``y = (f(x) - offset) * gain`` for each bin, with f the identity or a logarithm:

=================== =================== ========================== ================ ===========
kind                offset              gain                       f                clipped to
=================== =================== ========================== ================ ===========
``max``             0                   1 / largest value          identity         [0, 1]
``minmax``          smallest of the bin 1 / range of the bin       identity         [0, 1]
``standardize``     mean of the bin     1 / std of the bin         identity         not clipped
``log``             0                   1 / largest value          log(1 + x)       [0, 1]
``log-standardize`` mean of the bin     1 / std of the bin, or     log(1 + 100 x)   not clipped
                                        5 / largest std if less
``none``            0                   1                          identity         not clipped
=================== =================== ========================== ================ ===========

``log-standardize`` does not blow up what little there is in empty bins, of a low rate or a low-passed MP3.

The paper asks whether principal components would do as well (§5.3). ``pca-50`` stands for the projections on the first
50 of them, divided by one number, so that their variances are 1 on average; ``whitened-pca-50`` for projections of
variance 1 each; ``log-pca-50`` and ``log-whitened-pca-50`` for those of log(1 + x). They are for Gaussian visible
units.

All are fitted on the training frames alone, in one pass over blocks of them.
"""
import re

import numpy as np

from dbn.audio.pca import Covariance
from dbn.errors import DBNError

KINDS = ("max", "minmax", "standardize", "log", "log-standardize", "none")
_PCA = re.compile(r"(log-)?(whitened-)?pca-([1-9][0-9]{0,4})")

# Below this a range or a deviation counts as zero: such a bin is constant and keeps its unit (gain 1).
_SMALLEST_SPREAD = 1e-30

_COMPRESSION = 100.0  # c of log(1 + c x) in log-standardize: x is 0.01 to 100 in most frames of music
_LARGEST = float(np.finfo(np.float32).max) / 2
_SMALLEST_SHARE = 0.2  # of the largest deviation that log-standardize divides by

_CACHE_ROWS = 256  # rows which stay in the processor's cache while all steps are applied to them


class Scaling:
    """A scaling of one kind, fitted to training frames.

    Parameters
    ----------
    kind : {"max", "minmax", "standardize", "log", "log-standardize", "none"} or str
        The latter for principal components: ``[log-][whitened-]pca-<number>``.

    Attributes
    ----------
    kind : str
    takes_log : bool
        Whether f is log(1 + c x), with the number ``compression`` for c.
    offset : ndarray of float32 [shape=(n_features,)], or None before :meth:`fit`
    components : ndarray of float32 [shape=(n_features, n_outputs)] or None
        Orthonormal columns that frames less the offset are projected on; None but for principal components.
    gain : ndarray of float32 [shape=(n_outputs,)], or None before :meth:`fit`
    """

    def __init__(self, kind="minmax"):
        pca = _PCA.fullmatch(kind) if isinstance(kind, str) else None
        if kind not in KINDS and not pca:
            raise DBNError(f"scaling {kind!r} is unknown; choose one of {', '.join(KINDS)}, or principal components: "
                           "pca-50, whitened-pca-50, log-pca-50, log-whitened-pca-50, of any number")
        self.kind = kind
        self.takes_log = kind in ("log", "log-standardize") or bool(pca and pca[1])
        self.compression = _COMPRESSION if kind == "log-standardize" else 1.0
        self._whitens = bool(pca and pca[2])
        self.n_components = int(pca[3]) if pca else None
        self.offset = self.gain = self.components = None

    @property
    def clips(self):
        """Whether what it gives is clipped to [0, 1], as binary visible units need it."""
        return self.kind in ("max", "minmax", "log")

    @property
    def n_features(self):
        """Values of a frame, once fitted."""
        return len(self.offset)

    @property
    def n_outputs(self):
        """Values that become of them, once fitted: as many, or the principal components."""
        return len(self.gain)

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
            No frames at all, blocks of different width, NaN or infinite values, fewer principal components than asked.
        """
        statistics = _Statistics() if self.n_components is None else Covariance()
        for block in blocks:
            is_of_logs = self.takes_log and self.kind != "log"  # whose largest value is that of the largest magnitude
            statistics.add(self._logarithm(block) if is_of_logs else block)
        if not statistics.n:
            raise DBNError(f"scaling {self.kind!r} cannot be fitted: there are no frames")
        if self.n_components is None:
            offset, spread = self._offset_and_spread(statistics)
        else:
            offset = statistics.mean
            components, variances = statistics.components(self.n_components)
            self.components = components.astype(np.float32)
            spread = np.sqrt(variances if self._whitens else np.full(len(variances), variances.mean()))
        spread = np.where(spread < _SMALLEST_SPREAD, 1.0, spread)
        self.offset = offset.astype(np.float32)
        self.gain = (1 / spread).astype(np.float32)
        return self

    def _offset_and_spread(self, statistics):
        zeros = np.zeros(len(statistics.mean))
        if self.kind == "minmax":
            return statistics.lowest, statistics.highest - statistics.lowest
        if self.kind in ("standardize", "log-standardize"):
            deviation = np.sqrt(statistics.squares / statistics.n)
            least = _SMALLEST_SHARE * deviation.max() if self.kind == "log-standardize" else 0
            return statistics.mean, np.maximum(deviation, least)
        if self.kind == "none":
            return zeros, zeros + 1
        largest = max(0, statistics.highest.max())
        return zeros, zeros + (np.log1p(largest) if self.kind == "log" else largest)

    def transform(self, x, out=None):
        """Scale frames.

        Parameters
        ----------
        x : ndarray of float32 [shape=(m, n_features)]
        out : ndarray of float32 [shape=(m, n_outputs)], optional
            Where the result goes; may be `x` itself, but for principal components.

        Returns
        -------
        y : ndarray of float32 [shape=(m, n_outputs)]
            `out`, or a new array.

        Raises
        ------
        DBNError
            The scaling is not fitted, or was fitted to another number of features.
        """
        self._check_width(x, self.offset)
        if out is None:
            out = np.empty((len(x), self.n_outputs), dtype=np.float32)
        with np.errstate(over="ignore"):  # far outside the training range: infinite, then clipped to 1
            for start in range(0, len(x), _CACHE_ROWS):
                rows = slice(start, start + _CACHE_ROWS)
                self._transform_rows(x[rows], out[rows])
        return out

    def inverse(self, y):
        """What :meth:`transform` makes `y` of, but for frames that it has to clip.

        Of principal components, the frame that has no others.

        Parameters
        ----------
        y : ndarray of float32 [shape=(m, n_outputs)]

        Returns
        -------
        x : ndarray of float32 [shape=(m, n_features)]

        Raises
        ------
        DBNError
            As :meth:`transform`.
        """
        self._check_width(y, self.gain)
        x = y / self.gain
        if self.components is not None:
            x = x @ self.components.T
        x += self.offset
        return np.expm1(x) / self.compression if self.takes_log else x

    def _check_width(self, x, of):
        if of is None:
            raise DBNError(f"scaling {self.kind!r} is not fitted yet: call fit with the training frames first")
        if x.ndim != 2 or x.shape[1] != len(of):
            raise DBNError(f"the scaling was fitted to {len(of)} features, these frames have shape {x.shape}")

    def _transform_rows(self, x, out):
        if self.components is not None:
            deviations = (self._logarithm(x) if self.takes_log else x) - self.offset
            np.matmul(deviations, self.components, out=out)
            out *= self.gain
            return
        if self.takes_log:
            x = self._logarithm(x, out)
        np.subtract(x, self.offset, out=out)
        np.multiply(out, self.gain, out=out)
        if self.clips:
            np.clip(out, 0, 1, out=out)

    def _logarithm(self, x, out=None):
        """log(1 + c x) of what is not negative, finite wherever `x` is; a new array, or `out`."""
        if self.compression == 1:
            out = np.maximum(x, 0, out=out)
        else:
            out = np.clip(x, 0, _LARGEST / self.compression, out=out)
            out *= out.dtype.type(self.compression)
        return np.log1p(out, out=out)

    def to_arrays(self):
        """The scaling as a dictionary of plain arrays, for a model file.

        They are ``kind``, ``offset`` and ``gain``, and ``components`` where there are any.
        """
        if self.gain is None:
            raise DBNError(f"scaling {self.kind!r} is not fitted yet: there is nothing to save")
        arrays = {"kind": np.array(self.kind), "offset": self.offset, "gain": self.gain}
        return arrays if self.components is None else arrays | {"components": self.components}

    @classmethod
    def from_arrays(cls, arrays):
        """The reverse of :meth:`to_arrays`.

        Raises
        ------
        DBNError
            An array is missing or has the wrong shape or values.
        """
        scaling = cls(str(arrays["kind"])) if "kind" in arrays else cls()
        ndims = {"offset": 1, "gain": 1} | ({} if scaling.n_components is None else {"components": 2})
        missing = {"kind", *ndims} - set(arrays)
        if missing:
            raise DBNError(f"the scaling's arrays lack {', '.join(sorted(missing))}")
        arrays = {name: np.asarray(arrays[name]) for name in ndims}
        for name, array in arrays.items():
            if array.ndim != ndims[name] or array.dtype.kind != "f":
                raise DBNError(f"the scaling's {name} must be floats of {ndims[name]} dimension(s), but is "
                               f"{array.dtype}{array.shape}")
            if not np.isfinite(array).all():
                raise DBNError(f"the scaling's {name} must be finite")
            setattr(scaling, name, array.astype(np.float32))
        shapes = [array.shape for array in arrays.values()]
        if scaling.n_components is None and scaling.offset.shape != scaling.gain.shape:
            raise DBNError(f"the scaling's offset and gain must be of one length, but are of shapes {shapes}")
        if scaling.n_components is not None and (
                scaling.components.shape != (scaling.n_features, scaling.n_components)
                or scaling.n_outputs != scaling.n_components):
            raise DBNError(f"the scaling's offset, gain and components do not fit: they have shapes {shapes}")
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
