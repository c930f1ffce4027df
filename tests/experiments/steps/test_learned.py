"""What the notebook shows of a network, against direct sums."""
from itertools import product

import numpy as np
import pytest

from dbn.audio.scaling import Scaling
from dbn.trained.model import Model
from experiments.steps import learned


def small_model(visible="bernoulli"):
    """A model of 4 inputs, hidden layers of 3 and 2, and 2 classes, its weights drawn."""
    rng = np.random.default_rng(0)
    sizes = [4, 3, 2, 2]

    def drawn(*shape):
        return rng.normal(size=shape).astype(np.float32)

    scaling = Scaling("max").fit([np.full((1, 4), 2, dtype=np.float32)])
    return Model([drawn(*shape) for shape in zip(sizes, sizes[1:])], [drawn(size) for size in sizes[1:]],
                 [drawn(size) for size in sizes[:-2]], visible, "softmax", scaling, ("a", "b"),
                 {"sample_rate": 22050, "frame_length": 6, "hop_length": 3, "window": None})


def sigmoid(x):
    return 1 / (1 + np.exp(-np.asarray(x, dtype=float)))


def test_frequencies_run_from_zero_to_half_the_sample_rate():
    np.testing.assert_allclose(learned.bin_frequencies(small_model()), [0, 3675, 7350, 11025])


@pytest.mark.parametrize("visible", ["bernoulli", "gaussian"])
def test_reconstruction_is_up_and_down_by_means(visible):
    model = small_model(visible)
    frames = np.random.default_rng(1).uniform(0, 2, size=(5, 4)).astype(np.float32)
    (w1, w2, _), (c1, c2, _), (b1, b2) = model.weights, model.biases, model.visible_biases
    last = sigmoid if visible == "bernoulli" else np.asarray
    h1 = sigmoid(frames / 2 @ w1 + c1)
    np.testing.assert_allclose(learned.reconstruct(model, frames, 1), last(h1 @ w1.T + b1), atol=1e-5)
    h1_again = sigmoid(sigmoid(h1 @ w2 + c2) @ w2.T + b2)
    np.testing.assert_allclose(learned.reconstruct(model, frames, 2), last(h1_again @ w1.T + b1), atol=1e-5)


def test_long_gibbs_chains_have_the_mean_of_the_model():
    """Against the sum over all states of e^-E, E as in §3's references: -b'v - c'h - v'Wh."""
    model = small_model()
    w, c, b = model.weights[0], model.biases[0], model.visible_biases[0]
    states = [(np.array(v), np.array(h)) for v in product((0, 1), repeat=4) for h in product((0, 1), repeat=3)]
    p = np.array([np.exp(b @ v + c @ h + v @ w @ h) for v, h in states])
    mean = sum(p_i * v for p_i, (v, _) in zip(p / p.sum(), states))

    n_chains = 20_000
    start = np.ones((n_chains, 4), dtype=np.float32)
    first, last = learned.gibbs_means(learned.rebuild_rbm(model, seed=3), start, [1, 60])
    # a mean of n independent numbers in [0, 1] has a standard deviation of at most 0.5 / sqrt(n)
    np.testing.assert_allclose(last.mean(axis=0), mean, atol=5 * 0.5 / np.sqrt(n_chains))
    assert np.abs(first.mean(axis=0) - mean).max() > 0.05  # one step from all ones is not there yet
    np.testing.assert_array_equal(learned.gibbs_means(learned.rebuild_rbm(model, seed=3), start, [1, 60])[1], last)


def test_rebuilt_rbm_is_the_layer_of_the_model():
    model = small_model("gaussian")
    first, second = learned.rebuild_rbm(model, 0), learned.rebuild_rbm(model, 1)
    assert (type(first).__name__, type(second).__name__) == ("GaussianRBM", "RBM")
    for layer, rbm in enumerate([first, second]):
        for parameter, values in zip(rbm.params, (model.weights, model.biases, model.visible_biases)):
            np.testing.assert_array_equal(parameter.get_value(), values[layer])
