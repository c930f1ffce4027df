"""Random draws of the units: the same by Numba and by NumPy, of the right distribution, and independent."""
import numpy as np
import pytensor.tensor as pt
import pytest
from scipy import special, stats

from compute_ops import MODES, RTOL, by_both, compute, layouts, numbers, of_both_precisions, ops_in, states
from dbn.graph.compile import function
from dbn.graph.ops import Reconstruction, bernoulli, binary_cross_entropy, next_state, normal, sigmoid, uniform


@by_both
def test_the_next_state(by):
    state = np.array([3, 4, 2**32 - 1], dtype=np.uint32)
    np.testing.assert_array_equal(compute(next_state, by, state), [3, 4, 0])
    assert compute(next_state, by, state).dtype == np.uint32


@of_both_precisions
@pytest.mark.parametrize("shape", [(), (0, 3), (1,), (2,), (7, 3), (6, 4), (1001,)])
def test_numba_draws_what_numpy_draws(dtype, shape):
    mean = np.random.default_rng(0).random(shape).astype(dtype)
    for state in states(7, 2):
        drawn = [compute(bernoulli, by, mean, state) for by in MODES]
        np.testing.assert_array_equal(*drawn)
        assert drawn[0].dtype == dtype and drawn[0].shape == shape
        np.testing.assert_allclose(*(compute(normal, by, mean, state) for by in MODES), rtol=1e-6, atol=1e-6)
        np.testing.assert_array_equal(*(compute(uniform, by, mean, state) for by in MODES))


def test_draws_around_means_of_any_layout():
    mean = np.random.default_rng(0).random((5, 3))
    [state] = states(1, 1)
    for draw in (bernoulli, normal, uniform):
        for turned in layouts(mean)[1:]:
            np.testing.assert_array_equal(compute(draw, "numba", turned, state), compute(draw, "numba", mean, state))


def test_same_state_same_bits_and_the_next_state_others():
    mean = np.full(100, 0.5)
    first, second = states(1, 2)
    other_key = states(2, 1)[0]
    for draw in (bernoulli, normal, uniform):
        drawn = [compute(draw, "numba", mean, state) for state in (first, first, second, other_key)]
        np.testing.assert_array_equal(drawn[0], drawn[1])
        assert all(0.2 < np.mean(drawn[0] == other) < 0.8 or draw is not bernoulli for other in drawn[2:])
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


@by_both
@of_both_precisions
def test_uniform_distribution(by, dtype):
    drawn = np.concatenate([compute(uniform, by, np.zeros(20_001, dtype=dtype), state) for state in states(4, 2)])
    assert stats.kstest(drawn, "uniform").pvalue > 1e-3
    assert 0 <= drawn.min() and drawn.max() < 1
    finest = drawn.astype(float) * 2.0 ** (24 if dtype == "float32" else 53)
    assert (finest == np.round(finest)).all()
    assert (finest % 2 == 1).mean() == pytest.approx(0.5, abs=0.02)  # the last bit is drawn as well


@pytest.mark.parametrize("draw", [bernoulli, normal, uniform])
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


# Draws and costs in one pass


def sample_of(x, t, state):
    return Reconstruction()(x, t, state)[0]


def cost_of(x, t, state):
    return Reconstruction()(x, t, state)[1]


def matrices(n, m, dtype):
    return np.random.default_rng(1).random((n, m)).astype(dtype), numbers(n, m, dtype=dtype)


