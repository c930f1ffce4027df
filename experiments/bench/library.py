"""The library as a contestant: the network of the paper's sizes, trained as :mod:`dbn.training.loops` does it."""
from functools import partial

import numpy as np
import pytensor

from dbn.dbn import DBN
from dbn.training.loops import FRAMES_PER_CALL

N_INS, HIDDEN, N_OUTS = 513, (50, 50, 50), 10  # the paper's Table 1
FINETUNE_LR, PRETRAIN_LR = 0.1, 0.001


def frames(n, seed=0):
    """Frames that cost what any do: x float32 [n, 513] uniform in [0, 1), y int32 [n]."""
    rng = np.random.default_rng(seed)
    return rng.random((n, N_INS), dtype=np.float32), rng.integers(N_OUTS, size=n).astype(np.int32)


class Library:
    """The library's network as its trainer runs it: calls of the compiled epoch on some thousands of frames.

    Parameters
    ----------
    x, y : float32 [n, n_ins], int32 [n]
        Shared with the compiled function, not copied.
    hidden_layers_sizes : tuple of int
    """

    def __init__(self, x, y, hidden_layers_sizes=HIDDEN):
        self.dbn = DBN(np.random.default_rng(0), n_ins=x.shape[1], hidden_layers_sizes=hidden_layers_sizes,
                       n_outs=N_OUTS, dtype="float32")
        self.x, self.y = pytensor.shared(x, borrow=True), pytensor.shared(y, borrow=True)

    @property
    def params(self):
        """W and b of every layer, copies."""
        return [param.get_value() for param in self.dbn.params]

    @property
    def rbm_params(self):
        """W, hidden and visible biases of the first layer's RBM, copies."""
        return [param.get_value() for param in self.dbn.rbm_layers[0].params]

    def finetuning(self):
        """``train(order, batch_size, lr)``, one epoch of fine-tuning; the mean cost."""
        return partial(in_calls, self.dbn.finetuning_epoch(self.x, self.y))

    def pretraining(self):
        """``train(order, batch_size, lr)``, one epoch of CD-1 on the first layer; the mean reconstruction cost."""
        return partial(in_calls, self.dbn.pretraining_epoch(0, self.x, k=1))


def in_calls(epoch_function, order, batch_size, lr):
    """An epoch in as many calls as the trainer's loop makes of it."""
    per_call = batch_size * max(1, FRAMES_PER_CALL // batch_size)
    parts = [order[start:start + per_call] for start in range(0, len(order), per_call)]
    return sum(float(epoch_function(part, batch_size, lr)) * len(part) for part in parts) / len(order)
