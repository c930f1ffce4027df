"""The network as a whole: its two views, its gradient, its costs, and that it learns to read digits."""
import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest
from sklearn.datasets import load_digits
from sklearn.metrics import log_loss

from dbn.audio.frames import FrameSet
from dbn.dbn import DBN
from dbn.rbm import RBM, GaussianRBM
from dbn.training.loops import frame_error, train
from dbn.training.settings import TrainingSettings
from small_network import N_INS, N_OUTS, examples, network

QUICK = "FAST_COMPILE"  # no compiler: for graphs that run a few times


@pytest.mark.parametrize("output", ["softmax", "sigmoid"])
@pytest.mark.parametrize("sizes", [(6,), (6, 5), (6, 5, 4)], ids=len)
def test_finetuning_gradient_against_finite_differences(output, sizes):
    """Along a random direction in each parameter, from the updates themselves."""
    x, y = examples(12)
    dbn = network("float64", hidden_layers_sizes=sizes, output=output)
    updates = dbn.finetune_updates(1.0)
    assert list(updates) == dbn.params and len(dbn.params) == 2 * (len(sizes) + 1)
    gradients = pytensor.function([dbn.x, dbn.y], [param - updates[param] for param in dbn.params], mode=QUICK)(x, y)
    cost = pytensor.function([dbn.x, dbn.y], dbn.finetune_cost, mode=QUICK)
    rng = np.random.default_rng(0)
    for param, gradient in zip(dbn.params, gradients):
        value = param.get_value()
        for _ in range(3):
            direction = rng.normal(size=value.shape)
            costs = []
            for step in (1e-5, -1e-5):
                param.set_value(value + step * direction)
                costs.append(cost(x, y))
            assert (gradient * direction).sum() == pytest.approx((costs[0] - costs[1]) / 2e-5, rel=1e-6, abs=1e-9)
        param.set_value(value)


@pytest.mark.parametrize("output", ["softmax", "sigmoid"])
def test_costs_and_outputs_against_sklearn_and_numpy(output):
    x, y = examples(40)
    dbn = network("float64", output=output)
    cost, errors, probabilities, predicted, *features = pytensor.function(
        [dbn.x, dbn.y], [dbn.finetune_cost, dbn.errors, dbn.logLayer.p_y_given_x, dbn.logLayer.y_pred,
                         *dbn.features()], mode=QUICK)(x, y)
    below = x
    for layer, feature in zip(dbn.sigmoid_layers, features, strict=True):
        below = 1 / (1 + np.exp(-(below @ layer.W.get_value() + layer.b.get_value())))
        np.testing.assert_allclose(feature, below, rtol=1e-12)
    activations = below @ dbn.logLayer.W.get_value() + dbn.logLayer.b.get_value()
    if output == "softmax":
        expected = np.exp(activations) / np.exp(activations).sum(axis=1, keepdims=True)
        assert cost == pytest.approx(log_loss(y, expected), rel=1e-10)
    else:
        expected = 1 / (1 + np.exp(-activations))
        one_hot = np.eye(N_OUTS)[y]
        assert cost == pytest.approx(sum(log_loss(one_hot[:, k], expected[:, k]) for k in range(N_OUTS)), rel=1e-10)
    np.testing.assert_allclose(probabilities, expected, rtol=1e-10)
    np.testing.assert_array_equal(predicted, expected.argmax(axis=1))
    assert errors == np.mean(expected.argmax(axis=1) != y)


def test_the_two_views_share_weights_and_hidden_biases():
    dbn = network(hidden_layers_sizes=(6, 5, 4), visible="gaussian")
    assert dbn.n_layers == 3
    assert [type(rbm) for rbm in dbn.rbm_layers] == [GaussianRBM, RBM, RBM]
    for rbm, layer in zip(dbn.rbm_layers, dbn.sigmoid_layers, strict=True):
        assert rbm.W is layer.W and rbm.hbias is layer.b and rbm.input is layer.input
        assert rbm.theano_rng is dbn.theano_rng
    assert dbn.rbm_layers[0].input is dbn.x
    assert [rbm.input for rbm in dbn.rbm_layers[1:]] == [layer.output for layer in dbn.sigmoid_layers[:-1]]
    assert [p.get_value().shape for p in dbn.params] == [(8, 6), (6,), (6, 5), (5,), (5, 4), (4,), (4, 3), (3,)]
    assert [p.get_value().shape for p in dbn.all_params()[8:]] == [(8,), (6,), (5,)]


