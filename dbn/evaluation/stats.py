"""How far an accuracy can be trusted, and whether two differ: intervals and paired tests.

The paper compares feature sets by single accuracies over some 300 test songs (§5.1), where one percentage point is
three songs. Every accuracy of this project therefore carries an interval, and every comparison a paired test.

Conventions
-----------
The unit is the song. On one split every song is decided once: :func:`wilson_interval` and :func:`mcnemar_exact`. On
several splits of the same songs a song is decided in each split that has it among its test songs, and these decisions
are not independent: what is hard to label once is hard again. :func:`bootstrap_interval` and :func:`sign_flip_test`
therefore take sums over groups of decisions, see :func:`sums_by_group`. A group is a song, or an artist where songs of
one artist are alike. What all songs of a split share, such as a network that trained badly, they do not see;
:func:`corrected_resampled_t` takes the split as its unit and stands beside them.
"""
import numpy as np
from scipy.special import ndtr, ndtri
from scipy.stats import binomtest, t as student_t

from dbn.errors import DBNError

N_RESAMPLES = 10_000
_AT_ONCE = 1000  # resamples whose weights are in memory together


def wilson_interval(n_correct, n, confidence=0.95):
    """Wilson's score interval for a proportion.

    It holds the proportions p that a normal test would not reject, |p̂ - p| <= z √(p (1 - p) / n). Unlike p̂ ± z·s it
    stays inside [0, 1] and keeps its width where every song, or none, is right.

    Parameters
    ----------
    n_correct : int
        Songs classified correctly, 0 <= n_correct <= n.
    n : int
        Songs in all, at least 1.
    confidence : float
        Coverage, between 0 and 1 (exclusive).

    Returns
    -------
    low, high : float
        Bounds of the interval, 0 <= low <= n_correct / n <= high <= 1.

    Raises
    ------
    DBNError
        No songs, more right than there are, or a confidence outside (0, 1).

    References
    ----------
    E. B. Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22, 1927.
    """
    if n < 1:
        raise DBNError("an interval needs at least one song; n is 0")
    if not 0 <= n_correct <= n:
        raise DBNError(f"{n_correct} songs right out of {n} is impossible")
    _check_confidence(confidence)
    low, high = binomtest(n_correct, n).proportion_ci(confidence, method="wilson")
    # at 0 and n right one bound is the proportion itself: rounding must not carry it past
    return float(max(0.0, min(low, n_correct / n))), float(min(1.0, max(high, n_correct / n)))


def mcnemar_exact(a_correct, b_correct):
    """Exact McNemar test: are two classifiers equally accurate on the same songs?

    Only the songs that exactly one of them gets right say anything. Under equal accuracy each such song falls to
    either side with probability ½, so the smaller count follows Binomial(discordant, ½); the p-value is two-sided.

    Parameters
    ----------
    a_correct, b_correct : array_like of bool, [n_songs]
        Whether each classifier is right on each song, in the same order of songs.

    Returns
    -------
    float
        The p-value, in (0, 1]; 1 where no song tells the two apart.

    Raises
    ------
    DBNError
        Different numbers of songs, none at all, or values other than true and false.

    References
    ----------
    Q. McNemar, "Note on the sampling error of the difference between correlated proportions or percentages",
    Psychometrika 12, 1947.
    """
    a_correct, b_correct = np.asarray(a_correct), np.asarray(b_correct)
    if a_correct.ndim != 1 or a_correct.shape != b_correct.shape:
        raise DBNError(f"a paired test needs the same songs twice, not shapes {a_correct.shape} and {b_correct.shape}")
    if not a_correct.size:
        raise DBNError("a paired test needs at least one song; there are none")
    if a_correct.dtype != bool or b_correct.dtype != bool:
        raise DBNError("a paired test needs true or false for every song (compare predictions with labels first)")
    only_a = int(np.sum(a_correct & ~b_correct))
    only_b = int(np.sum(b_correct & ~a_correct))
    if only_a + only_b == 0:
        return 1.0
    return float(binomtest(min(only_a, only_b), only_a + only_b, 0.5).pvalue)


def sums_by_group(groups, values):
    """Sum of the values of each group, in the sorted order of the groups.

    Parameters
    ----------
    groups : sequence of str, [n]
        The song, or the artist, that each value belongs to.
    values : array_like of bool or int, [n]

    Returns
    -------
    int array [n_groups]
    """
    distinct, number = np.unique(np.asarray(groups), return_inverse=True)
    sums = np.zeros(len(distinct), dtype=np.int64)
    np.add.at(sums, number, np.asarray(values, dtype=np.int64))
    return sums


