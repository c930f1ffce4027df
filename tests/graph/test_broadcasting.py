"""Rewrites and shapes: whatever PyTensor computes, our functions compute, axes of length 1 and lost axes included."""
import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pytensor.compile.mode import Mode
from pytensor.link.numba.linker import NumbaLinker
from pytensor.tensor.math import Dot

from compute_ops import MODES, numbers, ops_in
from dbn.graph.compile import function, mode
from dbn.graph.ops import Product, sigmoid, softplus

# our rewrites, chosen as for Numba, and NumPy, which compiles in no time
BY_NUMPY = Mode("py", mode().provided_optimizer).excluding(*NumbaLinker.incompatible_rewrites)


@pytest.fixture(autouse=True)
def no_rewrite_fails():
    """Else PyTensor prints that one did, and goes on without."""
    with pytensor.config.change_flags(on_opt_error="raise"):
        yield


def variable(*shape):
    return pt.tensor(dtype="float64", shape=shape)


X, Y, BIAS = pt.dmatrix(), pt.dmatrix(), pt.dvector()
COLUMN, ROW, ONE = variable(None, 1), variable(1, None), variable(1)
TALL, LAYERS = variable(None, 1), variable(None, None, 1)

LEGAL = {
    "a column plus a vector": (pt.dot(X, COLUMN) + BIAS, {X: (3, 2), COLUMN: (2, 1), BIAS: (4,)}),
    "a transpose's column plus a vector": (BIAS + pt.dot(X.T, COLUMN), {X: (2, 3), COLUMN: (2, 1), BIAS: (4,)}),
    "a transposed row plus a vector": (pt.dot(X, ROW.T) + BIAS, {X: (3, 2), ROW: (1, 2), BIAS: (4,)}),
    "one number for all": (pt.dot(X, Y) + ONE, {X: (3, 2), Y: (2, 4), ONE: (1,)}),
    "a column plus one number": (pt.dot(X, COLUMN) + ONE, {X: (3, 2), COLUMN: (2, 1), ONE: (1,)}),
    "a row plus a vector": (pt.dot(ROW, Y) + BIAS, {ROW: (1, 2), Y: (2, 4), BIAS: (4,)}),
    "a vector that was a matrix": (pt.dot(X, Y) + TALL.dimshuffle("x", 0), {X: (3, 2), Y: (2, 4), TALL: (4, 1)}),
    "a transpose that loses an axis": (pt.dot(LAYERS.dimshuffle(1, 0), Y), {LAYERS: (2, 3, 1), Y: (2, 4)}),
}


@pytest.mark.parametrize("what", LEGAL)
def test_legal_graphs(what):
    graph, shapes = LEGAL[what]
    values = [numbers(*shape, seed=i) for i, shape in enumerate(shapes.values())]
    expected = pytensor.function([*shapes], graph, mode=MODES["numpy"]())(*values)
    found = function([*shapes], graph)(*values)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_a_product_keeps_what_is_known_of_its_shape():
    """So that a rewrite may ask it whether it is a column."""
    assert Product(False, False)(X, COLUMN).type.shape == (None, 1)
    assert Product(True, True)(COLUMN, X, BIAS).type.shape == (1, None)
    assert Product(False, False)(X, Y, variable(7)).type.shape == (None, 7)
    known = function([X, ROW], pt.dot(X, ROW.T))
    assert known.maker.fgraph.outputs[0].type.shape == (None, 1)
    assert not any(isinstance(op, Dot) for op in ops_in(known))


# Graphs that nobody would think of; our operations refuse the same shapes by NumPy as by Numba


@st.composite
def operands(draw, *shape):
    """A variable whose static shape says some lengths or none, a value for it, and how it is seen as a matrix."""
    turned, layered = draw(st.booleans()), draw(st.booleans())
    shape = shape[::-1] if turned else shape
    static = tuple(length if draw(st.booleans()) else None for length in shape)
    x = variable(*static, *((1,) if layered else ()))
    axes = (1, 0) if turned else (0, 1)
    matrix = x.dimshuffle(axes) if layered else x.T if turned else x
    return x, numbers(*shape, *((1,) if layered else ()), seed=draw(st.integers(0, 9))), matrix


@st.composite
def addends(draw, n_rows, n_columns):
    """As :func:`operands`; what can be added to a matrix, perhaps of an axis too short, or to a column too long."""
    kind = draw(st.sampled_from(["vector", "one", "long", "lost axis", "column", "matrix", "number"]))
    if kind == "matrix":
        return draw(operands(n_rows, n_columns))
    shape, static, axes = {
        "vector": ((n_columns,), (draw(st.sampled_from([None, n_columns])),), ("x", 0)), "one": ((1,), (1,), ("x", 0)),
        "long": ((4,), (None,), ("x", 0)), "lost axis": ((n_columns, 1), (None, 1), ("x", 0)),
        "column": ((n_rows,), (None,), (0, "x")), "number": ((), (), ("x", "x"))}[kind]
    x = variable(*static)
    return x, numbers(*shape, seed=7), x.dimshuffle(axes)


ENDS = {"as it is": lambda a: a, "sigmoid": sigmoid, "softplus": softplus, "sum": lambda a: a.sum(axis=0),
        "row by row": lambda a: (a + a.max(axis=1, keepdims=True)).T}


@given(st.data())
@settings(max_examples=150, derandomize=True, deadline=None, database=None)
def test_random_graphs(data):
    """Products and sums, which are rewritten where they may be."""
    n, m, k = (data.draw(st.integers(1, 3)) for _ in range(3))
    x, x_value, left = data.draw(operands(n, m))
    y, y_value, right = data.draw(operands(m, k))
    z, z_value, addend = data.draw(addends(n, k))
    product = pt.dot(left, right)
    pair = (product, addend) if data.draw(st.booleans()) else (addend, product)
    end = ENDS[data.draw(st.sampled_from(sorted(ENDS)))]
    outputs = [end(pair[0] + pair[1])] + ([product] if data.draw(st.booleans()) else [])
    values = x_value, y_value, z_value
    try:
        expected = pytensor.function([x, y, z], outputs, mode=MODES["numpy"]())(*values)
    except ValueError:
        return  # shapes that PyTensor does not add
    for found, exact in zip(function([x, y, z], outputs, mode=BY_NUMPY)(*values), expected, strict=True):
        assert found.shape == exact.shape
        np.testing.assert_allclose(found, exact, rtol=1e-10, atol=1e-12)
