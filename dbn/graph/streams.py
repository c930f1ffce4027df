"""Random draws for symbolic graphs: what the tutorials call ``theano_rng``.

A generator is a value like any other here: a draw takes its state and gives
the next one. :class:`RandomStreams` holds the state that the next draw will
take, so that the equations of the RBM can be written without it.
"""
import contextlib

import numpy as np
import pytensor

from dbn.graph.ops import bernoulli, next_state, normal


def seed_from(numpy_rng):
    """A seed drawn from a NumPy Generator, or from a RandomState as the tutorials have it; int."""
    draw = numpy_rng.integers if isinstance(numpy_rng, np.random.Generator) else numpy_rng.randint
    return int(draw(2**30))


def _state(seed):
    """The state before the first draw; uint32 [3]."""
    sequence = seed if isinstance(seed, np.random.SeedSequence) else np.random.SeedSequence(seed)
    return np.append(sequence.generate_state(2), np.uint32(0))


class RandomStreams:
    """A chain of draws from one shared generator.

    Parameters
    ----------
    seed : int, sequence of int or numpy.random.SeedSequence
        Gives the key of the counter-based generator behind the draws, see :mod:`dbn.graph.threefry`.

    Attributes
    ----------
    generator : shared vector of uint32 [3]
        The generator's state between calls of compiled functions: its key and the number of draws.
    """

    def __init__(self, seed):
        self.generator = pytensor.shared(_state(seed), name="theano_rng")
        self._next = self.generator

    def bernoulli(self, mean):
        """Binary draws of the shape and dtype of `mean`: 1 where a uniform number falls below it."""
        return self._draw(bernoulli, mean)

    def normal(self, mean):
        """Draws from a normal distribution of unit variance around `mean`, in its shape and dtype."""
        return self._draw(normal, mean)

    def _draw(self, draw, mean):
        state, self._next = self._next, next_state(self._next)
        return draw(mean, state)

    @contextlib.contextmanager
    def inside_scan(self, generator):
        """Within a ``scan`` step, draw from the step's own `generator`; yields a callable that gives the one after."""
        outer, self._next = self._next, generator
        try:
            yield lambda: self._next
        finally:
            self._next = outer

    def after_scan(self, generator):
        """Continue after a ``scan`` from the `generator` that it ended with."""
        self._next = generator

    @property
    def current(self):
        """The symbolic generator that the next draw takes."""
        return self._next

    def collect_updates(self):
        """The update that carries the generator over to the next call; later draws start a graph of their own."""
        updates = {} if self._next is self.generator else {self.generator: self._next}
        self._next = self.generator
        return updates

    def reseed(self, seed):
        """Start the sequence of draws anew from `seed`."""
        self.generator.set_value(_state(seed))