@pytest.mark.parametrize("rng", [np.random.default_rng, np.random.RandomState])
def test_initial_parameters_are_the_tutorials(rng):
    dbn = DBN(rng(0), n_ins=513, hidden_layers_sizes=(50, 40), dtype="float32")
    for layer, (n_in, n_out) in zip(dbn.sigmoid_layers, [(513, 50), (50, 40)]):
        W, bound = layer.W.get_value(), 4 * np.sqrt(6 / (n_in + n_out))
        assert W.dtype == np.float32 and np.abs(W).max() <= bound
        assert W.std() == pytest.approx(bound / np.sqrt(3), rel=0.05) and abs(W.mean()) < 0.05 * bound
        assert not layer.b.get_value().any()
    assert not dbn.logLayer.W.get_value().any()
    assert RBM(n_visible=4, n_hidden=3, numpy_rng=rng(0)).W.get_value().shape == (4, 3)


def test_values_are_copies_and_go_back():
    dbn, other = network(seed=1), network(seed=2)
    values = dbn.get_values()
    other.set_values(values)
    values[0][:] = 0
    for a, b in zip(dbn.get_values(), other.get_values(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert dbn.params[0].get_value().any()
    for wrong in (values[:-1], [values[0].T, *values[1:]], []):
        with pytest.raises(ValueError, match="not of this network's shapes"):
            dbn.set_values(wrong)


@pytest.mark.parametrize("options, message", [
    ({"visible": "binary"}, "visible"), ({"output": "linear"}, "output"), ({"hidden_layers_sizes": ()}, "layer")])
def test_options_that_a_network_does_not_have(options, message):
    with pytest.raises(ValueError, match=message):
        network(**options)


def test_pretraining_gradient_stays_in_its_layer():
    """Greedy: the update of the second RBM changes none of the first one's weights."""
    dbn = network()
    _, updates = dbn.rbm_layers[1].get_cost_updates(0.1)
    assert set(updates) == set(dbn.rbm_layers[1].params)


@pytest.mark.parametrize("n, starts", [(23, (0, 10)), (7, (0,))])
def test_scores_are_of_complete_minibatches(n, starts):
    """As the tutorial's programs count them; a set smaller than a minibatch is one."""
    x, y = examples(n)
    dbn = network()
    shared = pytensor.shared(x), pytensor.shared(y)
    _, valid_score, _ = dbn.build_finetune_functions([shared] * 3, batch_size=10, learning_rate=0.1)
    predicted = dbn.prediction_function()(x).argmax(axis=1)
    assert valid_score() == pytest.approx([np.mean(predicted[i:i + 10] != y[i:i + 10]) for i in starts])


@pytest.mark.parametrize("cast", [lambda y: y.astype(np.int64), lambda y: y.astype(np.uint8), None])
def test_labels_of_any_integers_and_cast_as_in_the_tutorial(cast):
    x, y = examples(20)
    labels = pt.cast(pytensor.shared(y.astype(np.float32)), "int32") if cast is None else pytensor.shared(cast(y))
    scores = []
    for given in (labels, pytensor.shared(y)):
        train_fn, valid_score, _ = network().build_finetune_functions([(pytensor.shared(x), given)] * 3, 10, 0.1)
        scores.append([float(train_fn(0)), float(train_fn(1)), *valid_score()])
    assert scores[0] == pytest.approx(scores[1])


def test_labels_that_are_no_integers_are_refused():
    x, y = examples(20)
    with pytest.raises(TypeError, match="class numbers are integers"):
        network().build_finetune_functions([(pytensor.shared(x), pytensor.shared(y.astype(float)))] * 3, 10, 0.1)


@pytest.fixture(scope="module")
def digits():
    """Handwritten digits of 8 x 8 pixels, scaled to [0, 1]: training, validation and test set."""
    x, y = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(x))
    x, y = (x[order] / 16).astype(np.float32), y[order].astype(np.int32)
    return [FrameSet.from_arrays(x[rows], y[rows]) for rows in (slice(0, 1100), slice(1100, 1400), slice(1400, None))]


def test_it_learns_to_read_digits(digits):
    train_set, valid_set, test_set = digits
    settings = TrainingSettings(hidden_layers_sizes=(100, 50), pretrain_lr=0.05, pretrain_epochs=10, finetune_lr=0.3,
                                finetune_epochs=60, batch_size=20)
    result = train(train_set, valid_set, 10, settings, progress=False)
    for layer in (1, 2):
        reconstruction = [r["cost"] for r in result.history if r.get("layer") == layer]
        assert reconstruction[0] < reconstruction[3] < reconstruction[-1] < 0
    assert frame_error(result.dbn.prediction_function(), test_set) <= 0.05


def test_symbolic_inputs_have_the_tutorials_types():
    dbn = network("float64")
    assert dbn.x.type == pt.dmatrix and dbn.y.type == pt.ivector
    assert dbn.finetune_cost.ndim == dbn.errors.ndim == 0
    assert dbn.x in pytensor.graph.traversal.explicit_graph_inputs([dbn.finetune_cost])
    assert dbn.rbm_layers[0].n_visible == N_INS
