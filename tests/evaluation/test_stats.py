"""Intervals and paired tests against their definitions, enumeration and scipy.stats."""
from math import comb

import numpy as np
import pytest
from scipy import stats as scipy_stats

from dbn.errors import DBNError
from dbn.evaluation.stats import mcnemar_exact, wilson_interval


@pytest.mark.parametrize("n", [1, 7, 300])
@pytest.mark.parametrize("confidence", [0.5, 0.95, 0.999])
def test_wilson_agrees_with_scipy(n, confidence):
    for n_correct in {0, 1, n // 3, n - 1, n}:
        expected = scipy_stats.binomtest(n_correct, n).proportion_ci(confidence, method="wilson")
        assert wilson_interval(n_correct, n, confidence) == pytest.approx(tuple(expected), abs=1e-12)


def test_wilson_bounds_solve_the_score_equation():
    z = scipy_stats.norm.ppf(0.975)
    for bound in wilson_interval(253, 300):
        assert abs(253 / 300 - bound) == pytest.approx(z * np.sqrt(bound * (1 - bound) / 300))


@pytest.mark.parametrize("n", [1, 2, 11, 300, 387_000])
def test_wilson_at_none_and_all_right(n):
    low, high = wilson_interval(0, n)
    assert low == 0 and 0 < high < 1
    assert wilson_interval(n, n) == pytest.approx((1 - high, 1 - low))
    assert wilson_interval(n, n)[1] == 1


@pytest.mark.parametrize("arguments, message", [
    ((0, 0), "at least one song"), ((4, 3), "4 songs right out of 3"), ((-1, 3), "impossible"),
    ((1, 3, 0), "confidence"), ((1, 3, 1), "confidence"), ((1, 3, 95), "confidence"),
    ((float("nan"), 3), "impossible")])
def test_wilson_refuses(arguments, message):
    with pytest.raises(DBNError, match=message):
        wilson_interval(*arguments)


def paired(only_a, only_b, both=3, neither=2):
    """Correctness of two classifiers with the given numbers of songs."""
    a = np.repeat([True, False, True, False], [only_a, only_b, both, neither])
    b = np.repeat([False, True, True, False], [only_a, only_b, both, neither])
    return a, b


def test_mcnemar_agrees_with_enumeration_of_every_outcome():
    for only_a in range(8):
        for only_b in range(8):
            n = only_a + only_b
            as_extreme = [k for k in range(n + 1) if abs(k - n / 2) >= abs(only_a - n / 2)]
            expected = sum(comb(n, k) for k in as_extreme) / 2 ** n
            assert mcnemar_exact(*paired(only_a, only_b)) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("only_a, only_b", [(40, 22), (5, 60), (150, 150), (0, 300)])
def test_mcnemar_agrees_with_scipy_and_is_symmetric(only_a, only_b):
    expected = scipy_stats.binomtest(only_a, only_a + only_b, 0.5).pvalue
    assert mcnemar_exact(*paired(only_a, only_b)) == pytest.approx(expected, rel=1e-9)
    assert mcnemar_exact(*paired(only_b, only_a)) == mcnemar_exact(*paired(only_a, only_b))


def test_mcnemar_ignores_songs_on_which_both_agree():
    assert mcnemar_exact(*paired(3, 9, both=0, neither=0)) == mcnemar_exact(*paired(3, 9, both=200, neither=88))


def test_mcnemar_without_a_discordant_song_is_one():
    assert mcnemar_exact(*paired(0, 0)) == 1
    assert mcnemar_exact([True], [True]) == 1


@pytest.mark.parametrize("a, b, message", [
    ([], [], "at least one"), ([True], [True, False], "same songs"), ([0, 1], [1, 1], "true or false"),
    ([[True]], [[True]], "same songs"), ([True, False], [1.0, 0.0], "true or false")])
def test_mcnemar_refuses(a, b, message):
    with pytest.raises(DBNError, match=message):
        mcnemar_exact(a, b)
