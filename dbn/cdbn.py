"""Convolutional deep belief networks over time: a stack of convolutional RBMs. Not in the paper.

Each is fitted greedily, from the bottom, to the probabilities that the pooling units of the one below are on (Lee,
Pham, Largman and Ng 2009, see :mod:`dbn.crbm`). A layer has a feature for `pool` of its input's frames, so that one
of a higher layer sees a longer time: with bases of 6 frames and blocks of 3, 8 frames, then 29.

Their networks end there. Here a logistic layer may stand on top, and all is fine-tuned on the labels as the paper's
network is (§4.1): an example is a block of the top layer, and gradients go down through the pooling units'
probabilities, which are smooth functions of the weights.
"""
import pytensor
import pytensor.tensor as pt
from pytensor.graph.replace import graph_replace

from dbn.crbm import ConvolutionalRBM, GaussianConvolutionalRBM
from dbn.graph.compile import epoch_function
from dbn.graph.ops import take_rows
from dbn.graph.streams import as_streams
from dbn.layers import Parameters
from dbn.logistic import LogisticRegression


class ConvolutionalDBN(Parameters):
    """A stack of convolutional RBMs with a logistic output layer.

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
    n_outs : int
        Number of classes; 0 for a network that knows none.
    output : {"softmax", "sigmoid"}
        Output and cost of the last layer, see :class:`dbn.logistic.LogisticRegression`.

    Attributes
    ----------
    x, y : symbolic array [n_pieces, n_frames, n_ins], symbolic int32 vector [n_pieces]
        Pieces of songs, and the numbers of their classes.
    params : list of shared variables
        W and hidden bias of each RBM, then W and b of the logistic layer: what fine-tuning changes.
    rbm_layers : list of ConvolutionalRBM
        From the bottom.
    logLayer : LogisticRegression
        The output layer; its examples are the blocks of the top layer, of all pieces one below the other.
    finetune_cost : symbolic scalar
        Mean cost of the blocks of `x` and `y`.
    n_layers : int
    visible : str
        As given.

    Raises
    ------
    ValueError
        No layer, not one width and pool for each, or another kind of visible units.
    """

    def __init__(self, numpy_rng, theano_rng=None, n_ins=80, hidden_layers_sizes=(300, 300), widths=(6, 6),
                 pools=(3, 3), visible="gaussian", dtype=None, n_outs=0, output="softmax"):
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
        self.y = pt.ivector("y")
        self.rbm_layers = []
        for n_hidden, width, pool in zip(hidden_layers_sizes, widths, pools):
            is_gaussian = not self.rbm_layers and visible == "gaussian"
            rbm_class = GaussianConvolutionalRBM if is_gaussian else ConvolutionalRBM
            rbm = rbm_class(below, n_ins, n_hidden, width, pool, numpy_rng=numpy_rng, theano_rng=theano_rng,
                            dtype=self.dtype)
            self.rbm_layers.append(rbm)
            below, n_ins = rbm.pool_given_v(below), n_hidden
        self.logLayer = LogisticRegression(below.reshape((-1, below.shape[2])), n_ins, n_outs, output,
                                           dtype=self.dtype)
        self.finetune_cost = self.logLayer.cost(pt.repeat(self.y, below.shape[1]))
        self.params = [param for rbm in self.rbm_layers for param in (rbm.W, rbm.hbias)] + self.logLayer.params

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
        pieces = _pieces(data, first, piece_frames)
        cost, *new = graph_replace([cost, *updates.values()], {rbm.input: pieces}, strict=False)
        return epoch_function(cost, dict(zip(updates, new)), {first: starts}, lr)

    def finetuning_epoch(self, data, labels, starts, piece_frames):
        """A function that runs one epoch of gradient descent on the fine-tuning cost.

        Parameters
        ----------
        data : shared matrix [n, n_ins]
            Frames of all songs, one below the other.
        labels : shared int32 vector [n_pieces]
            The class of each piece.
        starts, piece_frames
            As in :meth:`pretraining_epoch`.

        Returns
        -------
        callable
            ``fn(order, batch_size, lr)`` of numbers of pieces, see :func:`dbn.graph.compile.epoch_function`.
        """
        lr, first = pt.scalar("lr", dtype=self.dtype), pt.lvector("first")
        updates = [param - lr * gparam for param, gparam in zip(self.params, pt.grad(self.finetune_cost, self.params))]
        cost, *new = graph_replace([self.finetune_cost, *updates], {self.x: _pieces(data, first, piece_frames)},
                                   strict=False)
        return epoch_function(cost, dict(zip(self.params, new)), {first: starts, self.y: labels}, lr)

    def all_params(self):
        """Everything that training changes: :attr:`params` and the visible biases of the RBMs."""
        return self.params + [rbm.vbias for rbm in self.rbm_layers]


def _pieces(data, first, n_frames):
    """Pieces of so many of the rows of `data`, from `first` on: [n_pieces, n_frames, data.shape[1]]."""
    rows = (first[:, None] + pt.arange(n_frames)).flatten()
    return take_rows(data, rows).reshape((first.shape[0], n_frames, data.shape[1]))
