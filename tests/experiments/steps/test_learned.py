"""What the notebooks show of a network."""
from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pytest

from dbn.audio.scaling import Scaling
from dbn.trained.convolutional import ConvolutionalModel
from experiments.steps import learned

SETTINGS = {"sample_rate": 8000, "frame_length": 16, "hop_length": 8, "window": None, "pooling": None}  # 1 ms a frame
N_BINS, N_FRAMES = 9, 40


@pytest.fixture
def frames():
    """Magnitudes of a song."""
    return np.random.default_rng(0).gamma(1, size=(N_FRAMES, N_BINS)).astype("f4")


@pytest.fixture
def model(frames):
    """A convolutional network of random weights: 7 bases of 4 frames, blocks of 3, two classes."""
    rng = np.random.default_rng(1)
    scaling = Scaling("log-whitened-pca-5").fit([frames])
    weights = [rng.normal(size=shape).astype("f4") for shape in ((4 * 5, 7), (7, 2))]
    biases = [np.zeros(n, "f4") for n in (7, 2)]
    return ConvolutionalModel(weights, biases, [np.zeros(5, "f4")], (4,), (3,), "gaussian", "softmax", scaling,
                              ("a", "b"), SETTINGS)


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def test_frequencies_run_from_zero_to_half_the_sample_rate():
    model = SimpleNamespace(frame_settings={"sample_rate": 22050, "frame_length": 6})
    np.testing.assert_allclose(learned.bin_frequencies(model), [0, 3675, 7350, 11025])


def test_a_base_on_the_bins_is_what_the_scaling_makes_the_weights_of(model):
    spectra = learned.base_spectra(model)
    assert spectra.shape == (7, 4, N_BINS)
    base = model.weights[0][:, 2].reshape(4, 5)
    with_base = np.expm1(spectra[2] + model.scaling.offset)
    np.testing.assert_allclose(model.scaling.inverse(base), with_base, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(spectra[2] @ model.scaling.components * model.scaling.gain, base, atol=1e-5)


def test_bases_are_drawn_over_milliseconds_and_hertz(model):
    figure = learned.draw_bases(model, [6, 0, 3, 1, 2, 5, 4])  # the second row has five panels to spare
    drawn = [axes for axes in figure.axes if axes.collections]
    assert [axes.get_title() for axes in drawn] == [f"base {n}" for n in (7, 1, 4, 2, 3, 6, 5)]
    np.testing.assert_allclose(drawn[0].collections[0].get_array(), learned.base_spectra(model)[6].T)
    np.testing.assert_allclose(drawn[0].get_xlim(), [0, 4], atol=1e-6)
    assert all(axes.get_ylim() == (0, 4000) for axes in drawn)
    figure.draw_without_rendering()


def test_hidden_units_stand_in_the_middle_of_what_they_see_and_pooling_units_over_theirs(model, frames):
    n_positions = N_FRAMES - 4 + 1 - 1  # the last one fills no block
    means = np.linspace(0, 1, n_positions * 7).reshape(n_positions, 7)
    figure = learned.draw_pooling(model, frames, means, [5, 2], "a song")
    top, hidden, pooled = (axes for axes in figure.axes if axes.images and axes.get_ylabel())
    for axes, values in ((hidden, means), (pooled, model.features(frames)[0])):
        [image] = axes.images
        np.testing.assert_allclose(image.get_array(), values[:, [2, 5]].T)  # the first base on top
        np.testing.assert_allclose(image.get_extent(), [0.0015, 0.0015 + 0.036, 0, 2])
        assert [label.get_text() for label in axes.get_yticklabels()] == ["base 3", "base 6"]
    np.testing.assert_allclose(top.get_xlim(), [0, 0.04])
    figure.draw_without_rendering()


def test_answers_are_those_of_the_highest_mean(model, frames):
    figure = learned.draw_answers({"one": model, "other": model}, frames, "a song")
    means = model.predict_proba(frames).mean(axis=0)
    titles = [axes.get_title() for axes in figure.axes if axes.get_title()]
    assert titles == ["a song", *(f"{name}: {'ab'[means.argmax()]}, mean probability {means.max():.2f}"
                                  for name in ("one", "other"))]
