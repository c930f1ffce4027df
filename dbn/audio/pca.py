"""Principal components of frames of any number, from their covariance, which is summed up block by block (§5.3)."""
import numpy as np

from dbn.errors import DBNError

_ROWS = 2048  # of a block in double precision: 8 MB of the paper's frames

_SMALLEST_SHARE = 1e-10  # of the largest variance; what is below may be rounding


class Covariance:
    """Mean and covariance of rows, in float64, one block after another.

    The sums are of differences from the first block's mean, so that a mean that is large beside the deviations takes
    none of their digits.

    Attributes
    ----------
    n : int
        Rows so far.
    """

    def __init__(self):
        self.n = 0
        self._origin = self._sum = self._products = None

    def add(self, block):
        """Take in the rows of a block [m, n_features]; DBNError for another width, NaN or infinite values."""
        if block.ndim != 2 or (self.n and block.shape[1] != len(self._origin)):
            raise DBNError(f"principal components cannot be fitted to a block of frames of shape {block.shape}"
                           + (f" after blocks of {len(self._origin)} features" if self.n else ""))
        for start in range(0, len(block), _ROWS):
            self._add_rows(block[start:start + _ROWS].astype(np.float64))

    def _add_rows(self, rows):
        if not np.isfinite(rows).all():
            raise DBNError("principal components cannot be fitted to frames with NaN or infinite values")
        if not self.n:
            self._origin = rows.mean(axis=0)
            self._sum, self._products = np.zeros(len(self._origin)), np.zeros((len(self._origin),) * 2)
        rows -= self._origin
        self.n += len(rows)
        self._sum += rows.sum(axis=0)
        self._products += rows.T @ rows

    @property
    def mean(self):
        """float64 [n_features]."""
        return self._origin + self._sum / self.n

    def components(self, n_components):
        """The directions of the largest variances.

        Parameters
        ----------
        n_components : int

        Returns
        -------
        directions : float64 [n_features, n_components]
            Orthonormal, the largest variance first; each one's largest number is positive.
        variances : float64 [n_components]

        Raises
        ------
        DBNError
            The rows do not vary in so many directions.
        """
        shift = self._sum / self.n
        variances, directions = np.linalg.eigh(self._products / self.n - np.outer(shift, shift))
        variances, directions = variances[::-1], directions[:, ::-1]
        n_varying = int((variances > _SMALLEST_SHARE * max(variances[0], np.finfo(np.float64).tiny)).sum())
        if n_components > n_varying:
            raise DBNError(f"the frames vary in {n_varying} directions, so that they have no {n_components} principal "
                           f"components; take {n_varying} at most, or more frames")
        directions = directions[:, :n_components]
        largest = np.abs(directions).argmax(axis=0)
        return directions * np.sign(directions[largest, np.arange(n_components)]), variances[:n_components]
