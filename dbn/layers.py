"""The parameters that every layer is made of: a weight matrix and biases, drawn as in the tutorials and shared."""
import numpy as np
import pytensor


def initial_weights(numpy_rng, n_in, n_out, dtype, gain=4):
    """Weights of the tutorials: uniform within ±`gain`·sqrt(6 / (n_in + n_out)); `dtype` [n_in, n_out].

    The gain is 4 for sigmoid units, whose slope is a quarter, and 1 for others (Glorot and Bengio 2010).
    """
    bound = gain * np.sqrt(6.0 / (n_in + n_out))
    return numpy_rng.uniform(-bound, bound, size=(n_in, n_out)).astype(dtype)


def shared_parameter(value, name, dtype, shape):
    """`value` as a shared variable: zeros of `shape` if None, itself if it is symbolic already.

    The variable's type leaves its sizes open, so that networks of any width use the same compiled functions.
    """
    if value is None:
        value = np.zeros(shape, dtype=dtype)
    elif not isinstance(value, np.ndarray):
        return value
    return pytensor.shared(value.astype(dtype), name=name)
