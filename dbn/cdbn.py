"""Convolutional deep belief networks over time: a stack of convolutional RBMs. Not in the paper.

Each is fitted greedily, from the bottom, to the probabilities that the pooling units of the one below are on (Lee,
Pham, Largman and Ng 2009, see :mod:`dbn.crbm`). A layer has a feature for `pool` of its input's frames, so that a unit
of a higher layer sees a longer time: with bases of 6 frames and blocks of 3, 8 frames, then 23. There are no labels.
"""
import pytensor
import pytensor.tensor as pt
from pytensor.graph.replace import graph_replace

from dbn.crbm import ConvolutionalRBM, GaussianConvolutionalRBM
from dbn.graph.compile import epoch_function
from dbn.graph.ops import take_rows
from dbn.graph.streams import as_streams
from dbn.layers import Parameters


class ConvolutionalDBN(Parameters):
    """A stack of convolutional RBMs.

    Parameters
    ----------
    numpy_rng : numpy.random.Generator or RandomState
        Draws the initial weights.
    theano_rng : RandomStreams, optional
        Draws the samples; seeded by `numpy_rng` if None.
    n_ins : int
        Values of a frame.
    hidden_layers_sizes : sequence of int
        Bases of each layer, at least one layer.
    widths, pools : sequence of int
        Frames of a base, and units of a block, of each layer.
    visible : {"bernoulli", "gaussian"}
        Kind of the first RBM's visible units.
    dtype : {"float32", "float64"}, optional
        Of the parameters; ``pytensor.config.floatX`` if None.

    Attributes
    ----------
    x : symbolic array [n_pieces, n_frames, n_ins]
        Pieces of songs.
    rbm_layers : list of ConvolutionalRBM
        From the bottom.
    n_layers : int
    visible : str
        As given.

    Raises
    ------
    ValueError
        No layer, not one width and pool for each, or another kind of visible units.
    """

    def __init__(self, numpy_rng, theano_rng=None, n_ins=80, hidden_layers_sizes=(300, 300), widths=(6, 6),
                 pools=(3, 3), visible="gaussian", dtype=None):
        if visible not in ("bernoulli", "gaussian"):
            raise ValueError(f'visible is "bernoulli" or "gaussian", not {visible!r}')
        if not hidden_layers_sizes or not len(hidden_layers_sizes) == len(widths) == len(pools):
            raise ValueError(f"{len(hidden_layers_sizes)} sizes of layers, {len(widths)} widths and {len(pools)} pools:"
                             " give at least one layer, and one of each for every layer")
        self.dtype = dtype or pytensor.config.floatX
        self.theano_rng = theano_rng = as_streams(theano_rng, numpy_rng)
        self.visible = visible
        self.n_layers = len(hidden_layers_sizes)
        self.x = below = pt.tensor3("x", dtype=self.dtype)
        self.rbm_layers = []
        for n_hidden, width, pool in zip(hidden_layers_sizes, widths, pools):
            is_gaussian = not self.rbm_layers and visible == "gaussian"
            rbm_class = GaussianConvolutionalRBM if is_gaussian else ConvolutionalRBM
            rbm = rbm_class(below, n_ins, n_hidden, width, pool, numpy_rng=numpy_rng, theano_rng=theano_rng,
                            dtype=self.dtype)
            self.rbm_layers.append(rbm)
            below, n_ins = rbm.pool_given_v(below), n_hidden

    def features(self):
        """Probabilities that the pooling units of every layer are on: list of arrays [n_pieces, n_blocks, n_hidden]."""
        return [rbm.pool_given_v(rbm.input) for rbm in self.rbm_layers]

    def pretraining_epoch(self, layer, data, starts, piece_frames, k=1, **options):
        """A function that runs one epoch of CD-k on the RBM of one layer.

        Parameters
        ----------
        layer : int
            Number of the layer, from 0.
        data : shared matrix [n, n_visible of the layer]
            Frames of all songs, one below the other: the data for layer 0, features of the layer below for others.
        starts : shared int64 vector [n_pieces]
            The row of `data` that each piece begins at.
        piece_frames : int or symbolic int
            Frames of every piece.
        k : int
            Gibbs steps.
        **options
            Others of :meth:`dbn.rbm.RBM.get_cost_updates`.

        Returns
        -------
        callable
            ``fn(order, batch_size, lr)`` of numbers of pieces, see :func:`dbn.graph.compile.epoch_function`.
        """
        lr, first = pt.scalar("lr", dtype=self.dtype), pt.lvector("first")
        rbm = self.rbm_layers[layer]
        cost, updates = rbm.get_cost_updates(lr, k=k, **options)
        rows = (first[:, None] + pt.arange(piece_frames)).flatten()
        pieces = take_rows(data, rows).reshape((first.shape[0], piece_frames, data.shape[1]))
        cost, *new = graph_replace([cost, *updates.values()], {rbm.input: pieces}, strict=False)
        return epoch_function(cost, dict(zip(updates, new)), {first: starts}, lr)

    def all_params(self):
        """Everything that training changes: the parameters of every RBM, from the bottom."""
        return [param for rbm in self.rbm_layers for param in rbm.params]
