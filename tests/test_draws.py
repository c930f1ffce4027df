"""Random draws of the units: the same by Numba and by NumPy, of the right distribution, and independent."""
import numpy as np
import pytest
from scipy import stats

from dbn.ops import bernoulli, next_state, normal
from compute_ops import MODES, by_both, compute, layouts, of_both_precisions, states


@by_both
def test_the_next_state(by):
    state = np.array([3, 4, 2**32 - 1], dtype=np.uint32)
    np.testing.assert_array_equal(compute(next_state, by, state), [3, 4, 0])
    assert compute(next_state, by, state).dtype == np.uint32


@of_both_precisions
@pytest.mark.parametrize("shape", [(0, 3), (1,), (2,), (7, 3), (6, 4), (1001,)])
def test_numba_draws_what_numpy_draws(dtype, shape):
    mean = np.random.default_rng(0).random(shape).astype(dtype)
    for state in states(7, 2):
        drawn = [compute(bernoulli, by, mean, state) for by in MODES]
        np.testing.assert_array_equal(*drawn)
        assert drawn[0].dtype == dtype and drawn[0].shape == shape
        np.testing.assert_allclose(*(compute(normal, by, mean, state) for by in MODES), rtol=1e-6, atol=1e-6)


def test_draws_around_means_of_any_layout():
    mean = np.random.default_rng(0).random((5, 3))
    [state] = states(1, 1)
    for draw in (bernoulli, normal):
        for turned in layouts(mean)[1:]:
            np.testing.assert_array_equal(compute(draw, "numba", turned, state), compute(draw, "numba", mean, state))


def test_same_state_same_bits_and_the_next_state_others():
    mean = np.full(100, 0.5)
    first, second = states(1, 2)
    other_key = states(2, 1)[0]
    for draw in (bernoulli, normal):
        drawn = [compute(draw, "numba", mean, state) for state in (first, first, second, other_key)]
        np.testing.assert_array_equal(drawn[0], drawn[1])
        assert all(0.2 < np.mean(drawn[0] == other) < 0.8 or draw is normal for other in drawn[2:])
        assert all((drawn[0] != other).any() for other in drawn[2:])


def test_bernoulli_frequencies():
    probabilities = np.array([0, 1e-3, 0.1, 0.5, 0.77, 0.999, 1])
    n = 50_001
    mean = np.repeat(probabilities, n).reshape(7, n).astype(np.float32)
    drawn = np.concatenate([compute(bernoulli, "numba", mean, state) for state in states(3, 2)], axis=1)
    assert set(np.unique(drawn)) == {0, 1}
    ones = drawn.sum(axis=1)
    assert ones[0] == 0 and ones[-1] == 2 * n
    for count, p in zip(ones[1:-1], probabilities[1:-1]):
        assert stats.binomtest(int(count), 2 * n, p).pvalue > 1e-3


@by_both
def test_normal_distribution(by):
    drawn = np.concatenate([compute(normal, by, np.full(20_001, 5.0), state) - 5 for state in states(4, 2)])
    assert stats.kstest(drawn, "norm").pvalue > 1e-3


@pytest.mark.parametrize("draw", [bernoulli, normal])
def test_draws_are_independent(draw):
    """The two halves of an array, neighbours, the same place in one draw and the next, and under another key."""
    n = 20_000
    mean = np.full(2 * n, 0.5)
    first, second = (compute(draw, "numba", mean, state) for state in states(5, 2))
    other = compute(draw, "numba", mean, states(6, 1)[0])
    for a, b in ((first[:n], first[n:]), (first[:-1], first[1:]), (first, second), (first, other)):
        assert np.abs(np.corrcoef(a, b)[0, 1]) < 4 / np.sqrt(len(a))
        assert np.abs(np.corrcoef((a - 0.5) ** 2 * a, (b - 0.5) ** 2 * b)[0, 1]) < 4 / np.sqrt(len(a))


def test_a_mean_that_is_nan_draws_no_normal_number():
    [state] = states(1, 1)
    assert np.isnan(compute(normal, "numba", np.full(3, np.nan), state)).all()
