"""Random draws for symbolic graphs: what the tutorials call ``theano_rng``.

PyTensor's generators are values like any other: a draw takes one generator
and gives the next. :class:`RandomStreams` holds the generator that the next
draw will take, so that the equations of the RBM can be written without it.
"""
import contextlib

import numpy as np
import pytensor.tensor as pt


def seed_from(numpy_rng):
    """A seed drawn from a NumPy Generator, or from a RandomState as the tutorials have it; int."""
    draw = numpy_rng.integers if isinstance(numpy_rng, np.random.Generator) else numpy_rng.randint
    return int(draw(2**30))


class RandomStreams:
    """A chain of draws from one shared generator.

    Parameters
    ----------
    seed : int, sequence of int or numpy.random.SeedSequence
        Seed of the NumPy generator (PCG64) behind the draws.

    Attributes
    ----------
    generator : shared variable
        The generator's value between calls of compiled functions.
    """

    def __init__(self, seed):
        self.generator = pt.random.shared_rng(seed=seed, name="theano_rng")
        self._next = self.generator

    def bernoulli(self, mean):
        """Binary draws of the shape and dtype of `mean`: 1 where a uniform number falls below it."""
        self._next, uniform = pt.random.uniform(size=mean.shape, rng=self._next, return_next_rng=True)
        return pt.lt(uniform, mean).astype(mean.dtype)

    def normal(self, mean):
        """Draws from a normal distribution of unit variance around `mean`, in its shape and dtype."""
        self._next, noise = pt.random.normal(size=mean.shape, rng=self._next, return_next_rng=True)
        return mean + noise.astype(mean.dtype)

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
        self.generator.set_value(seed=seed)
