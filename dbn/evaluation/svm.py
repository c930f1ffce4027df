"""RBF-kernel SVM on frames or windows, votes over a song, and the choice of C and gamma (§5.1).

Conventions
-----------
Examples are frames (Table 2) or windows (Table 3), [n, d]; a song is the array of its examples in the order of time.
A pair is two classes (i, j), i < j, in the order (0, 1), (0, 2), ..., (1, 2), ...; its decision value is positive where
class i wins.

Faster than libsvm, with the same labels
----------------------------------------
``SVC.predict`` evaluates exp(-γ ‖x - s‖²) one support vector s at a time, in double precision. Since ‖x - s‖² = ‖x‖² +
‖s‖² - 2 x·s, a block of examples takes one matrix product, an elementwise exp and a second product with the
coefficients; single precision makes each of them fast. The labels are nevertheless those of ``SVC.predict``: a decision
value no larger than its rounding error decides nothing. An example whose label hangs on such a value is evaluated again
in double precision and, where that leaves it open too (ties, in symmetric data), by libsvm itself.
"""
import time
from itertools import combinations, product

import numpy as np
from sklearn.svm import SVC

from dbn.errors import DBNError
from dbn.system.blas import one_blas_thread
from dbn.system.progress import progress_bar
from dbn.system.workers import in_parallel

ROWS = 1024  # examples evaluated at once
COLUMNS = 512  # support vectors at once: 2 MB of kernel values in single precision, one core's cache
LIBSVM_CACHE_MB = 1000  # the whole kernel matrix of 10,000 examples takes 800

# Bound of a decision value's rounding error, in units of eps · (1 + γ‖x‖² + γ max‖s‖²) · (|b| + Σ |α_k| K(x, s_k)):
# the exponents are off by some eps times the first bracket, and each moves its term in proportion. The worst case of
# any order of summation grows with d, but rounding errors differ in sign: the largest measured were 4.6 units, over
# d = 1 to 2000, γ d = 0.01 to 30, C = 0.1 and 100. The rest is margin, and costs a few examples in a hundred at most.
ROUNDING = 32


