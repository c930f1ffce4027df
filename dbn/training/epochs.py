"""Compiled epochs, made once for each shape of graph and used again by every network of that shape.

A graph's shape is what it computes, not how wide its layers are: networks of the same number of layers and the same
kinds of units differ in the values of their parameters alone. A search over hyper-parameters compiles ten functions,
not one for each of its points.
"""
import threading
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytensor

from dbn.cdbn import ConvolutionalDBN
from dbn.dbn import DBN
from dbn.layers import shared_parameter
from dbn.system.files import disk_errors

_made = threading.local()  # a compiled epoch works on variables of its own, which two threads must not share


class CompiledEpoch:
    """An epoch of training, and the variables that it works on.

    Parameters
    ----------
    graph : Graph
        What is compiled.
    dtype : {"float32", "float64"}
        Of the parameters.

    Attributes
    ----------
    params : list of shared variables
        What the epoch changes: to be set before it and read after it. They are the network's, or one RBM's, and then
        those of :func:`carried_state`.
    numbers : dict of str to shared scalar
        The values of ``graph.numbers``, by their names in :class:`dbn.training.settings.TrainingSettings`.
    data_x, data_y : shared matrix [n, n_features], shared int32 vector [n]
        The rows to train on; pre-training does not use the second.
    streams : dbn.graph.streams.RandomStreams
        Draws the samples of pre-training, or what dropout leaves out.
    """

    def __init__(self, graph, dtype):
        self.numbers = _shared_numbers(graph, dtype)
        dbn = DBN(np.random.default_rng(0), n_ins=1, hidden_layers_sizes=(1,) * (graph.n_layers or 1), n_outs=1,
                  visible=graph.visible, output=graph.output, dtype=dtype, activation=graph.activation,
                  dropout=self.numbers.get("dropout"))
        self.data_x = pytensor.shared(np.zeros((0, 1), dtype=dtype), name="data_x")
        self.data_y = pytensor.shared(np.zeros(0, dtype=np.int32), name="data_y")
        self.streams = dbn.theano_rng
        rbm = None if graph.n_layers else dbn.rbm_layers[0]
        trained = dbn.params if rbm is None else rbm.params
        chains, velocities = carried_state(graph, trained, rbm, n_chains=1)
        self.params = [*trained, *chains, *velocities]
        options = self._options(velocities)
        if rbm is None:
            self._run = dbn.finetuning_epoch(self.data_x, self.data_y, **options)
        else:
            self._run = dbn.pretraining_epoch(0, self.data_x, graph.k, *chains[:1], **options)

    def _options(self, velocities):
        """Those of :meth:`dbn.rbm.RBM.get_cost_updates` that :attr:`numbers` and the velocities stand for."""
        options = {name: self.numbers[name] for name in ("momentum", "weight_decay") if name in self.numbers}
        if velocities:
            options["velocities"] = velocities
        if "sparsity_cost" in self.numbers:
            options["sparsity"] = self.numbers["sparsity_target"], self.numbers["sparsity_cost"]
        return options

    def run(self, order, batch_size, lr):
        """See :func:`dbn.graph.compile.epoch_function`; at its first call it is compiled, into PyTensor's folder."""
        with disk_errors(pytensor.config.compiledir):
            return self._run(order, batch_size, lr)

    def set_numbers(self, settings):
        """Take the values of :attr:`numbers` from a :class:`dbn.training.settings.TrainingSettings`."""
        for name, variable in self.numbers.items():
            variable.set_value(np.asarray(getattr(settings, name), dtype=variable.dtype))

    def release_data(self):
        """Let go of the rows."""
        self.data_x.set_value(self.data_x.get_value(borrow=True)[:0].copy(), borrow=True)
        self.data_y.set_value(np.zeros(0, dtype=np.int32), borrow=True)


def _shared_numbers(graph, dtype):
    return {name: pytensor.shared(np.zeros((), dtype=dtype), name=name) for name in graph.numbers}


@dataclass(frozen=True, order=True)
class Graph:
    """The shape of an epoch's graph; which of its numbers are not 0, but not their values.

    Attributes
    ----------
    n_layers : int
        Hidden layers to fine-tune; 0 to pre-train one.
    visible, k, persistent
        Of pre-training, see :class:`dbn.training.settings.TrainingSettings`.
    output, activation
        Of fine-tuning.
    numbers : tuple of str
        Those settings that the graph has because they are not 0.
    """

    n_layers: int = 0
    visible: str = "bernoulli"
    k: int = 1
    persistent: bool = False
    output: str = "softmax"
    activation: str = "sigmoid"
    numbers: tuple = ()

    @classmethod
    def of_pretraining(cls, settings, visible):
        """That of an RBM with `visible` units, "bernoulli" or "gaussian", of any size."""
        return cls(visible=visible, k=settings.k, persistent=settings.persistent, numbers=_numbers_of_cd(settings))

    @classmethod
    def of_finetuning(cls, settings):
        """That of a network of as many hidden layers, of any size."""
        return cls(n_layers=len(settings.hidden_layers_sizes), output=settings.output, activation=settings.activation,
                   numbers=_not_0(settings, ("momentum", "weight_decay", "dropout")))


def _numbers_of_cd(settings):
    numbers = _not_0(settings, ("momentum", "weight_decay", "sparsity_cost"))
    return (*numbers, "sparsity_target") if "sparsity_cost" in numbers else numbers


