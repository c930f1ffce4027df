"""Compiled epochs, made once for each shape of graph and used again by every network of that shape.

A graph's shape is what it computes, not how wide its layers are: networks of the same number of layers and the same
kinds of units differ in the values of their parameters alone. A search over hyper-parameters compiles ten functions,
not one for each of its points.
"""
import threading

import numpy as np
import pytensor

from dbn.dbn import DBN

_made = threading.local()  # a compiled epoch works on variables of its own, which two threads must not share


class CompiledEpoch:
    """An epoch of training, and the variables that it works on.

    Parameters
    ----------
    dbn : dbn.dbn.DBN
        Gives the graph; its parameters are set anew for every network.
    layer : int or None
        The layer to pre-train; None for fine-tuning.
    k : int
        Gibbs steps.
    persistent : bool
        Whether to pre-train by PCD.

    Attributes
    ----------
    params : list of shared variables
        What the epoch changes: to be set before it and read after it. PCD's are those of the RBM and :func:`pcd_state`.
    data_x, data_y : shared matrix [n, n_features], shared int32 vector [n]
        The rows to train on; pre-training does not use the second.
    streams : dbn.graph.streams.RandomStreams
        Draws the samples of pre-training.
    run : callable
        ``run(order, batch_size, lr)``, see :func:`dbn.graph.compile.epoch_function`.
    """

    def __init__(self, dbn, layer=None, k=1, persistent=False):
        self.data_x = pytensor.shared(np.zeros((0, 1), dtype=dbn.dtype), name="data_x")
        self.data_y = pytensor.shared(np.zeros(0, dtype=np.int32), name="data_y")
        self.streams = dbn.theano_rng
        if layer is None:
            self.params, self.run = dbn.params, dbn.finetuning_epoch(self.data_x, self.data_y)
        else:
            rbm = dbn.rbm_layers[layer]
            carried = pcd_state(rbm, 1) if persistent else []
            self.params = [*rbm.params, *carried]
            self.run = dbn.pretraining_epoch(layer, self.data_x, k, *carried[:1])

    def release_data(self):
        """Let go of the rows."""
        self.data_x.set_value(self.data_x.get_value(borrow=True)[:0].copy(), borrow=True)
        self.data_y.set_value(np.zeros(0, dtype=np.int32), borrow=True)


def pcd_state(rbm, n_chains):
    """What PCD hands on from one minibatch to the next: a list of shared variables.

    They are the hidden states of its chains [n_chains, n_hidden], at zeros as the tutorial begins, and the unit that
    the pseudo-likelihood flips next.
    """
    chains = np.zeros((n_chains, rbm.n_hidden), dtype=rbm.dtype)
    return [pytensor.shared(chains, name="persistent"), rbm.bit_i_idx]


def pretraining_epoch(visible, k, persistent, dtype):
    """The :class:`CompiledEpoch` of CD-k, or PCD-k, of any RBM with `visible` units, "bernoulli" or "gaussian"."""
    def make():
        return CompiledEpoch(_network(1, visible, "softmax", dtype), layer=0, k=k, persistent=persistent)

    return _once(("pretraining", visible, k, persistent, dtype), make)


def finetuning_epoch(n_layers, output, dtype):
    """The :class:`CompiledEpoch` of gradient descent for any network of `n_layers` hidden layers."""
    def make():
        return CompiledEpoch(_network(n_layers, "bernoulli", output, dtype))

    return _once(("fine-tuning", n_layers, output, dtype), make)


def _network(n_layers, visible, output, dtype):
    return DBN(np.random.default_rng(0), n_ins=1, hidden_layers_sizes=(1,) * n_layers, n_outs=1, visible=visible,
               output=output, dtype=dtype)


def _once(key, make):
    """What `make` gives, from the second time on what it gave the first time in this thread."""
    made = _made.__dict__
    if key not in made:
        made[key] = make()
    return made[key]