class RBFSVM:
    """Multi-class SVM with the kernel exp(-γ ‖x - s‖²), one against one, on standardised features.

    Parameters
    ----------
    C : float
        Penalty of the training errors.
    gamma : float
        γ of the kernel on standardised features; the distance of two such examples is about √(2 d), so the
        interesting values lie around 1 / d.
    parts : sequence of int, optional
        Sizes of the parts that the features are made of. After standardising, a part of m features is brought to the
        length √m in every example, which is its length on average: γ means the same. None changes no lengths.

    Attributes
    ----------
    classes_ : array, [n_classes]
        The labels, sorted.
    mean_, scale_ : float64, [d]
        Of the training examples; the scale of a constant feature is 1.
    svc_ : sklearn.svm.SVC
        Fitted on the standardised examples, with labels 0, 1, ...
    """

    def __init__(self, C, gamma, parts=None):
        for name, value in (("C", C), ("gamma", gamma)):
            if not 0 < value < np.inf:
                raise DBNError(f"{name} is {value}; it must be a positive number")
        self.C, self.gamma, self.parts = float(C), float(gamma), parts

    def fit(self, x, y):
        """Fit the standardisation and the SVM on training examples alone.

        Parameters
        ----------
        x : float array, [n, d]
        y : array of int or str, [n]

        Returns
        -------
        RBFSVM
            Itself.

        Raises
        ------
        DBNError
            Fewer than two classes, NaN or infinite features, shapes or parts that do not fit.
        """
        x, y = _examples(x, "the training examples"), np.asarray(y)
        if y.shape != (len(x),):
            raise DBNError(f"{len(x)} training examples need as many labels, not {y.shape}")
        self.classes_, labels = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise DBNError(f"an SVM needs training examples of two classes at least; there are {len(self.classes_)}")
        if self.parts and sum(self.parts) != x.shape[1]:
            raise DBNError(f"parts {tuple(self.parts)} do not add up to the {x.shape[1]} features")
        self.mean_ = x.mean(axis=0, dtype=np.float64)
        # a constant's standard deviation is not always computed as zero
        self.scale_ = np.where(np.ptp(x, axis=0) > 0, x.std(axis=0, dtype=np.float64), 1.0)
        self.svc_ = SVC(C=self.C, gamma=self.gamma, kernel="rbf", cache_size=LIBSVM_CACHE_MB)
        self.svc_.fit(self._standardise(x), labels)
        self._expansions = [_Expansion(self.svc_, dtype) for dtype in (np.float32, np.float64)]
        return self

    def predict(self, x):
        """The labels that ``SVC.predict`` gives, tens of times as fast.

        Parameters
        ----------
        x : float array, [n, d]

        Returns
        -------
        array, [n]
            Of each example, the class with the most votes of its pairs; of equals, the first, as in libsvm.
        """
        x = _examples(x, "the examples", self.mean_.size)
        winners = np.empty(len(x), dtype=np.intp)
        for start in range(0, len(x), ROWS):
            winners[start:start + ROWS] = self._winners(self._standardise(x[start:start + ROWS]))
        return self.classes_[winners]

    def decision_values(self, x):
        """Decision value of every pair of classes, in double precision.

        Parameters
        ----------
        x : float array, [n, d]

        Returns
        -------
        float64, [n, n_classes * (n_classes - 1) / 2]
            Positive where the pair's first class wins (for two classes, the opposite of ``SVC.decision_function``).
        """
        x = _examples(x, "the examples", self.mean_.size)
        values = np.empty((len(x), len(self.svc_.intercept_)))
        for start in range(0, len(x), ROWS):
            values[start:start + ROWS], _ = self._expansions[-1](self._standardise(x[start:start + ROWS]))
        return values

    def predict_songs(self, songs, progress=True):
        """Classify every example of every song, and let them :func:`vote`.

        Parameters
        ----------
        songs : sequence of float arrays, [n_i, d]
        progress : bool
            Show a progress bar on standard error where that is a terminal.

        Returns
        -------
        array, [n_songs]
            One label a song.

        Raises
        ------
        DBNError
            A song without examples, or NaN features, by its number.
        """
        _check_songs(songs, self.mean_.size)
        bar = progress_bar("SVM", songs, progress, unit="song")
        return np.array([vote(self.predict(song)) for song in bar])

    def _standardise(self, x):
        z = (x - self.mean_) / self.scale_
        for part in np.split(z, np.cumsum(self.parts)[:-1], axis=1) if self.parts else ():  # views
            lengths = np.linalg.norm(part, axis=1, keepdims=True)
            part *= np.sqrt(part.shape[1]) / np.where(lengths > 0, lengths, 1)
        return z

    def _winners(self, z):
        """Index of the class of each standardised example [m, d], at the least precision that settles it."""
        winners = np.empty(len(z), dtype=np.intp)
        unsettled = np.arange(len(z))
        for expansion in self._expansions:
            winners[unsettled], settled = _elect(*expansion(z[unsettled]), n_classes=len(self.classes_))
            unsettled = unsettled[~settled]
        if unsettled.size:
            winners[unsettled] = self.svc_.predict(z[unsettled])
        return winners


