"""Products of matrices by BLAS, and the rewrites that find them: by Numba and by NumPy alike."""
import math

import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest
from pytensor.graph.traversal import explicit_graph_inputs
from pytensor.tensor.math import Dot
from scipy import special

from compute_ops import MODES, RTOL, by_both, compute, layouts, numbers, of_both_precisions, ops_in
from dbn.graph.compile import function
from dbn.graph.ops import AddProduct, Filled, MatrixSum, Product, softplus


@by_both
@of_both_precisions
def test_added_products(by, dtype):
    # the last but one by slices of the minibatch, the last of a matrix too large for that
    for m, n, k in ((1, 1, 1), (5, 3, 4), (5, 3, 0), (0, 3, 2), (17, 1, 9), (120, 250, 101), (300, 200, 70)):
        z, x, y = (numbers(*shape, dtype=dtype, seed=i) for i, shape in enumerate([(m, n), (k, m), (k, n)]))
        before = z.copy()
        found = compute(AddProduct(), by, z, np.asarray(-0.3, dtype=dtype), x, y)
        expected = z.astype(float) + np.float64(np.array(-0.3, dtype)) * x.T.astype(float) @ y.astype(float)
        assert found.dtype == dtype
        np.testing.assert_allclose(found, expected, rtol=1e3 * RTOL[dtype], atol=50 * RTOL[dtype])
        np.testing.assert_array_equal(z, before)


@by_both
@pytest.mark.parametrize("inplace", [False, True])
def test_added_products_of_any_layout(by, inplace):
    inputs = [pt.dmatrix(), pt.dscalar(), pt.dmatrix(), pt.dmatrix()]
    given = [pytensor.In(inputs[0], mutable=inplace), *inputs[1:]]
    run = function(given, AddProduct(inplace)(*inputs), mode=MODES[by](), accept_inplace=True)
    assert AddProduct(inplace) in ops_in(run)
    for turn in range(3):
        x, y, z = (layouts(numbers(*shape))[(turn + i) % 3] for i, shape in enumerate([(4, 5), (4, 3), (5, 3)]))
        expected = z + 2 * x.T @ y
        np.testing.assert_allclose(run(z, 2.0, x, y), expected, rtol=1e-12)


@by_both
@pytest.mark.parametrize("shapes", [[(5, 4), (4, 5), (4, 3)], [(5, 3), (4, 5), (6, 3)], [(5, 3), (6, 5), (4, 3)],
                                    [(1, 3), (4, 5), (4, 3)]])
def test_added_products_that_do_not_fit(by, shapes):
    z, x, y = (numbers(*shape) for shape in shapes)
    with pytest.raises(ValueError):
        compute(AddProduct(), by, z, np.asarray(1.0), x, y)


@by_both
@of_both_precisions
@pytest.mark.parametrize("x_transposed", [False, True])
@pytest.mark.parametrize("y_transposed", [False, True])
def test_products(by, dtype, x_transposed, y_transposed):
    """With transposes or not, with a bias or not."""
    op = Product(x_transposed, y_transposed)
    for m, n, k in ((5, 3, 4), (1, 7, 2), (0, 2, 3), (2, 3, 0), (2, 0, 3)):
        x, y, bias = (numbers(*shape, dtype=dtype, seed=i) for i, shape in enumerate([(m, k), (k, n), (n,)]))
        given = np.ascontiguousarray(x.T) if x_transposed else x, np.ascontiguousarray(y.T) if y_transposed else y
        exact = x.astype(float) @ y.astype(float)
        for found, expected in ((compute(op, by, *given), exact), (compute(op, by, *given, bias), exact + bias)):
            assert found.dtype == dtype and found.shape == (m, n)
            np.testing.assert_allclose(found, expected, rtol=1e3 * RTOL[dtype], atol=50 * RTOL[dtype])


@by_both
def test_products_that_do_not_fit(by):
    for shapes in ([(5, 4), (3, 6)], [(5, 4), (4, 3), (2,)], [(5, 4), (4, 3), (1,)], [(5, 4), (4, 1), (3,)]):
        with pytest.raises(ValueError):
            compute(Product(False, False), by, *(numbers(*shape) for shape in shapes))


def test_products_of_any_layout():
    for x, y in zip(layouts(numbers(5, 4)), layouts(numbers(3, 4, seed=1))[::-1]):
        np.testing.assert_allclose(compute(Product(False, True), "numba", x, y), x @ y.T, rtol=1e-12)


