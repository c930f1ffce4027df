"""Values of our operations by Numba and by NumPy, and the arrays that they are tested on."""
from functools import cache

import numpy as np
import pytensor.tensor as pt
import pytest
from pytensor.compile.mode import Mode

from dbn.graph.compile import function, mode
from dbn.graph.streams import RandomStreams

MODES = {"numba": mode, "numpy": lambda: Mode(linker="py", optimizer=None)}
RTOL = {"float32": 5e-7, "float64": 1e-14}

by_both = pytest.mark.parametrize("by", MODES)
of_both_precisions = pytest.mark.parametrize("dtype", ["float32", "float64"])


@cache
def compiled(op, by, *types):
    inputs = [pt.tensor(dtype=dtype, shape=(None,) * ndim) for dtype, ndim in types]
    return function(inputs, op(*inputs), mode=MODES[by]())


def compute(op, by, *arrays):
    """The value of `op` for `arrays`, by "numba" or "numpy"."""
    arrays = [np.asarray(array) for array in arrays]
    return compiled(op, by, *((array.dtype.name, array.ndim) for array in arrays))(*arrays)


def numbers(*shape, dtype="float64", seed=0, scale=3.0):
    return np.random.default_rng(seed).normal(scale=scale, size=shape).astype(dtype)


def layouts(x):
    """The same matrix three times: contiguous, by columns, and as every second element of a larger one."""
    larger = np.zeros((2 * x.shape[0], 2 * x.shape[1]), dtype=x.dtype)
    larger[::2, ::2] = x
    return [x, np.asfortranarray(x), larger[::2, ::2]]


def ops_in(compiled_function):
    return [node.op for node in compiled_function.maker.fgraph.toposort()]


def states(seed, n):
    """The states of the first `n` calls of a draw."""
    streams = RandomStreams(seed)
    streams.uniform()
    [(shared, _)] = streams.state_updates
    state = shared.get_value()
    return [state + np.array([0, 0, i], dtype=np.uint32) for i in range(n)]
