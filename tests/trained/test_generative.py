"""A trained model run backwards: reconstructions and free energies against direct sums, samples against enumeration."""
import numpy as np
import pytensor
import pytest
from scipy.special import expit

from dbn.audio.scaling import Scaling
from dbn.errors import DBNError
from dbn.rbm import RBM, GaussianRBM
from dbn.trained.generative import free_energy
from dbn.trained.model import Model
from enumerated import Enumerated, assert_numbers_distributed, gaussian_mixture, make, numbers_of, states

N = 5000


def small_model(visible="bernoulli", scaling="max"):
    """A model of 4 inputs, hidden layers of 3 and 2, and 2 classes, its weights drawn."""
    rng = np.random.default_rng(0)
    sizes = [4, 3, 2, 2]

    def drawn(*shape):
        return rng.normal(size=shape).astype(np.float32)

    fitted = Scaling(scaling).fit([np.float32([[0, 0.5, 0, 0], [2, 2, 1, 2]])])
    return Model([drawn(*shape) for shape in zip(sizes, sizes[1:])], [drawn(size) for size in sizes[1:]],
                 [drawn(size) for size in sizes[:-2]], visible, "softmax", fitted, ("a", "b"),
                 {"sample_rate": 22050, "frame_length": 6, "hop_length": 3, "window": None})


def in_frames(model, inputs):
    return model.scaling.inverse(inputs.astype(np.float32))


@pytest.mark.parametrize("visible", ["bernoulli", "gaussian"])
@pytest.mark.parametrize("scaling", ["max", "minmax"])
def test_reconstruction_is_up_and_down_by_means(visible, scaling):
    model = small_model(visible, scaling)
    frames = np.random.default_rng(1).uniform(0.5, 1, size=(5, 4)).astype(np.float32)
    (w1, w2, _), (c1, c2, _), (b1, b2) = model.weights, model.biases, model.visible_biases
    last = expit if visible == "bernoulli" else np.asarray
    h1 = expit(model.scaling.transform(frames) @ w1 + c1)
    h1_again = expit(expit(h1 @ w2 + c2) @ w2.T + b2)
    for n_layers, hidden in ((1, h1), (2, h1_again), (None, h1_again)):
        found = model.reconstruct(frames, n_layers)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, in_frames(model, last(hidden @ w1.T + b1)), atol=1e-5)


@pytest.mark.parametrize("cls, visible", [(RBM, "bernoulli"), (GaussianRBM, "gaussian")])
def test_free_energy_is_the_graphs(cls, visible):
    rbm = make(cls, 6, 4)
    W, hbias, vbias = numbers_of(rbm)
    x = np.random.default_rng(1).normal(size=(9, 6))
    expected = pytensor.function([rbm.input], rbm.free_energy(rbm.input), mode="FAST_COMPILE")(x)
    np.testing.assert_allclose(free_energy(x, (W, hbias), vbias, visible), expected, rtol=1e-12)


def states_of(samples, means):
    """Which row of `means` each sample is, each being one of them; int [n]."""
    distances = np.abs(samples[:, None] - means).max(axis=2)
    assert distances.min(axis=1).max() < 1e-4
    assert np.sort(np.abs(means[:, None] - means).max(axis=2), axis=1)[:, 1].min() > 1e-3  # all are different
    return distances.argmin(axis=1)


def rbm_of(model, layer):
    """W, hidden and visible biases in double precision."""
    return [values[layer].astype(float) for values in (model.weights, model.biases, model.visible_biases)]


def test_samples_of_one_rbm_have_its_distribution():
    """Each is the mean of the inputs given one of the 8 states of the hidden units."""
    model = small_model()
    W, hbias, vbias = rbm_of(model, 0)
    exact = Enumerated(W, hbias, vbias)
    means = in_frames(model, expit(states(3) @ W.T + vbias))
    found = model.sample(N, n_steps=60, n_layers=1)
    assert found.shape == (N, 4) and found.dtype == np.float32
    assert_numbers_distributed(states_of(found, means), exact.p_h)
    begun = model.sample(n_steps=60, frames=np.full((N, 4), 2, dtype=np.float32), n_layers=1)
    assert_numbers_distributed(states_of(begun, means), exact.p_h)


