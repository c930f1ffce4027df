"""The network in NumPy: what it makes of frames, without a graph or a compiler (§4.1).

A layer is a pair (W [n_in, n_out], b [n_out]) of arrays of one float dtype, which is also that of the results. Rows are
worked through in blocks that stay in the processor's cache from the bottom layer to the top, so that any number of
frames takes no memory beside what is returned.
"""
import numpy as np

from dbn.errors import AudioError, DBNError

ROWS = 256  # of a block: half a megabyte of the paper's inputs in single precision


def hidden_activations(x, layers, scaling=None, activation="sigmoid"):
    """Activations of every hidden layer: sigmoid(x W + b), and so on with what comes out.

    Parameters
    ----------
    x : float array [n, n_in]
        Never changed.
    layers : sequence of (W, b)
        The hidden layers from the bottom; a single one gives the means of one RBM's hidden units.
    scaling : dbn.audio.scaling.Scaling, optional
        Applied to `x` first.
    activation : {"sigmoid", "relu"}
        Of the layers.

    Returns
    -------
    list of arrays [n, n_out]
        One a layer, from the bottom.

    Raises
    ------
    DBNError
        Rows of another width than the scaling's.
    """
    activations = [np.empty((len(x), len(bias)), dtype=bias.dtype) for _, bias in layers]
    function = {"sigmoid": sigmoid, "relu": relu}[activation]
    for rows in _blocks(x):
        below = x[rows] if scaling is None else scaling.transform(x[rows])
        for layer, outputs in zip(layers, activations):
            below = function(_weighted_sums(below, layer, out=outputs[rows]))
    return activations


def class_activations(x, layers, scaling=None, activation="sigmoid"):
    """What the output layer's function is applied to, x W + b: the largest of a row is the class that is predicted.

    Parameters
    ----------
    x, scaling, activation
        As in :func:`hidden_activations`.
    layers : sequence of (W, b)
        The hidden layers from the bottom, at least one, then the output layer.

    Returns
    -------
    array [n, n_classes]

    Raises
    ------
    DBNError
        Rows of another width than the scaling's.
    """
    *hidden, last = layers
    activations = np.empty((len(x), len(last[1])), dtype=last[1].dtype)
    for rows in _blocks(x):
        below = hidden_activations(x[rows], hidden, scaling, activation)[-1]
        _weighted_sums(below, last, out=activations[rows])
    return activations


def class_probabilities(x, layers, output, scaling=None, activation="sigmoid"):
    """Outputs of the whole network.

    Parameters
    ----------
    x, layers, scaling, activation
        As in :func:`class_activations`.
    output : {"softmax", "sigmoid"}
        Kind of the output layer, see :class:`dbn.logistic.LogisticRegression`.

    Returns
    -------
    array [n, n_classes]
        Rows sum to one if `output` is "softmax".

    Raises
    ------
    DBNError
        No classes, or rows of another width than the scaling's.
    """
    require_classes(layers[-1])
    probabilities = class_activations(x, layers, scaling, activation)
    function = {"softmax": softmax, "sigmoid": sigmoid}[output]
    for rows in _blocks(x):
        function(probabilities[rows])
    return probabilities


def require_classes(layer):
    """Raise a :class:`~dbn.errors.DBNError` if an output layer (W, b) has no outputs."""
    if not len(layer[1]):
        raise DBNError("the network was trained without labels and has no classes: use activations")


def require_finite(rows, name):
    """Raise an :class:`AudioError` on the recording `name` where the network made infinite or no numbers of it."""
    if not np.isfinite(rows).all():
        raise AudioError(name, "its samples are too large: they overflow in the network; scale them to between -1 and "
                               "1")


def sigmoid(x):
    """1 / (1 + exp(-x)) in place, as (1 + tanh(x / 2)) / 2, which overflows nowhere; returns `x`."""
    x *= 0.5
    np.tanh(x, out=x)
    x += 1
    x *= 0.5
    return x


def relu(x):
    """max(x, 0) in place; returns `x`."""
    return np.maximum(x, 0, out=x)


def softmax(x):
    """exp(x) divided by its sum over each row, in place; returns `x`."""
    x -= x.max(axis=1, keepdims=True)  # exp of what is left overflows nowhere
    np.exp(x, out=x)
    x /= x.sum(axis=1, keepdims=True)
    return x


def _blocks(x):
    return (slice(start, start + ROWS) for start in range(0, len(x), ROWS))


def _weighted_sums(x, layer, out):
    weights, bias = layer
    np.matmul(x, weights, out=out)
    out += bias
    return out
