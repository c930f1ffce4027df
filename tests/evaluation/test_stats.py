"""Intervals and paired tests against their definitions, enumeration and scipy.stats."""
from itertools import product
from math import comb

import numpy as np
import pytest
from scipy import stats as scipy_stats

from dbn.errors import DBNError
from dbn.evaluation.stats import (accuracy_interval, bootstrap_interval, corrected_resampled_t, holm, mcnemar_exact,
                                  sign_flip_test, sums_by_group, wilson_interval)
from experiments.bench import statistics


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


# --- several splits of the same songs ---

def test_sums_by_group():
    groups = ["b", "a", "b", "c", "b"]
    np.testing.assert_array_equal(sums_by_group(groups, [True, False, False, True, True]), [0, 2, 1])
    np.testing.assert_array_equal(sums_by_group(groups, [3, -1, -5, 0, 1]), [-1, -1, 0])


@pytest.mark.parametrize("n_groups", [1, 2, 5, 11])
def test_sign_flips_agree_with_enumeration_of_every_choice_of_signs(n_groups):
    rng = np.random.default_rng(n_groups)
    for _ in range(20):
        differences = rng.integers(-4, 5, n_groups)
        sums = np.array(list(product([-1, 1], repeat=n_groups))) @ np.abs(differences)
        expected = np.mean(np.abs(sums) >= abs(differences.sum()))
        assert sign_flip_test(differences) == pytest.approx(expected, rel=1e-12)
        assert sign_flip_test(-differences) == sign_flip_test(differences)


def test_sign_flips_agree_with_scipy():
    differences = np.random.default_rng(0).integers(-3, 6, 60)
    drawn = scipy_stats.permutation_test((differences,), np.sum, permutation_type="samples", n_resamples=20_000,
                                         random_state=1)
    assert sign_flip_test(differences) == pytest.approx(drawn.pvalue, abs=3 * np.sqrt(0.25 / 20_000))


@pytest.mark.parametrize("only_a, only_b", [(0, 0), (3, 9), (40, 22), (7, 7)])
def test_sign_flips_of_one_split_are_mcnemar(only_a, only_b):
    a, b = paired(only_a, only_b)
    assert sign_flip_test(a.astype(int) - b) == pytest.approx(mcnemar_exact(a, b), rel=1e-9)


@pytest.mark.parametrize("differences", [[], [0.5, 1.0], [[1, 2]], [True]])
def test_sign_flips_refuse(differences):
    with pytest.raises(DBNError, match="whole number"):
        sign_flip_test(differences)


def decisions(n_groups, seed=0, accuracy=0.7):
    """Sums and counts of songs that were tested one to five times, some of them harder than others."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(1, 6, n_groups)
    return rng.binomial(counts, rng.beta(2 * accuracy, 2 * (1 - accuracy), n_groups)), counts


@pytest.mark.parametrize("n_groups", [8, 97])
def test_bootstrap_agrees_with_scipy(n_groups):
    """SciPy's BCa interval of the same ratio, at the level of Student's t."""
    sums, counts = decisions(n_groups)
    z = np.sqrt(n_groups / (n_groups - 1)) * scipy_stats.t.ppf(0.975, n_groups - 1)
    expected = scipy_stats.bootstrap(
        (sums, counts), lambda s, n, axis: s.sum(axis=axis) / n.sum(axis=axis), paired=True, n_resamples=20_000,
        confidence_level=2 * scipy_stats.norm.cdf(z) - 1, random_state=1).confidence_interval
    assert bootstrap_interval(sums, counts, n_resamples=20_000) == pytest.approx(tuple(expected), abs=0.01)


def test_bootstrap_of_several_columns_is_of_their_mean():
    """Equal columns say what one says; a column's weight does not depend on its number of decisions."""
    sums, counts = decisions(50)
    one = bootstrap_interval(sums, counts)
    assert bootstrap_interval(np.stack([sums, sums], axis=1), np.stack([counts, counts], axis=1)) == (
        pytest.approx(one, abs=1e-12))
    assert bootstrap_interval(np.stack([sums, 9 * sums], axis=1), np.stack([counts, 9 * counts], axis=1)) == (
        pytest.approx(one, abs=1e-12))


def test_bootstrap_where_a_column_lacks_groups():
    """Each column knows half of the groups, one of them a single group that most resamples miss or repeat."""
    sums = np.array([[2, 0], [1, 0], [0, 3], [3, 0], [1, 0], [2, 0]])
    counts = np.array([[3, 0], [3, 0], [0, 4], [3, 0], [2, 0], [3, 0]])
    low, high = bootstrap_interval(sums, counts)
    assert 0 < low < (9 / 14 + 3 / 4) / 2 < high < 1


def test_bootstrap_depends_on_the_seed_alone():
    sums, counts = decisions(60)
    assert bootstrap_interval(sums, counts, seed=3) == bootstrap_interval(sums, counts, seed=3)
    assert bootstrap_interval(sums, counts, seed=3) != bootstrap_interval(sums, counts, seed=4)


def test_bootstrap_gets_narrower_with_groups_and_confidence():
    low, high = bootstrap_interval(*decisions(50))
    inner_low, inner_high = bootstrap_interval(*decisions(50), confidence=0.5)
    assert low < inner_low < inner_high < high
    low_of_many, high_of_many = bootstrap_interval(*decisions(5000))
    assert (high_of_many - low_of_many) * 5 < high - low