def test_samples_of_gaussian_units_have_the_mixtures_distribution():
    model = small_model("gaussian")
    _, p_h, means, _ = gaussian_mixture(*rbm_of(model, 0))
    assert_numbers_distributed(states_of(model.sample(N, 60, n_layers=1), in_frames(model, means)), p_h)


def test_samples_of_the_stack_come_down_from_the_top_rbm():
    model = small_model()
    exact = Enumerated(*rbm_of(model, 1))
    means = expit(exact.h @ model.weights[1].T + model.visible_biases[1])
    means = in_frames(model, expit(means @ model.weights[0].T + model.visible_biases[0]))
    assert_numbers_distributed(states_of(model.sample(N, 60), means), exact.p_h)


@pytest.mark.parametrize("n_layers", [1, 2])
def test_one_step_from_frames_draws_the_hidden_units_given_them(n_layers):
    model = small_model()
    frame = np.float32([[0.3, 2, 0, 1.5]])
    below = [model.scaling.transform(frame), *model.activations(frame)][n_layers - 1]
    W, hbias, vbias = rbm_of(model, n_layers - 1)
    h = states(len(hbias))
    p_on = expit(below @ W + hbias)
    means = expit(h @ W.T + vbias)
    if n_layers == 2:
        means = expit(means @ model.weights[0].T + model.visible_biases[0])
    found = model.sample(n_steps=1, frames=np.repeat(frame, N, axis=0), n_layers=n_layers)
    p = np.prod(np.where(h > 0, p_on, 1 - p_on), axis=1)
    assert_numbers_distributed(states_of(found, in_frames(model, means)), p)


def test_samples_depend_on_the_seed_and_go_on_with_more_steps():
    model = small_model("gaussian")
    first = model.sample(20, 3, seed=4)
    np.testing.assert_array_equal(model.sample(20, 3, seed=4), first)
    np.testing.assert_array_equal(model.sample(20, 3, seed=np.random.default_rng(4)), first)
    assert (model.sample(20, 3, seed=5) != first).any() and (model.sample(20, 4, seed=4) != first).any()
    sure = Model([400 * np.eye(4, dtype=np.float32)] * 2, [np.full(4, -200, np.float32)] * 2,
                 [np.full(4, -200, np.float32)], "bernoulli", "softmax", model.scaling, ("a",) * 4, {})
    np.testing.assert_array_equal(sure.sample(20, 1), sure.sample(20, 50))  # units that only copy: the same chains
    assert len(np.unique(sure.sample(200, 1), axis=0)) == 16 and sure.sample(0).shape == (0, 4)


@pytest.mark.parametrize("question, message", [
    (lambda model, frames: model.sample(n_layers=0), "n_layers is 0: give a number from 1 to 2"),
    (lambda model, frames: model.sample(n_layers=3), "n_layers is 3"),
    (lambda model, frames: model.sample(n_steps=0), "n_steps is 0"),
    (lambda model, frames: model.sample(-1), "n is -1"),
    (lambda model, frames: model.sample(frames=frames[:, 1:], n_layers=1), "4 features"),
    (lambda model, frames: model.sample(frames=frames[:, 1:]), "4 features"),
    (lambda model, frames: model.reconstruct(frames, n_layers=-1), "n_layers is -1"),
    (lambda model, frames: model.reconstruct(frames[:, 1:]), "4 features"),
])
def test_questions_that_cannot_be_meant(question, message):
    with pytest.raises(DBNError, match=message):
        question(small_model(), np.zeros((2, 4), dtype=np.float32))
