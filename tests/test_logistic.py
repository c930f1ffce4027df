"""The output layer's costs and errors for class numbers of any kind, and for those that are none of its classes."""
import numpy as np
import pytensor.tensor as pt
import pytest

from dbn.graph.compile import function
from dbn.logistic import LogisticRegression

X = np.random.default_rng(1).normal(size=(3, 2)).astype(np.float32)
W = np.random.default_rng(0).normal(size=(2, 4))
Y = np.array([1, 0, 3])


def costs_and_errors(output, kind):
    x, y = pt.fmatrix(), pt.vector(dtype=kind)
    layer = LogisticRegression(x, 2, 4, output=output, W=W, dtype="float32")
    return function([x, y], layer.cost(y)), function([x, y], layer.errors(y))


@pytest.mark.parametrize("output", ["softmax", "sigmoid"])
def test_labels_of_any_kind_of_integers(output):
    values = {tuple(float(run(X, Y.astype(kind))) for run in costs_and_errors(output, kind))
              for kind in ("int32", "int64", "uint8")}
    assert len(values) == 1 and np.isfinite(list(values)).all()


@pytest.mark.parametrize("output", ["softmax", "sigmoid"])
def test_labels_that_are_no_classes(output):
    for run in costs_and_errors(output, "int64"):
        for wrong in (-1, 4, 2**32):
            with pytest.raises(IndexError, match="a class number that the output layer does not have"):
                run(X, np.array([1, 0, wrong]))


def test_labels_that_are_no_integers():
    for wrong in (pt.fvector(), pt.imatrix(), pt.bvector() > 0):
        for output in ("softmax", "sigmoid"):
            layer = LogisticRegression(pt.fmatrix(), 2, 4, output=output, W=W, dtype="float32")
            for what in (layer.cost, layer.errors):
                with pytest.raises(TypeError, match="vector of integers"):
                    what(wrong)
