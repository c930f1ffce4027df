"""How far an accuracy can be trusted, and whether two differ: intervals and paired tests.

The paper compares feature sets by single accuracies over some 300 test songs (§5.1), where one percentage point is
three songs. Every accuracy of this project therefore carries an interval, and every comparison a paired test.
"""
import numpy as np
from scipy.special import bdtr, ndtri

from dbn.errors import DBNError


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
    if not 0 < confidence < 1:
        raise DBNError(f"confidence is {confidence}; it must lie between 0 and 1, e.g. 0.95")
    z2 = ndtri((1 + confidence) / 2) ** 2
    proportion = n_correct / n
    centre = (proportion + z2 / (2 * n)) / (1 + z2 / n)
    half = np.sqrt(z2 * (proportion * (1 - proportion) + z2 / (4 * n)) / n) / (1 + z2 / n)
    # at 0 and n right one bound is the proportion itself: rounding must not carry it past
    return float(max(0.0, min(centre - half, proportion))), float(min(1.0, max(centre + half, proportion)))


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
    if only_a == only_b:
        return 1.0
    return float(min(1.0, 2 * bdtr(min(only_a, only_b), only_a + only_b, 0.5)))
