"""What the paper's training lacks, against NumPy in float64: weight decay, momentum, sparsity, dropout, relu."""
import numpy as np
import pytensor
import pytest

from dbn.dbn import DBN
from dbn.graph.compile import function
from dbn.graph.streams import RandomStreams
from dbn.mlp import HiddenLayer, dropout, relu
from dbn.rbm import RBM, GaussianRBM
from small_network import N_INS, N_OUTS, examples, network

LR, DECAY, MOMENTUM, COST, TARGET = 0.3, 0.05, 0.7, 2.0, 0.1


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


class _Means:
    """Draws that are no draws: units take their means, so that NumPy can follow."""

    def binomial(self, size, n, p, dtype):
        return p

    def normal(self, size, avg, dtype):
        return avg


def shared_zeros(params):
    return [pytensor.shared(np.zeros_like(param.get_value())) for param in params]


@pytest.mark.parametrize("rbm_class", [RBM, GaussianRBM])
def test_three_steps_of_contrastive_divergence(rbm_class):
    rng = np.random.default_rng(0)
    x = rng.random((12, 5))
    W, c, b = rng.normal(size=(5, 4)), rng.normal(size=4), rng.normal(size=5)
    rbm = rbm_class(n_visible=5, n_hidden=4, W=W, hbias=c, vbias=b, theano_rng=_Means(), dtype="float64")
    velocities = shared_zeros(rbm.params)
    _, updates = rbm.get_cost_updates(LR, sparsity=(TARGET, COST), weight_decay=DECAY, momentum=MOMENTUM,
                                      velocities=velocities)
    step = function([rbm.input], [], updates=updates)
    v = [np.zeros_like(value) for value in (W, c, b)]
    for _ in range(3):
        h = sigmoid(x @ W + c)
        down = h @ W.T + b
        x1 = down if rbm_class is GaussianRBM else sigmoid(down)
        h1 = sigmoid(x1 @ W + c)
        gradients = [-(x.T @ h - x1.T @ h1) / 12 + DECAY * W, -(h - h1).mean(axis=0), -(x - x1).mean(axis=0)]
        gradients[1] = gradients[1] + COST * (h.mean(axis=0) - TARGET)
        v = [MOMENTUM * velocity + gradient for velocity, gradient in zip(v, gradients)]
        W, c, b = (value - LR * velocity for value, velocity in zip((W, c, b), v))
        step(x)
    for ours, expected in zip([*rbm.params, *velocities], [W, c, b, *v], strict=True):
        np.testing.assert_allclose(ours.get_value(), expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("activation", ["sigmoid", "relu"])
def test_three_steps_of_fine_tuning(activation):
    dbn = network("float64", activation=activation)
    x, y = examples(30)
    values = [param.get_value() for param in dbn.params]
    velocities = shared_zeros(dbn.params)
    run = dbn.finetuning_epoch(pytensor.shared(x.astype(float)), pytensor.shared(y), weight_decay=DECAY,
                               momentum=MOMENTUM, velocities=velocities)
    v = [np.zeros_like(value) for value in values]
    for _ in range(3):
        gradients = numpy_gradients(values, x.astype(float), y, activation)
        v = [MOMENTUM * velocity + gradient + (DECAY * value if value.ndim == 2 else 0)
             for velocity, gradient, value in zip(v, gradients, values)]
        values = [value - LR * velocity for value, velocity in zip(values, v)]
        run(np.arange(30), 30, LR)
    for ours, expected in zip([*dbn.params, *velocities], [*values, *v], strict=True):
        np.testing.assert_allclose(ours.get_value(), expected, rtol=1e-10, atol=1e-12)


def numpy_gradients(values, x, y, activation):
    """Of the mean -log softmax, by hand; also checked by differences below."""
    layers, rows = list(zip(values[::2], values[1::2])), [x]
    for W, b in layers[:-1]:
        t = rows[-1] @ W + b
        rows.append(sigmoid(t) if activation == "sigmoid" else np.maximum(t, 0))
    scores = rows[-1] @ layers[-1][0] + layers[-1][1]
    p = np.exp(scores - scores.max(axis=1, keepdims=True))
    delta = (p / p.sum(axis=1, keepdims=True) - np.eye(N_OUTS)[y]) / len(x)
    gradients = []
    for (W, _), below in zip(layers[::-1], rows[::-1]):
        gradients = [below.T @ delta, delta.sum(axis=0), *gradients]
        delta = delta @ W.T * (below * (1 - below) if activation == "sigmoid" else below > 0)
    return gradients


@pytest.mark.parametrize("activation", ["sigmoid", "relu"])
def test_gradients_by_differences(activation):
    """Through dropout too: with the same draws, which the same state gives, the cost is a function like any other."""
    dbn = network("float64", activation=activation, dropout=0.4)
    x, y = (each[:9] for each in examples(9))
    gradients = function([dbn.x, dbn.y], pytensor.grad(dbn.finetune_cost, dbn.params))
    cost = function([dbn.x, dbn.y], dbn.finetune_cost)

    def anew(compiled):
        dbn.theano_rng.seed(5)
        return compiled(x.astype(float), y)

    exact, rng = anew(gradients), np.random.default_rng(1)
    for param, gradient in zip(dbn.params, exact):
        direction, value = rng.normal(size=gradient.shape), param.get_value()
        costs = []
        for sign in (1, -1):
            param.set_value(value + sign * 1e-6 * direction)
            costs.append(anew(cost))
        param.set_value(value)
        assert (costs[0] - costs[1]) / 2e-6 == pytest.approx((gradient * direction).sum(), rel=1e-5, abs=1e-8)


def test_dropout_leaves_out_its_share_anew_and_keeps_the_mean():
    x = pytensor.shared(np.full((400, 500), 3.0, dtype=np.float32))
    fn = function([], dropout(RandomStreams(1), x, 0.2))
    first, second = fn(), fn()
    assert set(np.unique(first)) == {0, np.float32(3 / np.float32(0.8))}
    assert (first == 0).mean() == pytest.approx(0.2, abs=5 * np.sqrt(0.16 / first.size))
    assert ((first == 0) == (second == 0)).mean() == pytest.approx(0.68, abs=0.01)


def test_dropout_is_for_training_alone():
    """Scores, predictions and features are those of the whole network."""
    whole, dropped = network("float64"), network("float64", dropout=0.5)
    x, y = examples(20)
    for ours, expected in ((dropped.logLayer.p_y_given_x, whole.logLayer.p_y_given_x),
                           (dropped.errors, whole.errors), (dropped.features()[1], whole.features()[1])):
        inputs = [([network.x, network.y], x.astype(float), y) for network in (dropped, whole)]
        values = [pytensor.function(names, out, on_unused_input="ignore")(rows, labels)
                  for (names, rows, labels), out in zip(inputs, (ours, expected))]
        np.testing.assert_array_equal(*values)
    assert len(whole.theano_rng.state_updates) == 0 and len(dropped.theano_rng.state_updates) == 2


def test_rectified_units():
    x = np.array([[-3.0, -0.0, 0.0, 1e-30, 2.5, -np.inf, np.inf]])
    assert function([], relu(pytensor.shared(x)))().tolist() == [[0, 0, 0, 1e-30, 2.5, 0, np.inf]]
    layer = HiddenLayer(np.random.default_rng(0), pytensor.shared(x), 7, 50, activation=relu)
    assert np.abs(layer.W.get_value()).max() <= np.sqrt(6 / 57)  # as the tutorial's tanh: a slope of 1


def test_an_unknown_activation_is_refused():
    with pytest.raises(ValueError, match="activation"):
        DBN(np.random.default_rng(0), n_ins=N_INS, n_outs=N_OUTS, activation="tanh")
