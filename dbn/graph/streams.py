"""Random draws for symbolic graphs: what the tutorials call ``theano_rng``.

Each draw owns the state that it is made from, a shared variable whose default update is the state after it. So it is
made anew in every call of a compiled function, without a word from whoever compiles it, and in every step of a ``scan``
within which it was created; the updates that the ``scan`` returns carry its state on, as in Theano.
"""
import warnings

import numpy as np
import pytensor
import pytensor.tensor as pt
from pytensor.graph.basic import Variable
from pytensor.tensor.shape import Shape

from dbn.graph.ops import bernoulli, next_state, normal, uniform


def seed_from(numpy_rng):
    """A seed drawn from a NumPy Generator, or from a RandomState as the tutorials have it; int."""
    draw = numpy_rng.integers if isinstance(numpy_rng, np.random.Generator) else numpy_rng.randint
    return int(draw(2**30))


class RandomStreams:
    """Draws by the names and arguments of Theano's ``RandomStreams``, from counter-based generators.

    Parameters
    ----------
    seed : int, sequence of int or numpy.random.SeedSequence
        The n-th draw's key is the n-th that NumPy's SeedSequence spawns from it, see :mod:`dbn.graph.threefry`.

    Attributes
    ----------
    state_updates : list of pairs (shared vector of uint32 [3], symbolic vector of uint32 [3])
        The state of each draw, which is its key and the number of calls before, and the state after it.
    sequence : numpy.random.SeedSequence
        What the keys come from.
    """

    def __init__(self, seed):
        self.sequence = _sequence_of(seed)
        self.state_updates = []

    def seed(self, seed):
        """Start all draws anew, those to come as well, as a new object of this seed has them."""
        self.sequence = _sequence_of(seed)
        for number, (state, _) in enumerate(self.state_updates):
            state.set_value(self._first_state(number))

    def updates(self):
        """The pairs of :attr:`state_updates`, for functions that are made with ``no_default_updates``."""
        return list(self.state_updates)

    def binomial(self, size=None, n=1, p=0.5, dtype="int64"):
        """Binary draws: 1 with probability `p`.

        Parameters
        ----------
        size : sequence of int or symbolic vector, optional
            Shape of the draws, to which `p` is broadcast; that of `p` if None.
        n : int
            1: sums of more draws, which no unit of an RBM needs, are refused with a ValueError.
        p : float or symbolic array
            Probabilities.
        dtype : str
            Of the draws.

        Returns
        -------
        symbolic array
        """
        if n != 1:
            raise ValueError(f"binomial draws of n = {n!r}: only n = 1 is made here; add up draws of a larger size")
        return pt.cast(self._draw(bernoulli, _of_size(_floats(p), size)), dtype)

    def normal(self, size=None, avg=0.0, std=1.0, dtype=None):
        """Draws from a normal distribution of mean `avg` and standard deviation `std`, both broadcast to `size`.

        Parameters and result as of :meth:`binomial`; `dtype` is ``pytensor.config.floatX`` if None.
        """
        avg = pt.cast(avg, dtype or pytensor.config.floatX)
        if isinstance(std, (int, float)) and std == 1:
            return self._draw(normal, _of_size(avg, size))
        std = pt.cast(std, avg.dtype)
        return avg + std * self._draw(normal, pt.zeros_like(_of_size(avg + std, size)))

    def uniform(self, size=None, low=0.0, high=1.0, dtype=None):
        """Draws from [`low`, `high`), both broadcast to `size`.

        Parameters and result as of :meth:`binomial`; `dtype` is ``pytensor.config.floatX`` if None.
        """
        low, high = (pt.cast(bound, dtype or pytensor.config.floatX) for bound in (low, high))
        return low + (high - low) * self._draw(uniform, pt.zeros_like(_of_size(low + high, size)))

    def _draw(self, draw, around):
        state = pytensor.shared(self._first_state(len(self.state_updates)), name="theano_rng", shape=(3,))
        with warnings.catch_warnings():  # PyTensor 3 calls it deprecated, and has no other way
            warnings.simplefilter("ignore", DeprecationWarning)
            state.default_update = next_state(state)
        self.state_updates.append((state, state.default_update))
        return draw(around, state)

    def _first_state(self, number):
        key = np.random.SeedSequence(self.sequence.entropy, spawn_key=(*self.sequence.spawn_key, number))
        return np.append(key.generate_state(2), np.uint32(0))


def _sequence_of(seed):
    return seed if isinstance(seed, np.random.SeedSequence) else np.random.SeedSequence(seed)


def _floats(p):
    p = pt.as_tensor(p)
    return p if p.dtype in ("float32", "float64") else pt.cast(p, pytensor.config.floatX)


def _of_size(value, size):
    """`value` broadcast to `size`: as it is, and not copied, where that is None or its own shape."""
    if size is None or _is_shape_of(size, value):
        return value
    return pt.broadcast_to(value, size)


def _is_shape_of(size, value):
    node = getattr(size, "owner", None)
    return node is not None and isinstance(node.op, Shape) and node.inputs[0] is value


class PyTensorStreams:
    """PyTensor's own ``RandomStream`` by the arguments of :class:`RandomStreams`.

    Parameters
    ----------
    stream : pytensor.tensor.random.utils.RandomStream
        Makes the draws.
    """

    def __init__(self, stream):
        self.stream = stream

    def binomial(self, size=None, n=1, p=0.5, dtype="int64"):
        """As :meth:`RandomStreams.binomial`, of any `n`."""
        return pt.cast(self.stream.binomial(n, p, size=size), dtype)

    def normal(self, size=None, avg=0.0, std=1.0, dtype=None):
        """As :meth:`RandomStreams.normal`."""
        return pt.cast(self.stream.normal(avg, std, size=size), dtype or pytensor.config.floatX)

    def uniform(self, size=None, low=0.0, high=1.0, dtype=None):
        """As :meth:`RandomStreams.uniform`."""
        return pt.cast(self.stream.uniform(low, high, size=size), dtype or pytensor.config.floatX)


def as_streams(theano_rng, numpy_rng):
    """What an RBM may draw from.

    Parameters
    ----------
    theano_rng : RandomStreams, pytensor.tensor.random.utils.RandomStream, numpy.random.Generator, RandomState or None
        PyTensor's stream is used by its own draws. NumPy's generators know no graphs and give a seed; so does
        `numpy_rng` for None. Anything else that has ``binomial`` and ``normal`` is taken as it is.
    numpy_rng : numpy.random.Generator or RandomState
        Not used but for None.

    Returns
    -------
    RandomStreams, PyTensorStreams or `theano_rng`

    Raises
    ------
    TypeError
        `theano_rng` is none of these.
    """
    if theano_rng is None:
        theano_rng = numpy_rng
    if isinstance(theano_rng, (np.random.Generator, np.random.RandomState)):
        return RandomStreams(seed_from(theano_rng))
    if hasattr(theano_rng, "gen_seedgen"):  # its class is deprecated, and would say so
        return PyTensorStreams(theano_rng)
    # the variables that PyTensor draws from have methods of these names too, which give two results
    named = all(callable(getattr(theano_rng, name, None)) for name in ("binomial", "normal"))
    if named and not isinstance(theano_rng, Variable):
        return theano_rng
    raise TypeError(f"theano_rng is {theano_rng!r}: give dbn.graph.RandomStreams(seed), PyTensor's RandomStream, or "
                    "a generator of NumPy's to take a seed from")