class _Expansion:
    """The decision values of a fitted SVC and bounds of their rounding error, in one precision.

    The exponent -γ‖x - s‖² is a single product of rows (√(2γ) x, 1, γ‖x‖²) and columns (√(2γ) s, -γ‖s‖², -1).
    """

    def __init__(self, svc, dtype):
        self.dtype = dtype
        self.root = np.sqrt(2 * svc.gamma)
        scaled, halves = self._scaled(svc.support_vectors_)
        self.columns = np.vstack([scaled.T, -halves, -np.ones_like(halves)]).astype(dtype)
        self.max_half = halves.max()
        n_classes = len(svc.classes_)
        # scikit-learn turns the sign round for two classes
        sign = -1.0 if n_classes == 2 else 1.0
        self.intercept = sign * svc.intercept_
        coefficients = sign * svc.dual_coef_
        pair_number = {pair: number for number, pair in enumerate(combinations(range(n_classes), 2))}
        edges = np.concatenate([[0], np.cumsum(svc.n_support_)])
        # support vectors lie class after class; those of class c have a coefficient against every other class in turn
        self.terms = []
        for c in range(n_classes):
            pairs = [pair_number[min(c, other), max(c, other)] for other in range(n_classes) if other != c]
            for start in range(edges[c], edges[c + 1], COLUMNS):
                part = slice(start, min(start + COLUMNS, edges[c + 1]))
                self.terms.append((part, pairs, np.ascontiguousarray(coefficients[:, part].T, dtype=dtype)))
        # a kernel value below the smallest normal number may be lost altogether
        lost = np.abs(coefficients).sum() * np.finfo(dtype).tiny / np.finfo(dtype).eps
        self.least_magnitude = np.abs(self.intercept) + lost

    def _scaled(self, z):
        """√(2γ) z in this precision, and half its squared length, γ‖z‖², as it is after that rounding."""
        scaled = (z * self.root).astype(self.dtype)
        return scaled, np.einsum("ij,ij->i", scaled, scaled, dtype=np.float64) / 2

    def __call__(self, z):
        """Decision values and error bounds, both float64 [m, n_pairs], of standardised examples [m, d]."""
        # what overflows ends as NaN, which no bound lets pass
        with np.errstate(over="ignore", invalid="ignore"):
            scaled, halves = self._scaled(z)
            rows = np.column_stack([scaled, np.ones_like(halves), halves]).astype(self.dtype)
            values = np.tile(self.intercept, (len(z), 1))
            magnitudes = np.tile(self.least_magnitude, (len(z), 1))
            for part, pairs, coefficients in self.terms:
                kernel = rows @ self.columns[:, part]
                np.exp(kernel, out=kernel)
                sums = kernel @ coefficients
                values[:, pairs] += sums
                # within a class all coefficients of a pair have one sign
                magnitudes[:, pairs] += np.abs(sums)
            reach = 1 + halves + self.max_half
            return values, ROUNDING * np.finfo(self.dtype).eps * reach[:, None] * magnitudes


def _elect(values, errors, n_classes):
    """Libsvm's election, and whether the rounding errors could have turned it.

    Parameters
    ----------
    values, errors : float64, [m, n_pairs]
        Decision values and bounds of their errors.
    n_classes : int

    Returns
    -------
    winners : int, [m]
        The class with the most votes; of equals, the first.
    settled : bool, [m]
        Whether it wins whatever the signs of the values within their errors.
    """
    # which class a pair's vote goes to, as indicators [n_pairs, n_classes]
    first, second = np.eye(n_classes, dtype=np.float32)[np.array(np.triu_indices(n_classes, 1))]
    wins = values > 0
    votes = wins @ first + ~wins @ second
    winners = votes.argmax(axis=1)
    doubtful = ~(np.abs(values) > errors)
    fewest = votes - (doubtful & wins) @ first - (doubtful & ~wins) @ second
    most = fewest + doubtful @ (first + second)
    # of equals the first wins: each class starts a fraction of a vote behind the one before
    handicap = np.arange(n_classes, dtype=np.float32) / n_classes
    every = np.arange(len(values))
    at_least = fewest[every, winners] - handicap[winners]
    most -= handicap
    most[every, winners] = -np.inf
    return winners, at_least > most.max(axis=1)


def vote(predictions):
    """The label that most of a song's examples have.

    Parameters
    ----------
    predictions : array of int or str, [n]
        Labels of the examples, in the order of time.

    Returns
    -------
    scalar
        The most frequent label; of equally frequent ones, that which reached its count first. The paper gives no
        rule. This one favours no class: taking the lowest number would give every tie to the genres that come first
        in the alphabet, and with 11 windows a song ties are common.

    Raises
    ------
    DBNError
        No predictions.
    """
    predictions = np.asarray(predictions)
    if not predictions.size:
        raise DBNError("a song without frames cannot vote; leave it out")
    labels, numbers, counts = np.unique(predictions, return_inverse=True, return_counts=True)
    tied = np.flatnonzero(counts == counts.max())
    reached = [np.flatnonzero(numbers == number)[-1] for number in tied]
    return labels[tied[np.argmin(reached)]]