def bootstrap_interval(sums, counts, confidence=0.95, n_resamples=N_RESAMPLES, seed=0):
    """Bootstrap interval over groups for a mean of all decisions, Σ sums / Σ counts.

    Groups are drawn with replacement, each with all its decisions. The bounds are quantiles of the means of the
    resamples, at levels that correct for bias and skewness (BCa; Efron 1987) and, as a resample of n groups varies
    less than the groups do, at those of Student's t (Hesterberg 2015). With several columns the mean over the columns'
    means is taken: of a resample, over the columns of which it has a decision.

    Parameters
    ----------
    sums : array_like, [n_groups] or [n_groups, n_columns]
        Of each group, the sum over its decisions: how many are right, or by how many more one classifier is right
        than another.
    counts : array_like of int, like `sums`
        Of each group, the number of its decisions. Every column needs one.
    confidence : float
        Coverage, between 0 and 1 (exclusive).
    n_resamples : int
    seed : int
        Of the resamples.

    Returns
    -------
    (low, high) or None
        Two floats. They are equal where all groups agree. None for a single group, which says nothing of others.

    Raises
    ------
    DBNError
        Sums and counts that do not fit, or a confidence outside (0, 1).

    References
    ----------
    B. Efron, "Better bootstrap confidence intervals", JASA 82, 1987.

    T. C. Hesterberg, "What teachers should know about the bootstrap", The American Statistician 69, 2015.
    """
    sums, counts = np.asarray(sums, dtype=np.float64), np.asarray(counts, dtype=np.float64)
    if sums.shape != counts.shape or not sums.size or sums.ndim > 2 or not counts.sum(axis=0).all():
        raise DBNError(f"an interval needs decisions in every column; sums are {sums.shape}, counts {counts.shape}")
    _check_confidence(confidence)
    n_groups = len(sums)
    if n_groups == 1:
        return None
    sums, counts = sums.reshape(n_groups, -1), counts.reshape(n_groups, -1)
    mean = _mean_of_ratios(sums.sum(axis=0), counts.sum(axis=0))
    without_each = _mean_of_ratios(sums.sum(axis=0) - sums, counts.sum(axis=0) - counts)
    influence = np.nan_to_num(np.nanmean(without_each) - without_each)
    if np.abs(influence).max() < 1e-12:
        return float(mean), float(mean)
    acceleration = np.sum(influence ** 3) / (6 * np.sum(influence ** 2) ** 1.5)
    means = _resampled_means(sums, counts, n_resamples, seed)
    below = (np.mean(means < mean) + np.mean(means <= mean)) / 2
    bias = ndtri(np.clip(below, 0.5 / n_resamples, 1 - 0.5 / n_resamples))
    z = np.sqrt(n_groups / (n_groups - 1)) * student_t.ppf((1 + confidence) / 2, n_groups - 1)
    low, high = np.quantile(means, [_bca_level(bias, acceleration, side * z) for side in (-1, 1)])
    return float(low), float(high)


def _mean_of_ratios(sums, counts):
    """Mean over the last axis of sums / counts, over those with a count; NaN where there is none."""
    there = counts > 0
    ratios = np.divide(sums, counts, out=np.zeros(np.shape(sums)), where=there)
    n_there = there.sum(axis=-1)
    return np.divide(ratios.sum(axis=-1), n_there, out=np.full(np.shape(n_there), np.nan), where=n_there > 0)


def _resampled_means(sums, counts, n_resamples, seed):
    """The means of resamples of the groups, float64 [n_resamples]."""
    rng, n_groups, means = np.random.default_rng(seed), len(sums), []
    for start in range(0, n_resamples, _AT_ONCE):
        n = min(_AT_ONCE, n_resamples - start)
        drawn = rng.integers(n_groups, size=(n, n_groups)) + n_groups * np.arange(n)[:, None]
        weights = np.bincount(drawn.ravel(), minlength=n * n_groups).reshape(n, n_groups).astype(np.float64)
        means.append(_mean_of_ratios(weights @ sums, weights @ counts))
    means = np.concatenate(means)
    return means[~np.isnan(means)]  # a resample of groups without any decision has no mean


def _bca_level(bias, acceleration, z):
    """The corrected level of a bound whose level would be Φ(z)."""
    shifted = bias + z
    scale = 1 - acceleration * shifted
    if scale <= 0:  # so skewed that the level has passed its limit
        return float(shifted > 0)
    return float(ndtr(bias + shifted / scale))


