"""The network in NumPy against formulas in double precision and the compiled graph."""
import numpy as np
import pytest
import scipy.special

from dbn.audio.scaling import Scaling
from dbn.errors import DBNError
from dbn.trained.forward import ROWS, class_probabilities, hidden_activations, sigmoid, softmax
from small_network import HIDDEN, N_INS, N_OUTS, network

SIZES = (N_INS, *HIDDEN, N_OUTS)


def make_layers(dtype=np.float32, seed=0):
    rng = np.random.default_rng(seed)
    return [(rng.normal(size=(n_in, n_out)).astype(dtype), rng.normal(size=n_out).astype(dtype))
            for n_in, n_out in zip(SIZES, SIZES[1:])]


def make_rows(n, dtype=np.float32, seed=1):
    return np.random.default_rng(seed).uniform(0, 2, size=(n, N_INS)).astype(dtype)


def expected_layers(x, layers):
    """Every layer's weighted sums in double precision, sigmoids between."""
    sums = []
    for weights, bias in layers:
        sums.append(x.astype(np.float64) @ weights.astype(np.float64) + bias)
        x = scipy.special.expit(sums[-1])
    return sums


@pytest.mark.parametrize("n", [0, 1, ROWS - 1, ROWS, ROWS + 1, 3 * ROWS + 5])
def test_hidden_activations_over_several_blocks(n):
    x, layers = make_rows(n), make_layers()
    found = hidden_activations(x, layers[:-1])
    assert [layer.shape for layer in found] == [(n, units) for units in HIDDEN]
    for layer, sums in zip(found, expected_layers(x, layers)):
        np.testing.assert_allclose(layer, scipy.special.expit(sums), atol=3e-7)


@pytest.mark.parametrize("output, function", [("softmax", lambda x: scipy.special.softmax(x, axis=1)),
                                              ("sigmoid", scipy.special.expit)])
@pytest.mark.parametrize("n", [0, 1, ROWS, 2 * ROWS + 1])
def test_class_probabilities(n, output, function):
    x, layers = make_rows(n), make_layers()
    found = class_probabilities(x, layers, output)
    assert found.shape == (n, N_OUTS)
    np.testing.assert_allclose(found, function(expected_layers(x, layers)[-1]), atol=1e-6)


@pytest.mark.parametrize("dtype, tolerance", [("float32", 1e-6), ("float64", 1e-14)])
def test_equals_the_graph(dtype, tolerance):
    dbn = network(dtype)
    values = [param.get_value() for param in dbn.params]
    layers = list(zip(values[::2], values[1::2]))
    x = make_rows(2 * ROWS + 3, dtype)
    probabilities = class_probabilities(x, layers, "softmax")
    assert probabilities.dtype == dtype
    np.testing.assert_allclose(probabilities, dbn.prediction_function()(x), atol=tolerance)
    [means] = hidden_activations(x, layers[:1])
    np.testing.assert_allclose(means, dbn.propup_function(0)(x), atol=tolerance)


def test_scaling_is_applied_and_the_frames_stay():
    x, layers = make_rows(2 * ROWS + 3), make_layers()
    before, scaling = x.copy(), Scaling("minmax").fit([make_rows(20, seed=2)])
    found = hidden_activations(x, layers[:-1], scaling)
    scaled = np.clip((x - scaling.offset) * scaling.gain, 0, 1)
    for ours, expected in zip(found, hidden_activations(scaled, layers[:-1])):
        np.testing.assert_array_equal(ours, expected)
    np.testing.assert_array_equal(class_probabilities(x, layers, "sigmoid", scaling),
                                  class_probabilities(scaled, layers, "sigmoid"))
    np.testing.assert_array_equal(x, before)


def test_rows_of_another_width_than_the_scalings():
    with pytest.raises(DBNError, match=f"{N_INS} features"):
        hidden_activations(np.zeros((2, N_INS + 1), np.float32), make_layers(), Scaling().fit([make_rows(3)]))


@pytest.mark.parametrize("output", ["softmax", "sigmoid"])
def test_without_classes_there_are_no_probabilities(output):
    layers = [*make_layers()[:-1], (np.zeros((HIDDEN[-1], 0), np.float32), np.zeros(0, np.float32))]
    with pytest.raises(DBNError, match="has no classes: use activations"):
        class_probabilities(make_rows(3), layers, output)


def test_output_functions_work_in_place_and_overflow_nowhere():
    x = np.array([[-1e4, -90, 0.5], [1e4, 1e4, -1e4]], np.float32)
    for function, expected in ((sigmoid, scipy.special.expit(x)), (softmax, scipy.special.softmax(x, axis=1))):
        values = x.copy()
        assert function(values) is values
        np.testing.assert_allclose(values, expected, atol=1e-7)
