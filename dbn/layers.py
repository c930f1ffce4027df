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


class Parameters:
    """What a network does with all its parameters: `all_params()`, a list of shared variables of its `dtype`."""

    def get_values(self):
        """Copies of :meth:`all_params`, a list of arrays."""
        return [param.get_value() for param in self.all_params()]

    def set_values(self, values):
        """Set :meth:`all_params` from arrays of the same shapes; ValueError if one differs."""
        params = self.all_params()
        if [np.shape(value) for value in values] != [param.get_value(borrow=True).shape for param in params]:
            raise ValueError("the values are not of this network's shapes")
        for param, value in zip(params, values):
            param.set_value(np.asarray(value, dtype=self.dtype))