def select(train_x, train_y, valid_songs, valid_labels, grid, jobs=1, progress=True):
    """Choose C and gamma by the accuracy over validation songs (§5.1).

    Every point of the grid is trained on the training examples alone, and every example of the validation songs votes.
    Of points with as many songs right, that with more examples right is taken, then the smaller C, then the smaller
    gamma.

    Parameters
    ----------
    train_x : float array, [n, d]
    train_y : array of int or str, [n]
    valid_songs : sequence of float arrays, [n_i, d]
        One array a song.
    valid_labels : sequence of int or str, [n_songs]
    grid : dict
        ``{"C": [...], "gamma_times_features": [...]}``: the values of C, and those of gamma · d, so that one grid
        serves feature sets of any size d.
    jobs : int
        Worker processes, one BLAS thread each; the result does not depend on it.
    progress : bool
        Show a progress bar on standard error where that is a terminal.

    Returns
    -------
    model : RBFSVM
        The best, trained on the training examples.
    log : list of dict
        For every point, in the grid's order: ``C``, ``gamma``, ``song_accuracy``, ``example_accuracy``, ``n_support``
        (support vectors) and ``seconds``.

    Raises
    ------
    DBNError
        An empty or wrong grid, no validation songs, a song without examples or with NaN features, or a class of a
        validation song without training examples.
    """
    train_x, train_y = _examples(train_x, "the training examples"), np.asarray(train_y)
    d = train_x.shape[1]
    valid_labels = np.asarray(valid_labels)
    _check_songs(valid_songs, d)
    _check_labels(train_y, valid_songs, valid_labels)
    points = _grid_points(grid, d)
    if jobs < 1:
        raise DBNError(f"jobs is {jobs}; it must be at least 1")
    # one array, which is written to disk once, and which every worker maps
    examples, ends = np.concatenate(valid_songs), np.cumsum([len(song) for song in valid_songs])
    results = in_parallel(_try_point, ((C, gamma, train_x, train_y, examples, ends, valid_labels)
                                       for C, gamma in points), jobs)
    best, best_rank, log = None, None, []
    for model, row in progress_bar("SVM grid", results, progress, total=len(points)):
        log.append(row)
        rank = (row["song_accuracy"], row["example_accuracy"], -row["C"], -row["gamma"])
        if best is None or rank > best_rank:
            best, best_rank = model, rank
    return best, log


def _try_point(C, gamma, train_x, train_y, examples, ends, valid_labels):
    """Train at one point of the grid: the model and its row of the log."""
    began = time.perf_counter()
    with one_blas_thread:
        model = RBFSVM(C, gamma).fit(train_x, train_y)
        predictions = model.predict(examples)
    votes = np.array([vote(song) for song in np.split(predictions, ends[:-1])])
    truth = np.repeat(valid_labels, np.diff(ends, prepend=0))
    return model, {"C": model.C, "gamma": model.gamma, "song_accuracy": float(np.mean(votes == valid_labels)),
                   "example_accuracy": float(np.mean(predictions == truth)),
                   "n_support": int(model.svc_.n_support_.sum()), "seconds": time.perf_counter() - began}


def _grid_points(grid, d):
    """Every (C, gamma) of the grid."""
    names = ("C", "gamma_times_features")
    if set(grid) != set(names) or not all(len(grid[name]) for name in names):
        raise DBNError(f"an SVM grid needs values for {' and '.join(names)}, not {grid}")
    return [(C, multiple / d) for C, multiple in product(*(grid[name] for name in names))]


def _examples(x, what, d=None):
    """Examples as an array [n, d], checked; `what` names them in the message."""
    x = np.asarray(x)
    if x.ndim != 2 or x.shape[1] != (d or x.shape[1]):
        raise DBNError(f"{what} must be [n, {d or 'd'}], not shape {x.shape}")
    if not np.isfinite(x).all():
        raise DBNError(f"{what} hold NaN or infinite features")
    return x


def _check_songs(songs, d):
    if not len(songs):
        raise DBNError("there are no songs to classify")
    for number, song in enumerate(songs):
        if not len(_examples(song, f"the examples of song {number}", d)):
            raise DBNError(f"song {number} (of {len(songs)}, counted from 0) has no frames; leave it out")


def _check_labels(train_y, valid_songs, valid_labels):
    if valid_labels.shape != (len(valid_songs),):
        raise DBNError(f"{len(valid_songs)} validation songs need as many labels, not {valid_labels.shape}")
    missing = np.setdiff1d(valid_labels, train_y)
    if missing.size:
        raise DBNError(f"class {missing[0]} has validation songs but no training example; put some of its songs into "
                       "the training set, or leave the class out")