X, Y, Z, BIAS = pt.fmatrix(), pt.fmatrix(), pt.fmatrix(), pt.fvector()


@pytest.mark.parametrize("graph, made", [
    (pt.dot(X, Y.T), Product(False, True)), (pt.dot(X.T, Z), Product(True, False)),
    (pt.dot(X.T, Y.T), Product(True, True)), (pt.dot(X, Z) + BIAS, Product(False, False)),
    (BIAS + pt.dot(X, Y.T), Product(False, True)),
    (pt.dot(X, Z), None), (pt.dot(X, Z) + Y, None), (pt.dot(X, BIAS) + BIAS, None), (pt.dot(X, Z) + BIAS[0], None),
])
def test_rewrites_are_made_in_our_functions_and_in_nobody_elses(graph, made):
    inputs = [X, Y, Z, BIAS]
    ours, others = (make(inputs, graph, on_unused_input="ignore") for make in (function, pytensor.function))
    assert [op for op in ops_in(ours) if isinstance(op, Product)] == ([] if made is None else [made])
    assert made is None or not any(isinstance(op, Dot) for op in ops_in(ours))
    assert not any(type(op).__module__.startswith("dbn") for op in ops_in(others))
    values = [numbers(4, 4, dtype="float32", seed=i) for i in range(3)] + [numbers(4, dtype="float32")]
    exact = graph.eval(dict(zip(inputs, values)), mode=MODES["numpy"](), on_unused_input="ignore")
    np.testing.assert_allclose(ours(*values), exact, rtol=1e-4, atol=1e-5)