@by_both
@of_both_precisions
# one number, an odd number of them, fewer and more than there are lanes, more than a lane's product has room for
@pytest.mark.parametrize("shape", [(1, 1), (7, 3), (6, 4), (20, 513), (100, 513), (301, 601)])
def test_reconstructions(by, dtype, shape):
    (x, t), [state] = matrices(*shape, dtype), states(5, 1)
    means = compute(sigmoid, by, t)
    drawn = compute(sample_of, by, x, t, state)
    assert drawn.dtype == dtype
    np.testing.assert_array_equal(drawn, compute(bernoulli, by, means, state))
    exact = (x * special.log_expit(t.astype(float)) + (1 - x) * special.log_expit(-t.astype(float))).sum(axis=1).mean()
    cost = compute(cost_of, by, x, t, state)
    assert cost.dtype == dtype and cost.shape == ()
    np.testing.assert_allclose(cost, exact, rtol=4 * RTOL[dtype])


@by_both
@of_both_precisions
def test_reconstructions_of_certain_units(by, dtype):
    """Activations near 0, where the products of means are as small as they get, and of +-800; 70 thousand of each."""
    for t in (0.0, 1e-3, 800.0, -800.0):
        t = np.full((140, 513), t, dtype=dtype)
        for x in (0.0, 0.3, 1.0):
            x = np.full(t.shape, x, dtype=dtype)
            cost = compute(cost_of, by, x, t, states(5, 1)[0])
            np.testing.assert_allclose(cost, compute(binary_cross_entropy, "numpy", x, t), rtol=4 * RTOL[dtype],
                                       atol=1e-30)
    assert compute(sample_of, by, x, t, states(5, 1)[0]).max() == 0


@by_both
def test_reconstructions_of_nan_of_nothing_and_of_any_layout(by):
    [state] = states(5, 1)
    x, t = matrices(5, 3, "float32")
    exact = compute(cost_of, by, x, t, state)
    for a, b in zip(layouts(x), layouts(t)[::-1]):
        np.testing.assert_array_equal(compute(sample_of, by, a, b, state), compute(sample_of, by, x, t, state))
        np.testing.assert_array_equal(compute(cost_of, by, a, b, state), exact)
    for place in np.ndindex(5, 3):
        a = t.copy()
        a[place] = np.nan
        with np.errstate(invalid="ignore"):
            assert np.isnan(compute(cost_of, by, x, a, state))
    assert compute(sample_of, by, x[:, :0], t[:, :0], state).shape == (5, 0)
    assert compute(cost_of, by, x[:, :0], t[:, :0], state) == 0


@by_both
def test_matrices_of_two_shapes_have_no_reconstruction(by):
    with pytest.raises(ValueError):
        compute(cost_of, by, numbers(4, 3), numbers(4, 2), states(5, 1)[0])


X, T, STATE = pt.fmatrix(), pt.fmatrix(), pt.vector(dtype="uint32")
MEAN, SAMPLE = sigmoid(T), bernoulli(sigmoid(T), STATE)


@pytest.mark.parametrize("graph, fused", [
    ([SAMPLE, binary_cross_entropy(X, T)], True), ([binary_cross_entropy(X, T), SAMPLE, T], True),
    ([SAMPLE], False),
    ([SAMPLE, binary_cross_entropy(X, T), MEAN], False),  # somebody else needs the means
    ([SAMPLE, binary_cross_entropy(X, T + 1)], False), ([SAMPLE, binary_cross_entropy(T, X)], False),
    ([SAMPLE, binary_cross_entropy(SAMPLE, T)], False),  # a cost that needs the draws first
    ([bernoulli(MEAN, STATE + pt.abs(binary_cross_entropy(X, T)).astype("uint32")), binary_cross_entropy(X, T)], False),
])
def test_draws_and_costs_of_the_same_units_are_made_in_one_pass(graph, fused):
    run, plain = (function([X, T, STATE], graph, on_unused_input="ignore", mode=mode)
                  for mode in (MODES["numba"](), MODES["numpy"]()))
    assert any(isinstance(op, Reconstruction) for op in ops_in(run)) == fused
    assert not any(isinstance(op, Reconstruction) for op in ops_in(plain))
    values = *matrices(6, 5, "float32"), states(5, 1)[0]
    for found, expected in zip(run(*values), plain(*values), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5)
