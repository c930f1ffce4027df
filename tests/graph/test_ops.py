"""Our own operations: values and gradients against formulas that are not theirs, by Numba and by NumPy alike."""
import numpy as np
import pytensor.tensor as pt
import pytest
from pytensor.gradient import verify_grad
from scipy import special

from compute_ops import MODES, RTOL, by_both, compute, layouts, numbers, of_both_precisions, ops_in, states
from dbn.graph.compile import function
from dbn.graph.ops import Sigmoid, bernoulli, binary_cross_entropy, normal, sigmoid, softmax_cost, softplus, take_rows

FORMULAS = {sigmoid: special.expit, softplus: lambda x: np.logaddexp(0, x)}
SHAPES = [(), (0,), (1,), (7,), (0, 3), (3, 0), (1, 1), (5, 3), (17, 33)]


# Sigmoid and softplus


@by_both
@of_both_precisions
@pytest.mark.parametrize("op", FORMULAS)
def test_squashed_arrays(op, by, dtype):
    for shape in SHAPES:
        x = numbers(*shape, dtype=dtype)
        y = compute(op, by, x)
        assert y.dtype == dtype and y.shape == shape
        np.testing.assert_allclose(y, FORMULAS[op](x.astype(float)), rtol=RTOL[dtype])


@by_both
@pytest.mark.parametrize("op", FORMULAS)
def test_precision_over_the_whole_range(op, by):
    """A few units in the last place of single precision, wherever the result is a normal number."""
    x = np.linspace(-87, 90, 2_000_003).astype(np.float32)
    exact = FORMULAS[op](x.astype(float))
    normal_numbers = exact > np.finfo(np.float32).tiny
    error = np.abs(compute(op, by, x) / exact - 1)[normal_numbers]
    assert normal_numbers.mean() > 0.99 and error.max() < RTOL["float32"]


@by_both
@of_both_precisions
def test_squashed_extremes(by, dtype):
    x = np.array([-np.inf, -800, -0.0, 0, 800, np.inf], dtype=dtype)
    np.testing.assert_array_equal(compute(sigmoid, by, x), [0, 0, 0.5, 0.5, 1, 1])
    np.testing.assert_allclose(compute(softplus, by, x), [0, 0, np.log(2), np.log(2), 800, np.inf],
                               rtol=RTOL[dtype], atol=2e-38)


@by_both
@of_both_precisions
@pytest.mark.parametrize("op", FORMULAS)
def test_nan_stays_nan(op, by, dtype):
    """Else a network that has diverged would go on unnoticed; at every place of a vector instruction."""
    for place in range(19):
        x = numbers(19, dtype=dtype)
        x[place] = np.nan
        with np.errstate(invalid="ignore"):
            y = compute(op, by, x)
        np.testing.assert_array_equal(np.isnan(y), np.arange(19) == place)


@by_both
@pytest.mark.parametrize("op", FORMULAS)
def test_squashed_arrays_of_any_layout(op, by):
    for x in layouts(numbers(5, 3, dtype="float32")):
        before = x.copy()
        np.testing.assert_allclose(compute(op, by, x), FORMULAS[op](before.astype(float)), rtol=RTOL["float32"])
        np.testing.assert_array_equal(x, before)


def test_what_is_needed_again_is_not_overwritten():
    x = pt.fmatrix()
    a = x + 1
    run = function([x], [a, sigmoid(a), softplus(a)])
    assert sum(getattr(op, "inplace", False) for op in ops_in(run)) <= 1
    value = numbers(4, 5, dtype="float32")
    before = value.copy()
    for found, expected in zip(run(value), [value + 1, special.expit(value + 1), np.logaddexp(0, value + 1)]):
        np.testing.assert_allclose(found, expected, rtol=1e-6)
    np.testing.assert_array_equal(value, before)
    alone = function([x], sigmoid(pt.dot(x, x)))
    assert Sigmoid(inplace=True) in ops_in(alone)  # and the rewrite is there