def test_a_product_that_is_needed_again_keeps_its_own_place():
    product = pt.dot(X, Z)
    values = numbers(4, 5, dtype="float32"), numbers(5, 3, dtype="float32", seed=1), numbers(3, dtype="float32", seed=2)
    plain, sums = function([X, Z, BIAS], [product, product + BIAS])(*values)
    np.testing.assert_allclose(plain, values[0] @ values[1], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(sums, values[0] @ values[1] + values[2], rtol=1e-4, atol=1e-5)


@by_both
@of_both_precisions
def test_descent(by, dtype):
    """param - lr * gradient, of a matrix whose gradient is a sum of two products, and of vectors."""
    x, v = pt.matrix(dtype=dtype), pt.matrix(dtype=dtype)
    W, b = pt.matrix(dtype=dtype), pt.vector(dtype=dtype)
    lr = pt.scalar(dtype=dtype)
    cost = softplus(pt.dot(x, W) + b).sum() - 2 * softplus(pt.dot(v, W) + b).sum() + pt.sqr(W).sum()
    gradients = pt.grad(cost, [W, b])
    run = function([x, v, W, b, lr], [param - gradient * lr for param, gradient in zip([W, b], gradients)],
                   mode=MODES[by]())
    arrays = [numbers(*shape, dtype=dtype, seed=i, scale=1) for i, shape in enumerate([(6, 5), (7, 5), (5, 3), (3,)])]
    found = run(*arrays, np.asarray(0.25, dtype=dtype))
    assert sum(isinstance(op, AddProduct) for op in ops_in(run)) == (2 if by == "numba" else 0)
    x, v, W, b = (array.astype(float) for array in arrays)
    first, second = special.expit(x @ W + b), -2 * special.expit(v @ W + b)
    expected = [W - 0.25 * (x.T @ first + v.T @ second + 2 * W), b - 0.25 * (
        first.sum(axis=0) + second.sum(axis=0))]
    for value, exact in zip(found, expected, strict=True):
        assert value.dtype == dtype
        np.testing.assert_allclose(value, exact, rtol=100 * RTOL[dtype], atol=20 * RTOL[dtype])


U, V, SQUARE, SCALE = pt.fmatrix(), pt.fmatrix(), pt.fmatrix(), pt.fscalar()
PRODUCT = pt.dot(U.T, V)


@pytest.mark.parametrize("graph, n_products", [
    (Z + PRODUCT, 1), (PRODUCT + Z, 1), (Z - PRODUCT, 1), (PRODUCT - Z, 1), (-(Z - PRODUCT), 1),
    (Z - SCALE * (3 * PRODUCT - Z) * 2, 1), (Z + (-PRODUCT) * SCALE + pt.dot(X.T, V), 2),
    (2 * Z - SCALE * Z + PRODUCT, 1),
    (pt.dot(U.T, V), 0), (PRODUCT + pt.dot(X.T, V), 0),  # nothing that it could be added to
    (Z + BIAS + PRODUCT, 1), (BIAS + PRODUCT, 0),  # for the second there is another rewrite
    (Z * PRODUCT + Z, 0), (Z + pt.exp(PRODUCT), 0), (Z + pt.dot(SQUARE, Z), 0), (Z.astype("float64") + PRODUCT, 0),
    (pt.tensor(dtype="float32", shape=(1, None)).sum() + PRODUCT, 0),
])
def test_what_a_product_is_added_to(graph, n_products):
    """Sums, differences and multiples; the values are as without the rewrite."""
    inputs = [each for each in explicit_graph_inputs([graph])]
    run, plain = (function(inputs, graph, mode=mode()) for mode in (MODES["numba"], MODES["numpy"]))
    assert sum(isinstance(op, AddProduct) for op in ops_in(run)) == n_products
    shapes = {U: (4, 5), X: (4, 5), V: (4, 3), Z: (5, 3), SQUARE: (5, 5), BIAS: (3,), SCALE: ()}
    values = [numbers(*shapes.get(each, (1, 3)), dtype="float32", seed=i) for i, each in enumerate(inputs)]
    np.testing.assert_allclose(run(*values), plain(*values), rtol=1e-4, atol=1e-4)


def test_a_product_that_two_ask_for_is_computed_once():
    run = function([U, V, Z], [Z - PRODUCT, PRODUCT])
    assert not any(isinstance(op, AddProduct) for op in ops_in(run))


@by_both
@of_both_precisions
@pytest.mark.parametrize("axis", [0, 1, None])
def test_sums_of_a_matrix_in_double_precision(by, dtype, axis):
    large = np.array([[2.0**30, 1, -2.0**30]], dtype=dtype)  # the 1 would be lost in single precision
    matrices = [numbers(*shape, dtype=dtype) for shape in ((5, 3), (1, 4), (0, 3), (3, 0), (0, 0), (400, 7))]
    for matrix in [*matrices, large, large.T]:
        for x in layouts(matrix):
            found = np.asarray(compute(MatrixSum(axis), by, x))
            lines = [x.ravel()] if axis is None else x if axis else x.T
            assert found.dtype == dtype and found.shape == (() if axis is None else (len(lines),))
            exact = [math.fsum(line) for line in lines]
            np.testing.assert_allclose(found, exact[0] if axis is None else exact, rtol=RTOL[dtype], atol=1e-12)


@by_both
@of_both_precisions
def test_a_matrix_full_of_one_number(by, dtype):
    for number in (np.array(0.1, dtype=dtype), np.array([[0.1]], dtype=dtype)):
        for shape in ((3, 2), (0, 2), (1, 1)):
            found = compute(Filled(), by, number, *shape)
            assert found.dtype == dtype
            np.testing.assert_array_equal(found, np.full(shape, 0.1, dtype=dtype))


N = pt.lscalar()


@pytest.mark.parametrize("graph, made", [
    (X.sum(axis=0), MatrixSum(0)), (2 * X.sum(axis=0) + BIAS, MatrixSum(0)), (pt.exp(X).sum(axis=0), MatrixSum(0)),
    (X.sum(axis=1), MatrixSum(1)), (X.sum(), MatrixSum(None)), (X.sum(axis=(0, 1)) * BIAS, MatrixSum(None)),
    (BIAS.sum(axis=0), None), (N * X.astype("int64").sum(axis=0), None), (X.sum(axis=0, acc_dtype="float32"), None),
    (pt.dot(X.T, pt.alloc(BIAS[0], 4, 1)), Filled()), (pt.alloc(BIAS[0], N, 3) * X[0, 0], Filled()),
    (pt.alloc(BIAS[0], N), None), (pt.alloc(BIAS, N, 4), None),
])
def test_leaner_operations_of_our_functions(graph, made):
    """The values are as without them, to the bit."""
    inputs = [X, BIAS, N]
    run, plain = (function(inputs, graph, mode=chosen, on_unused_input="ignore")
                  for chosen in (MODES["numba"](), MODES["numba"]().excluding("dbn_matrix_sum", "dbn_filled")))
    assert [op for op in ops_in(run) if isinstance(op, (MatrixSum, Filled))] == ([] if made is None else [made])
    assert not any(isinstance(op, (MatrixSum, Filled)) for op in ops_in(plain))
    values = numbers(4, 4, dtype="float32"), numbers(4, dtype="float32", seed=1), 4
    np.testing.assert_array_equal(run(*values), plain(*values))