def _not_0(settings, names):
    return tuple(name for name in names if getattr(settings, name))


def carried_state(graph, params, rbm, n_chains):
    """What an epoch hands on to the next beside the parameters: two lists of shared variables, where it has them.

    Parameters
    ----------
    graph : Graph or PiecesGraph
    params : list of shared variables
        What is trained.
    rbm : dbn.rbm.RBM or None
        What is pre-trained.
    n_chains : int
        Frames of a minibatch.

    Returns
    -------
    chains : list
        PCD's: the hidden states of its chains [n_chains, n_hidden], at zeros as the tutorial begins, and the unit that
        the pseudo-likelihood flips next.
    velocities : list
        Momentum's, of each parameter, at zeros.
    """
    chains = velocities = []
    if graph.persistent:
        states = np.zeros((n_chains, rbm.n_hidden), dtype=rbm.dtype)
        chains = [pytensor.shared(states, name="persistent"), rbm.bit_i_idx]
    if "momentum" in graph.numbers:
        velocities = [shared_parameter(np.zeros_like(param.get_value(borrow=True)), "velocity", param.dtype, None)
                      for param in params]
    return chains, velocities


class CompiledPieces(CompiledEpoch):
    """An epoch of a convolutional network: what is shuffled are pieces of songs.

    Parameters
    ----------
    graph : PiecesGraph
        What is compiled.
    dtype : {"float32", "float64"}
        Of the parameters.

    Attributes
    ----------
    data_x : shared matrix [n, n_visible]
        The frames of all songs, one below the other.
    starts, data_y : shared int64 vector [n_pieces], shared int32 vector [n_pieces]
        The first frame of each piece, and its class, which pre-training does not use; the epoch's ``order`` is of
        these.
    piece_frames : shared int64 scalar
        Frames of every piece.
    params, numbers, streams
        As of :class:`CompiledEpoch`.
    """

    def __init__(self, graph, dtype):
        self.numbers = _shared_numbers(graph, dtype)
        cdbn = ConvolutionalDBN(np.random.default_rng(0), n_ins=1, hidden_layers_sizes=(1,) * len(graph.widths),
                                widths=graph.widths, pools=graph.pools, visible=graph.visible, dtype=dtype, n_outs=1,
                                output=graph.output)
        self.data_x = pytensor.shared(np.zeros((0, 1), dtype=dtype), name="data_x")
        self.data_y = pytensor.shared(np.zeros(0, dtype=np.int32), name="data_y")
        self.starts = pytensor.shared(np.zeros(0, dtype=np.int64), name="starts")
        self.piece_frames = pytensor.shared(np.int64(1), name="piece_frames")
        self.streams = cdbn.theano_rng
        if graph.is_finetuning:
            self.params = cdbn.params
            self._run = cdbn.finetuning_epoch(self.data_x, self.data_y, self.starts, self.piece_frames)
            return
        [rbm] = cdbn.rbm_layers
        _, velocities = carried_state(graph, rbm.params, rbm, n_chains=1)
        self.params = [*rbm.params, *velocities]
        self._run = cdbn.pretraining_epoch(0, self.data_x, self.starts, self.piece_frames, graph.k,
                                           **self._options(velocities))

    def set_pieces(self, starts, labels=()):
        """Take the first frame of each piece int64 [n_pieces], and the pieces' classes int32 [n_pieces]."""
        self.starts.set_value(starts)
        self.data_y.set_value(np.asarray(labels, dtype=np.int32))


@dataclass(frozen=True)
class PiecesGraph:
    """The shape of the graph of :class:`CompiledPieces`.

    Attributes
    ----------
    widths, pools : tuple of int
        Of the layers that are trained, see :class:`dbn.crbm.ConvolutionalRBM`: one in pre-training.
    is_finetuning : bool
    visible : {"bernoulli", "gaussian"}
        Kind of the visible units, in pre-training.
    k : int
        Gibbs steps.
    output : {"softmax", "sigmoid"}
        Of fine-tuning.
    numbers : tuple of str
        As of :class:`Graph`.
    """

    widths: tuple
    pools: tuple
    is_finetuning: bool = False
    visible: str = "bernoulli"
    k: int = 1
    output: str = "softmax"
    numbers: tuple = ()
    persistent: ClassVar[bool] = False  # no chains are handed on

    @classmethod
    def of_pretraining(cls, settings, layer):
        """That of one layer, from 0, of a :class:`dbn.training.settings.ConvolutionalSettings`."""
        return cls(settings.widths[layer:layer + 1], settings.pools[layer:layer + 1], k=settings.k,
                   visible=settings.visible if layer == 0 else "bernoulli", numbers=_numbers_of_cd(settings))

    @classmethod
    def of_finetuning(cls, settings):
        """That of all layers and the output layer."""
        return cls(settings.widths, settings.pools, is_finetuning=True, output=settings.output)


def compiled_epoch(graph, dtype):
    """The :class:`CompiledEpoch` of a :class:`Graph`, or the :class:`CompiledPieces` of a :class:`PiecesGraph`.

    In each thread there is one, made when it is first asked for.
    """
    made = _made.__dict__
    if (graph, dtype) not in made:
        made[graph, dtype] = (CompiledEpoch if isinstance(graph, Graph) else CompiledPieces)(graph, dtype)
    return made[graph, dtype]