def test_others_than_floats_are_refused():
    integers = pt.imatrix()
    state = pt.vector(dtype="uint32")
    for make in (lambda: sigmoid(integers), lambda: softplus(integers), lambda: bernoulli(integers, state),
                 lambda: normal(pt.fmatrix(), pt.ivector()), lambda: softmax_cost(pt.fmatrix(), pt.fvector()),
                 lambda: binary_cross_entropy(pt.fmatrix(), pt.dmatrix()),
                 lambda: take_rows(pt.fmatrix(), pt.ivector())):
        with pytest.raises(TypeError):
            make()


# Costs


@by_both
@of_both_precisions
def test_softmax_cost(by, dtype):
    for n, k in ((1, 1), (1, 4), (23, 10), (7, 3)):
        a, y = numbers(n, k, dtype=dtype), np.random.default_rng(1).integers(k, size=n).astype(np.int32)
        cost = compute(softmax_cost, by, a, y)
        assert cost.dtype == dtype and cost.shape == ()
        exact = -special.log_softmax(a.astype(float), axis=1)[np.arange(n), y].mean()
        np.testing.assert_allclose(cost, exact, rtol=20 * RTOL[dtype], atol=RTOL[dtype])


def gradient_of_softmax(a, y):
    return pt.grad(softmax_cost(a, y), a)


@by_both
@of_both_precisions
def test_gradient_of_the_softmax_cost(by, dtype):
    """It is the softmax less the one-hot classes over n, also where e^a is no number."""
    y = np.array([0, 2, 1, 1, 0], dtype=np.int32)
    a = numbers(5, 3, dtype=dtype)
    a[3], a[4] = [800, -800, 0], [-800, 800, 800]
    expected = (special.softmax(a.astype(float), axis=1) - np.eye(3)[y]) / 5
    np.testing.assert_allclose(compute(gradient_of_softmax, by, a, y), expected, rtol=20 * RTOL[dtype],
                               atol=RTOL[dtype])
    assert compute(softmax_cost, by, a[3:], y[3:]) == pytest.approx((1600 + 1600 + np.log(2)) / 2, rel=1e-6)


@by_both
@of_both_precisions
def test_gradients_hold_no_numbers_too_small_for_the_usual_format(by, dtype):
    """They would cost a hundred times as much in the products that follow; nothing else is lost, and no NaN."""
    tiny, exponents = np.finfo(dtype).tiny, np.log(np.finfo(dtype).tiny)
    x = np.linspace(1.3 * exponents, -1.3 * exponents, 2001).astype(dtype)
    slopes = compute(lambda x: pt.grad((1e-5 * sigmoid(x)).sum(), x).astype(dtype), by, x)
    falling = x < 0  # 1 - y is as precise as y is on this side alone
    exact = 1e-5 * special.expit(x[falling].astype(float)) * special.expit(-x[falling].astype(float))
    assert ((slopes == 0) | (np.abs(slopes) >= tiny)).all() and (slopes == 0).any()
    np.testing.assert_allclose(slopes[falling], exact, rtol=1e-5, atol=tiny / np.finfo(dtype).eps)
    a = np.stack([x, np.zeros_like(x)], axis=1)
    classes = np.ones(len(x), dtype=np.int32)
    gradient = compute(gradient_of_softmax, by, a, classes)
    assert ((gradient == 0) | (np.abs(gradient) >= tiny)).all() and (gradient == 0).any()
    a[5] = np.nan
    with np.errstate(invalid="ignore"):
        assert np.isnan(compute(gradient_of_softmax, by, a, classes)).sum() == 2
    x[5] = np.nan
    with np.errstate(invalid="ignore"):
        assert np.isnan(compute(lambda x: pt.grad(sigmoid(x).sum(), x), by, x)).sum() == 1


@by_both
@pytest.mark.parametrize("y", [[0, 3], [-1, 0], [0], [0, 1, 2]])
def test_classes_that_are_not_there(by, y):
    with pytest.raises(IndexError):
        compute(softmax_cost, by, numbers(2, 3), np.array(y, dtype=np.int32))


