"""The hidden layer of a multi-layer perceptron, which fine-tuning turns the stack of RBMs into (paper §3)."""
import pytensor
import pytensor.tensor as pt

from dbn.graph.ops import sigmoid
from dbn.layers import initial_weights, shared_parameter


def relu(x):
    """max(x, 0), element by element (Nair and Hinton 2010; Glorot, Bordes and Bengio 2011)."""
    return pt.switch(x > 0, x, 0)


def dropout(theano_rng, x, rate):
    """`x` with a share `rate` of its values set to 0 at random, the others divided by ``1 - rate``.

    So the mean stays what it is, and nothing is to be done where nothing is left out (Hinton et al. 2012; Srivastava
    et al. 2014).

    Parameters
    ----------
    theano_rng : dbn.graph.streams.RandomStreams
        Draws anew in every call.
    x : symbolic array
    rate : float or symbolic scalar
        In [0, 1).

    Returns
    -------
    symbolic array
    """
    kept = pt.cast(1 - rate, x.dtype)
    return x * theano_rng.binomial(size=x.shape, n=1, p=pt.fill(x, kept), dtype=x.dtype) / kept


class HiddenLayer:
    """Fully connected layer: ``output = activation(dot(input, W) + b)``.

    Where `W` is None it is drawn as the tutorial draws it, see :func:`dbn.layers.initial_weights`.

    Parameters
    ----------
    rng : numpy.random.Generator or RandomState
        Draws the initial weights.
    input : symbolic matrix [n_examples, n_in]
        The layer below.
    n_in, n_out : int
        Sizes of input and output.
    W, b : shared variables or arrays [n_in, n_out], [n_out], optional
        Parameters; drawn, and zeros, if None.
    activation : callable or None, optional
        Element-wise function of a symbolic matrix, the tutorial's tanh by default; None for a linear layer. The DBN's
        layers have :func:`dbn.graph.ops.sigmoid`.
    dtype : {"float32", "float64"}, optional
        Of the parameters; ``pytensor.config.floatX`` if None.

    Attributes
    ----------
    output : symbolic matrix [n_examples, n_out]
        The activations.
    params : list of shared variables
        ``[W, b]``.
    """

    def __init__(self, rng, input, n_in, n_out, W=None, b=None, activation=pt.tanh, dtype=None):
        dtype = dtype or pytensor.config.floatX
        if W is None:
            W = initial_weights(rng, n_in, n_out, dtype, gain=4 if activation in (sigmoid, pt.sigmoid) else 1)
        self.input = input
        self.W = shared_parameter(W, "W", dtype, (n_in, n_out))
        self.b = shared_parameter(b, "b", dtype, (n_out,))
        linear = pt.dot(input, self.W) + self.b
        self.output = linear if activation is None else activation(linear)
        self.params = [self.W, self.b]