@pytest.mark.parametrize("sums, counts", [([1, 0], [1, 1]), ([30] * 99 + [0], [30] * 100), ([0] * 99 + [1], [1] * 100),
                                          ([1] * 4 + [0], [1, 1, 1, 1, 9])])
def test_bootstrap_of_few_or_lopsided_groups_stays_in_bounds(sums, counts):
    low, high = bootstrap_interval(sums, counts)
    assert 0 <= low <= np.sum(sums) / np.sum(counts) <= high <= 1 and low < high


def test_bootstrap_where_nothing_varies():
    assert bootstrap_interval([2, 2, 2], [3, 3, 3]) == pytest.approx((2 / 3, 2 / 3))
    assert bootstrap_interval([2], [3]) is None


@pytest.mark.parametrize("arguments, message", [
    (([], []), "decisions"), (([1, 2], [1]), "decisions"), (([[1, 0]], [[1, 0]]), "decisions"),
    (([1, 2], [2, 2], 1.5), "confidence")])
def test_bootstrap_refuses(arguments, message):
    with pytest.raises(DBNError, match=message):
        bootstrap_interval(*arguments)


def test_accuracy_interval_is_the_bootstrap_over_groups():
    sums, counts = decisions(40)
    groups = np.repeat([f"song {i:03d}" for i in range(40)], counts)
    correct = np.concatenate([np.arange(count) < right for right, count in zip(sums, counts)])
    order = np.random.default_rng(0).permutation(len(correct))
    assert accuracy_interval(correct[order], groups[order]) == bootstrap_interval(sums, counts)


def test_accuracy_interval_where_all_are_right_counts_groups():
    groups = ["a", "b", "c"] * 10
    assert accuracy_interval([True] * 30, groups) == wilson_interval(3, 3)
    assert accuracy_interval([False] * 30, groups) == wilson_interval(0, 3)
    assert accuracy_interval([True] * 30, ["a"] * 30) is None


def test_resampled_t_by_hand():
    """Differences 0.1, 0.2, 0.3: mean 0.2, variance 0.01; with 30 test songs for 50, t = 0.2 / √(0.9333 · 0.01)."""
    t = 0.2 / np.sqrt((1 / 3 + 30 / 50) * 0.01)
    expected = 2 * scipy_stats.t.sf(t, 2)
    assert corrected_resampled_t([0.1, 0.2, 0.3], 50, 30) == pytest.approx(expected, rel=1e-12)
    assert corrected_resampled_t([-0.1, -0.2, -0.3], 50, 30) == pytest.approx(expected, rel=1e-12)
    # next to no test songs: an ordinary t-test
    ordinary = scipy_stats.ttest_1samp([0.1, 0.2, 0.3], 0).pvalue
    assert corrected_resampled_t([0.1, 0.2, 0.3], 1e12, 1) == pytest.approx(ordinary)


def test_resampled_t_without_variance():
    assert corrected_resampled_t([0, 0, 0], 50, 30) == 1
    assert corrected_resampled_t([0.1, 0.3 - 0.2], 50, 30) is None


@pytest.mark.parametrize("arguments", [([0.1], 5, 3), ([], 5, 3), ([0.1, 0.2], 0, 3), ([0.1, 0.2], 5, 0)])
def test_resampled_t_refuses(arguments):
    with pytest.raises(DBNError, match="over splits needs"):
        corrected_resampled_t(*arguments)


def test_holm():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9, 0.4]) == pytest.approx([1, 1, 1])
    assert holm([0.02]) == [0.02] and holm([]) == []


@pytest.mark.parametrize("difficulty", statistics.DIFFICULTIES)
def test_repeated_splits_simulated(difficulty):
    """At a nominal 5 % at most 6 % false alarms, and coverage of 93 to 97 %; both within three standard errors."""
    n_trials = 300
    rates = statistics.simulate(statistics.DIFFICULTIES[difficulty], n_trials, seed=0, n_resamples=500)
    error = np.sqrt(0.05 * 0.95 / n_trials)
    assert rates["sign flips"] <= 0.06 + 3 * error and rates["resampled t"] <= 0.06 + 3 * error
    assert 0.93 - 3 * error <= rates["bootstrap"] <= 0.97 + 3 * error
    if difficulty == "very unequal":  # what the pooled ones get wrong would be seen
        assert rates["McNemar, pooled"] > 0.15 and rates["Wilson, pooled"] < 0.85


def test_simulated_design():
    is_test, correct = statistics.draw_decisions(np.random.default_rng(0), 2.0, 0.05)
    assert (is_test.shape, correct.shape) == ((10, 100), (2, 10, 100))
    assert (is_test.reshape(10, 10, 10).sum(axis=2) == 3).all() and not (is_test[0] == is_test[1]).all()
    means = [statistics.draw_decisions(np.random.default_rng(i), 0.2, 0.05)[1].mean() for i in range(100)]
    assert np.mean(means) == pytest.approx(statistics.ACCURACY, abs=0.01)


def test_the_simulation_as_a_command(capsys):
    statistics.main(["--trials", "3"])
    printed = capsys.readouterr().out
    assert printed.count("very unequal") == 3 and "coverage: bootstrap" in printed