@by_both
@pytest.mark.parametrize("kind", ["int8", "uint8", "int64", "uint64"])
def test_classes_of_any_kind_of_integers(by, kind):
    a, y = numbers(3, 4), np.array([1, 0, 3])
    assert compute(softmax_cost, by, a, y.astype(kind)) == compute(softmax_cost, by, a, y.astype("int32"))
    for wrong in (4, -1, 2**32, 2**32 + 1, 2**63):  # not even of those bits that another kind would keep
        if np.iinfo(kind).min <= wrong <= np.iinfo(kind).max:
            with pytest.raises(IndexError):
                compute(softmax_cost, by, a, np.array([1, 0, wrong], dtype=kind))


def exact_cross_entropy(x, t):
    x, t = x.astype(float), t.astype(float)
    return (x * special.log_expit(t) + (1 - x) * special.log_expit(-t)).sum(axis=1).mean()


@by_both
@of_both_precisions
def test_binary_cross_entropy(by, dtype):
    for n, m in ((1, 1), (31, 2), (32, 7), (33, 50), (100, 513)):
        x, t = np.random.default_rng(1).random((n, m)).astype(dtype), numbers(n, m, dtype=dtype)
        cost = compute(binary_cross_entropy, by, x, t)
        assert cost.dtype == dtype and cost.shape == ()
        np.testing.assert_allclose(cost, exact_cross_entropy(x, t), rtol=4 * RTOL[dtype])


@by_both
@of_both_precisions
def test_binary_cross_entropy_of_certain_units(by, dtype):
    """40 rows of activations near 0, so that the product of 1 + e^-|t| is as large as it gets, and of +-800."""
    for t in (0.0, 1e-3, 800.0, -800.0):
        t = np.full((40, 3), t, dtype=dtype)
        for x in (0.0, 0.3, 1.0):
            x = np.full((40, 3), x, dtype=dtype)
            np.testing.assert_allclose(compute(binary_cross_entropy, by, x, t), exact_cross_entropy(x, t),
                                       rtol=4 * RTOL[dtype], atol=1e-30)


@by_both
def test_matrices_of_two_shapes_have_no_cross_entropy(by):
    with pytest.raises(ValueError):
        compute(binary_cross_entropy, by, numbers(4, 3), numbers(4, 2))
    with pytest.raises(ValueError):
        compute(binary_cross_entropy, by, numbers(1, 3), numbers(4, 3))


@by_both
def test_costs_of_any_layout_and_of_nan(by):
    y = np.array([0, 2, 1, 1, 0], dtype=np.int32)
    x = np.random.default_rng(1).random((5, 3)).astype(np.float32)
    for a in layouts(numbers(5, 3, dtype="float32")):
        exact = -special.log_softmax(a.astype(float), axis=1)[np.arange(5), y].mean()
        assert compute(softmax_cost, by, a, y) == pytest.approx(exact, rel=1e-6)
        assert compute(binary_cross_entropy, by, x, a) == pytest.approx(exact_cross_entropy(x, a), rel=1e-6)
    for place in np.ndindex(5, 3):
        a = numbers(5, 3, dtype="float32")
        a[place] = np.nan
        with np.errstate(invalid="ignore"):
            assert np.isnan(compute(softmax_cost, by, a, y)) and np.isnan(compute(binary_cross_entropy, by, x, a))
            assert np.isnan(compute(gradient_of_softmax, by, a, y)[place])


# Gradients, by finite differences


LABELS = np.array([1, 0, 3], dtype=np.int32)


@pytest.mark.parametrize("op, shapes", [
    (sigmoid, [(3, 4)]), (softplus, [(3, 4)]), (lambda a: softmax_cost(a, LABELS), [(3, 4)]),
    (lambda a: 3 * softmax_cost(a, LABELS) ** 2, [(3, 4)]), (binary_cross_entropy, [(3, 4), (3, 4)]),
])
def test_gradients(op, shapes):
    points = [numbers(*shape, seed=i, scale=0.7) for i, shape in enumerate(shapes)]
    verify_grad(op, points, rng=np.random.default_rng(0), mode=MODES["numpy"]())


