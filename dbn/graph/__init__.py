"""How a graph becomes a function, and what makes it fast.

:mod:`ops` holds operations of our own, :mod:`rewrites` puts them where PyTensor has slower ones, the kernels say how
Numba computes them, :mod:`cache_key` tells one version of these from another, :mod:`streams` draws random numbers,
and :mod:`compile` turns graphs into functions. Whoever imports one of them has the rewrites and kernels registered.
"""
from dbn.graph import ops, rewrites, numba_elementwise, numba_products  # noqa: F401 (this order registers them)
from dbn.graph.compile import epoch_function, function, minibatch, mode, n_minibatches
from dbn.graph.streams import RandomStreams

__all__ = ["RandomStreams", "epoch_function", "function", "minibatch", "mode", "n_minibatches"]
