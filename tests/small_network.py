"""A network and data of a few numbers, the same in several test files so that its graphs are compiled once."""
import numpy as np

from dbn.dbn import DBN
from dbn.streams import RandomStreams

N_INS, HIDDEN, N_OUTS, BATCH_SIZE = 8, (6, 5), 3, 10


def examples(n, seed=0):
    """Three noisy patterns of zeros and ones: x float32 [n, 8] in [0, 1], y int32 [n]."""
    rng = np.random.default_rng(seed)
    patterns = np.random.default_rng(99).integers(0, 2, size=(N_OUTS, N_INS))
    y = rng.integers(N_OUTS, size=n).astype(np.int32)
    x = np.clip(patterns[y] * 0.7 + 0.4 * rng.random((n, N_INS)) - 0.05, 0, 1)
    return x.astype(np.float32), y


def network(dtype="float32", seed=0, **options):
    """A DBN whose output layer is not at the zeros that it starts from."""
    options = {"n_ins": N_INS, "hidden_layers_sizes": HIDDEN, "n_outs": N_OUTS} | options
    rng = np.random.default_rng(seed)
    dbn = DBN(rng, theano_rng=RandomStreams(seed + 1), dtype=dtype, **options)
    for param in dbn.all_params():
        if not param.get_value().any():
            param.set_value(rng.normal(scale=0.3, size=param.get_value().shape).astype(dtype))
    return dbn
