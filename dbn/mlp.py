"""The hidden layer of a multi-layer perceptron, which fine-tuning turns the stack of RBMs into (paper §3)."""
import pytensor
import pytensor.tensor as pt

from dbn.graph.ops import sigmoid
from dbn.layers import initial_weights, shared_parameter


class HiddenLayer:
    """Fully connected layer: ``output = activation(dot(input, W) + b)``.

    Parameters
    ----------
    rng : numpy.random.Generator or RandomState
        Draws the initial weights.
    input : symbolic matrix [n_examples, n_in]
        The layer below.
    n_in, n_out : int
        Sizes of input and output.
    W, b : shared variables or arrays [n_in, n_out], [n_out], optional
        Parameters; drawn by :func:`dbn.rbm.initial_weights`, and zeros, if None.
    activation : callable, optional
        Element-wise function of a symbolic matrix; the logistic sigmoid by default.
    dtype : {"float32", "float64"}, optional
        Of the parameters; ``pytensor.config.floatX`` if None.

    Attributes
    ----------
    output : symbolic matrix [n_examples, n_out]
        The activations.
    params : list of shared variables
        ``[W, b]``.
    """

    def __init__(self, rng, input, n_in, n_out, W=None, b=None, activation=sigmoid, dtype=None):
        dtype = dtype or pytensor.config.floatX
        if W is None:
            W = initial_weights(rng, n_in, n_out, dtype)
        self.input = input
        self.W = shared_parameter(W, "W", dtype, (n_in, n_out))
        self.b = shared_parameter(b, "b", dtype, (n_out,))
        self.output = activation(pt.dot(input, self.W) + self.b)
        self.params = [self.W, self.b]
