"""Every cost and gradient at activations of +-800, where e^800 is not a number that any floating-point type holds."""
import numpy as np
import pytensor.tensor as pt
import pytest
from scipy.special import logsumexp

from dbn.graph.compile import function
from dbn.logistic import LogisticRegression
from dbn.rbm import RBM, GaussianRBM

# with one-hot rows as states, v'W and Wh are +800 and -800
W = 800.0 * np.array([[1, -1, 1, 1], [-1, 1, -1, 1], [1, 1, -1, -1], [-1, -1, 1, -1]])
X = np.eye(4)
Y = np.array([0, 3, 2, 0], dtype=np.int32)


def softplus(t):
    return np.logaddexp(0, t)


@pytest.fixture(scope="module", params=["float32", "float64"])
def values(request):
    """Costs and gradients of both RBMs and both outputs, from one function.

    Compiled as in training for float32; without the rewrites that make graphs stable for float64, which has to be as
    finite by the equations alone.
    """
    dtype = request.param
    mode = {"float32": None, "float64": "FAST_COMPILE"}[dtype]
    x, y = pt.matrix(dtype=dtype), pt.ivector()
    outputs = {}
    for cls in (RBM, GaussianRBM):
        rbm = cls(input=x, n_visible=4, n_hidden=4, W=W, dtype=dtype)
        pre = rbm.propdown(x)[0]
        costs = {"free_energy": rbm.free_energy(x).mean(), "reconstruction": rbm.get_reconstruction_cost({}, pre)}
        if cls is RBM:
            costs["pseudo_likelihood"] = rbm.get_pseudo_likelihood_cost({})
        for name, cost in costs.items():
            gradients = pt.grad(cost, rbm.params, disconnected_inputs="ignore")
            outputs[cls.__name__, name] = [cost, *gradients]
    for kind in ("softmax", "sigmoid"):
        layer = LogisticRegression(x, 4, 4, output=kind, W=W, dtype=dtype)
        cost = layer.cost(y)
        outputs["LogisticRegression", kind] = [cost, *pt.grad(cost, [*layer.params, x]), layer.p_y_given_x]
    flat = [value for group in outputs.values() for value in group]
    numbers = iter(function([x, y], flat, mode=mode)(X.astype(dtype), Y))
    return {name: [next(numbers) for _ in group] for name, group in outputs.items()}


def test_everything_is_finite(values):
    for name, numbers in values.items():
        for number in numbers:
            assert np.isfinite(number).all(), name


def test_costs_are_right_as_well(values):
    costs = {name: float(numbers[0]) for name, numbers in values.items()}
    assert costs["RBM", "free_energy"] == pytest.approx(-softplus(W).sum(axis=1).mean(), rel=1e-6)
    assert costs["GaussianRBM", "free_energy"] == pytest.approx(0.5 - softplus(W).sum(axis=1).mean(), rel=1e-6)
    pre = X @ W.T
    cross_entropy = (X * -softplus(-pre) + (1 - X) * -softplus(pre)).sum(axis=1).mean()
    assert costs["RBM", "reconstruction"] == pytest.approx(cross_entropy, rel=1e-6)
    assert costs["GaussianRBM", "reconstruction"] == pytest.approx(-0.5 * ((X - pre) ** 2).sum(axis=1).mean(), rel=1e-6)
    flipped = X.copy()
    flipped[:, 0] = 1 - flipped[:, 0]
    rise = softplus(X @ W).sum(axis=1) - softplus(flipped @ W).sum(axis=1)  # F(v') - F(v) without biases
    assert costs["RBM", "pseudo_likelihood"] == pytest.approx(-4 * softplus(-rise).mean(), rel=1e-6)
    assert costs["LogisticRegression", "softmax"] == pytest.approx(
        (logsumexp(W, axis=1) - W[np.arange(4), Y]).mean(), rel=1e-6)
    assert costs["LogisticRegression", "sigmoid"] == pytest.approx(
        (softplus(W).sum(axis=1) - W[np.arange(4), Y]).mean(), rel=1e-6)
    assert min(abs(cost) for cost in costs.values()) > 0.1  # none of them so small that the bounds above mean nothing


def test_probabilities_of_certain_classes(values):
    """Softmax shares the probability among the largest; sigmoids are 1 and 0."""
    np.testing.assert_allclose(values["LogisticRegression", "softmax"][-1].sum(axis=1), 1, rtol=1e-6)
    np.testing.assert_array_equal(values["LogisticRegression", "sigmoid"][-1], W > 0)