def accuracy_interval(correct, groups, confidence=0.95, seed=0):
    """Interval for the accuracy over repeated splits of the same songs.

    :func:`bootstrap_interval` over the groups. Where all decisions are right, or all wrong, no resample differs:
    :func:`wilson_interval` stands in, as if each group were decided once.

    The interval is for the mean over the songs of the population, of classifiers trained on splits of this corpus.

    Parameters
    ----------
    correct : array_like of bool, [n]
        Whether each decision is right, over all splits.
    groups : sequence of str, [n]
        The song, or the artist, of each decision.
    confidence : float
    seed : int
        Of the resamples.

    Returns
    -------
    (low, high) or None
        Two floats in [0, 1]; None for a single group.
    """
    right, counts = sums_by_group(groups, correct), sums_by_group(groups, np.ones(len(groups), dtype=bool))
    if right.sum() in (0, counts.sum()) and len(counts) > 1:
        return wilson_interval(len(counts) if right.any() else 0, len(counts), confidence)
    return bootstrap_interval(right, counts, confidence, seed=seed)


def sign_flip_test(differences):
    """Sign-flip test: are two classifiers equally accurate over repeated splits?

    Under equal accuracy a group's difference is as likely to favour one classifier as the other, so that its sign
    could as well be the opposite. The p-value is the share of all 2ⁿ choices of signs with a sum at least as far from
    0 as the one that was found. It is exact: the differences are whole numbers, and the distribution of their sum is
    built up one group after another. On one split it is that of :func:`mcnemar_exact`.

    Parameters
    ----------
    differences : array_like of int, [n_groups]
        Of each song or artist, over all splits: decisions that the one gets right, minus those of the other.

    Returns
    -------
    float
        The two-sided p-value, in (0, 1]; 1 where no group tells the two apart.

    Raises
    ------
    DBNError
        No groups, or differences that are not whole numbers.

    References
    ----------
    R. A. Fisher, "The Design of Experiments", 1935, §21.
    """
    differences = np.asarray(differences)
    if differences.ndim != 1 or not differences.size or differences.dtype.kind not in "iu":
        raise DBNError("a sign-flip test needs a whole number for every song or artist, and at least one; got "
                       f"{differences.dtype} of shape {differences.shape}")
    sizes = np.abs(differences[differences != 0])
    largest = int(sizes.sum())
    probabilities = np.zeros(2 * largest + 1)  # of the sums -largest ... largest
    probabilities[largest] = 1
    for size in sizes:
        probabilities = (np.roll(probabilities, size) + np.roll(probabilities, -size)) / 2
    at_least = np.abs(np.arange(-largest, largest + 1)) >= abs(differences.sum())
    return float(min(1.0, probabilities[at_least].sum()))


def corrected_resampled_t(differences, n_train, n_test):
    """Corrected resampled t-test: are two learning methods equally accurate over random splits?

    t = d̄ / √((1/J + n_test/n_train) s²) with J - 1 degrees of freedom, where d̄ and s² are mean and variance of the
    differences over J splits. Training sets of random splits overlap, and s²/J would be too small an error for it.

    Parameters
    ----------
    differences : array_like of float, [n_splits]
        Accuracy of the one minus that of the other on each split's test songs.
    n_train, n_test : float
        Training and test songs of a split.

    Returns
    -------
    float or None
        The two-sided p-value; 1 where no split tells the two apart; None where all splits differ by the same amount,
        so that there is no variance to judge it by.

    Raises
    ------
    DBNError
        Fewer than two splits, or no songs.

    References
    ----------
    C. Nadeau and Y. Bengio, "Inference for the generalization error", Machine Learning 52, 2003.
    """
    differences = np.asarray(differences, dtype=np.float64)
    if differences.ndim != 1 or len(differences) < 2:
        raise DBNError(f"a test over splits needs at least two of them, not differences of shape {differences.shape}")
    if not (n_train > 0 and n_test > 0):
        raise DBNError(f"a test over splits needs training and test songs, not {n_train} and {n_test}")
    if np.abs(differences).max() < 1e-12:
        return 1.0
    if np.ptp(differences) < 1e-12:
        return None
    n_splits = len(differences)
    error = np.sqrt((1 / n_splits + n_test / n_train) * differences.var(ddof=1))
    return float(2 * student_t.sf(abs(differences.mean()) / error, n_splits - 1))


def holm(p_values):
    """Holm's correction: p-values that keep the chance of any false alarm among several tests at its level.

    The smallest of m values is multiplied by m, the next by m - 1, and so on; none becomes smaller than the one before
    it, or larger than 1. Unlike Bonferroni's it never loses by it, and it too asks nothing of how the tests depend on
    each other.

    Parameters
    ----------
    p_values : array_like of float, [m]

    Returns
    -------
    list of float
        In the order of `p_values`.

    References
    ----------
    S. Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6, 1979.
    """
    p_values = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p_values, kind="stable")
    corrected = np.empty(len(p_values))
    corrected[order] = np.minimum(1, np.maximum.accumulate(p_values[order] * np.arange(len(p_values), 0, -1)))
    return corrected.tolist()


def _check_confidence(confidence):
    if not 0 < confidence < 1:
        raise DBNError(f"confidence is {confidence}; it must lie between 0 and 1, e.g. 0.95")