@pytest.mark.parametrize("cost, shapes", [
    (lambda a: pt.sqr(sigmoid(a) - 0.3).sum(), [(3, 4)]), (lambda a: softplus(a).sum(), [(3, 4)]),
    (lambda a: softmax_cost(a, LABELS), [(3, 4)]), (lambda a: 3 * softmax_cost(a, LABELS) ** 2, [(3, 4)]),
    (lambda a: softmax_cost(pt.dot(sigmoid(a), pt.dot(a.T, a)), LABELS) * pt.sqr(a).sum(), [(3, 4)]),
    (lambda x, t: 2 * binary_cross_entropy(x, t) ** 2, [(3, 4), (3, 4)]),
])
def test_second_derivatives(cost, shapes):
    """Of every input's gradient by all of them."""
    points = [numbers(*shape, seed=i, scale=0.7) for i, shape in enumerate(shapes)]
    for i in range(len(points)):
        verify_grad(lambda *inputs: pt.grad(cost(*inputs), inputs[i], disconnected_inputs="ignore"), points,
                    rng=np.random.default_rng(0), mode=MODES["numpy"]())


@by_both
def test_curvature_where_the_gradient_is_nothing(by):
    """(sigmoid(x) - 1/2)^2 at its lowest point, where what is negligible in the gradient is set to 0."""
    def curvature(x):
        return pt.grad(pt.grad(pt.sqr(sigmoid(x) - 0.5).sum(), x).sum(), x)

    np.testing.assert_allclose(compute(curvature, by, np.array([0.0, 800.0])), [0.125, 0], rtol=1e-12)


def test_the_hessian_of_the_softmax_cost():
    """diag(s) - s s' over n, row by row, and 0 between rows."""
    a = numbers(3, 4, seed=0, scale=0.7)

    def hessian(flat):
        return pt.hessian(softmax_cost(flat.reshape((3, 4)), LABELS), flat)

    exact = np.zeros((12, 12))
    for i, s in enumerate(special.softmax(a, axis=1)):
        exact[4 * i:4 * i + 4, 4 * i:4 * i + 4] = (np.diag(s) - np.outer(s, s)) / 3
    np.testing.assert_allclose(compute(hessian, "numba", a.ravel()), exact, atol=1e-15)


def test_draws_and_classes_have_no_gradient():
    mean, state = pt.dmatrix(), pt.vector(dtype="uint32")
    for draw in (bernoulli, normal):
        [gradient] = pt.grad(draw(mean, state).sum() + mean.sum(), [mean])
        gradient_of = function([mean, state], gradient, on_unused_input="ignore", mode=MODES["numpy"]())
        np.testing.assert_array_equal(gradient_of(np.full((2, 2), 0.5), states(1, 1)[0]), np.ones((2, 2)))


# Rows


@by_both
@of_both_precisions
def test_rows_by_number(by, dtype):
    for data in layouts(numbers(9, 5, dtype=dtype)):
        for rows in ([], [0], [8], [3, 3, 0, 8, 1, 7, 2], range(9)):
            rows = np.array(rows, dtype=np.int64)
            found = compute(take_rows, by, data, rows)
            assert found.dtype == dtype
            np.testing.assert_array_equal(found, data[rows])
    assert compute(take_rows, by, numbers(4, 0), np.array([2, 1])).shape == (2, 0)


@by_both
def test_rows_of_a_matrix_that_no_memory_holds_a_copy_of(by):
    """Of 2,000 terabytes, as it seems: one row again and again."""
    row = numbers(5, dtype="float32")
    data = np.lib.stride_tricks.as_strided(row, (10**14, 5), (0, 4))
    np.testing.assert_array_equal(compute(take_rows, by, data, np.array([10**14 - 1, 3])), [row, row])
    with pytest.raises(IndexError):
        compute(take_rows, by, data, np.array([10**14]))


@by_both
@pytest.mark.parametrize("rows", [[-1], [9], [0, 1, 2, 3, 4, 9], [5, -9], [2 ** 62]])
def test_rows_that_are_not_there(by, rows):
    with pytest.raises(IndexError):
        compute(take_rows, by, numbers(9, 5), np.array(rows))
    with pytest.raises(IndexError):
        compute(take_rows, by, numbers(0, 5), np.array([0]))
