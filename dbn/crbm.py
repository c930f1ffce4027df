r"""Convolutional restricted Boltzmann machines over time, with probabilistic max-pooling. Not in the paper.

The paper's network sees one frame at a time. Here a hidden unit sees :math:`w` successive frames, and all its copies
over time share one set of weights, a base. Of T frames :math:`v_t` of d values each, a base :math:`W_k` [w, d] with the
bias :math:`c_k` makes the inputs

.. math:: I_{tk} = c_k + \sum_{r=0}^{w-1} \sum_{j=1}^d W_{krj} v_{t+r, j}.

The hidden units of a base lie in blocks of C neighbours, of which at most one is on. With :math:`u(v)` the energy of
the visible units alone, :math:`-\sum_t b'v_t` if they are binary and :math:`\tfrac12 \sum_t \|v_t - b\|^2` if Gaussian,

.. math:: E(v, h) = u(v) - \sum_{tk} h_{tk} I_{tk}, \quad \sum_{t \in B} h_{tk} \le 1 \text{ for every block } B.

So a block has C + 1 states. Its pooling unit is on where one of its units is (Lee, Grosse, Ranganath and Ng, §3.3):

.. math:: p(h_{tk} = 1 | v) = \frac{e^{I_{tk}}}{1 + \sum_{s \in B} e^{I_{sk}}}, \quad
          p(\text{off} | v) = \frac{1}{1 + \sum_{s \in B} e^{I_{sk}}},

.. math:: F(v) = u(v) - \sum_k \sum_B \log \Bigl(1 + \sum_{s \in B} e^{I_{sk}}\Bigr).

Given the hidden units, the visible ones have the input :math:`b + \sum_{kr} W_{kr} h_{t-r, k}`: binary ones are on with
its sigmoid, Gaussian ones are drawn from N(input, 1). The gradient of F by :math:`I_{tk}` is
:math:`-p(h_{tk} = 1 | v)`, so that contrastive divergence is :meth:`dbn.rbm.RBM.get_cost_updates`: correlations under
the data less those under the reconstruction. With one frame a base and blocks of one it is the plain RBM.

**A block's units one after the other.** With :math:`L_C = 0` and :math:`L_j = \log(e^{L_{j+1}} + e^{I_j})`, the unit j
is on with :math:`q_j = \sigma(I_j - L_{j+1})` if none before it is, and :math:`L_0` is the block's part of -F. So the
softmax takes nothing but sigmoids and softplus functions of differences, which overflow for no input. With
:mod:`dbn.graph.ops` that is two to three times as fast as exponentials less the largest of a block.

**Edges.** A base has T - w + 1 positions, those where it lies within the frames. The last ones, fewer than C, that fill
no block have no units, and the frames that only they would see are left out: what is said of T frames is said of the
first C ⌊(T - w + 1) / C⌋ + w - 1. Fewer than w + C - 1 frames are refused, when the graph is run, with a ValueError.

**Scales.** The cost, and so the learning rate, counts a position of a base as the plain RBM counts an example: CD's
gradients are divided by the number of positions, for the visible bias too, where Lee et al. divide by that of frames.

**Constants.** Those of the published code of Lee, Pham, Largman and Ng for speech and music: 300 bases of 6 frames,
blocks of 3, 80 whitened principal components of a spectrogram, sparsity target 0.05 at the cost 5, learning rate 0.01 /
(1 + 0.01 epoch), weight decay 0.01, momentum 0.5 and from the fifth epoch on 0.9, weights of 0.01 times normal numbers,
hidden biases of -0.1, Gaussian units with a standard deviation s of 0.2. A deviation other than 1 is a matter of scale:
such a model of v is one of unit variance of v / s, with the weights W / s, the hidden biases c / s² and the visible
ones b / s. The steps of W and b are the same there; those of c, CD's and the sparsity's, are s⁻² times as long.

References
----------
H. Lee, P. Pham, Y. Largman and A. Ng, "Unsupervised feature learning for audio classification using convolutional deep
belief networks", NIPS 2009.

H. Lee, R. Grosse, R. Ranganath and A. Ng, "Convolutional deep belief networks for scalable unsupervised learning of
hierarchical representations", ICML 2009.
"""
from functools import reduce

import numpy as np
import pytensor.tensor as pt
from pytensor.raise_op import CheckAndRaise

from dbn.graph.ops import sigmoid, softplus
from dbn.graph.streams import as_streams
from dbn.rbm import RBM, GaussianRBM

WEIGHTS_STD = 0.01  # of the initial weights: inputs are sums over w d values, which larger ones would saturate


class ConvolutionalRBM(RBM):
    """RBM with binary visible units over time, whose hidden units see several frames and lie in blocks.

    Its methods are those of :class:`dbn.rbm.RBM`. Where they take or give [n_pieces, n_frames, n_visible], a single
    piece [n_frames, n_visible] will do: all that comes of it lacks the first axis too. `n_positions` is the number of
    hidden units of each base, a multiple of `pool`; what comes down from them is n_positions + width - 1 frames.

    Parameters
    ----------
    input : symbolic array [n_pieces, n_frames, n_visible] or [n_frames, n_visible], optional
        The data, in [0, 1]: pieces of songs, or one; a new array of three axes if None.
    n_visible : int
        Values of a frame.
    n_hidden : int
        Number of bases.
    width : int
        Frames that a base sees.
    pool : int
        Hidden units of a block; 1 for no pooling.
    W : shared matrix or array [width * n_visible, n_hidden], optional
        A base a column, its frames one below the other; drawn from N(0, 0.01²) if None.
    hbias, vbias, numpy_rng, theano_rng, dtype
        As for :class:`dbn.rbm.RBM`.

    Attributes
    ----------
    params : list of shared variables
        ``[W, hbias, vbias]``.

    Raises
    ------
    ValueError
        A width or a block of no unit, an input of another number of axes, or weights of another shape.
    """

    def __init__(self, input=None, n_visible=80, n_hidden=300, width=6, pool=3, W=None, hbias=None, vbias=None,
                 numpy_rng=None, theano_rng=None, dtype=None):
        for name, value in (("width", width), ("pool", pool)):
            if not isinstance(value, (int, np.integer)) or value < 1:
                raise ValueError(f"{name} is {value!r}: give a whole number of at least 1")
        if input is not None and input.ndim not in (2, 3):
            raise ValueError(f"the input has {input.ndim} axes: give a piece [n_frames, n_visible], or pieces "
                             "[n_pieces, n_frames, n_visible] of one length")
        shape = width * n_visible, n_hidden
        if isinstance(W, np.ndarray) and W.shape != shape:
            raise ValueError(f"W has the shape {W.shape}: bases of {width} frames of {n_visible} values take "
                             f"[width * n_visible, n_hidden], here {shape}")
        if numpy_rng is None:
            numpy_rng = np.random.RandomState(1234)
        theano_rng = as_streams(theano_rng, numpy_rng)  # before the weights, as RBM draws its seed
        if W is None:
            W = WEIGHTS_STD * numpy_rng.normal(size=shape)
        super().__init__(input, n_visible, n_hidden, W, hbias, vbias, numpy_rng, theano_rng, dtype)
        self.width, self.pool = int(width), int(pool)
        if input is None:
            self.input = pt.tensor3("input", dtype=self.dtype)

    def free_energy(self, v_sample):
        """F(v), one number a piece; [n_pieces]."""
        frames = self.covered(v_sample)
        visible = self.visible_energy(_as_rows(frames)).reshape(frames.shape[:-1])
        _, log_sums = _block_by_unit(self._unit_inputs(v_sample))
        return visible.sum(axis=-1) - self._by_piece(log_sums, v_sample).sum(axis=(-2, -1))

    def mean_free_energy(self, v_sample):
        """What CD takes the gradient of: the mean of F over the pieces and a base's positions; a scalar."""
        n_pieces = _pieces(v_sample).shape[0]
        visible = self.visible_energy(_as_rows(self.covered(v_sample))).sum()
        _, log_sums = _block_by_unit(self._unit_inputs(v_sample))
        return (visible - log_sums.sum()) / (n_pieces * self._n_positions(v_sample)).astype(self.dtype)

    def propup(self, vis):
        """Hidden units given the visible ones: ``[input, mean]``, each [n_pieces, n_positions, n_hidden].

        The inputs I are what a softmax over each block, together with a 0, makes the means of.
        """
        inputs = self._unit_inputs(vis)
        conditionals, _ = _block_by_unit(inputs)
        return [self._along_time(each, vis) for each in (inputs, _first(conditionals))]

    def pool_given_v(self, vis):
        """Probability that each block's pooling unit is on, the features of Lee et al.; [n_pieces, n_blocks, n_hidden].

        ``n_blocks`` is (n_frames - width + 1) // pool.
        """
        log_odds = reduce(lambda x, y: x + softplus(y - x), self._unit_inputs(vis))
        return self._by_piece(sigmoid(log_odds), vis)

    def propdown(self, hid):
        """Visible units given hidden ones [n_pieces, n_positions, n_hidden]: ``[pre_sigmoid, mean]``.

        Each is [n_pieces, n_positions + width - 1, n_visible].
        """
        n_pieces, n, _ = _pieces(hid).shape
        w, d = self.width, self.vbias.shape[0]
        sent = pt.dot(_as_rows(hid), self.W.T).reshape((n_pieces, n, w, d)).dimshuffle(0, 2, 1, 3)
        # what goes to the frame r of a base is moved by r: w zeros behind each row, and rows one shorter than that
        sent = pt.concatenate([sent, pt.zeros((n_pieces, w, w, d), dtype=self.dtype)], axis=2)
        sent = sent.reshape((n_pieces, w * (n + w), d))[:, :w * (n + w - 1)].reshape((n_pieces, w, n + w - 1, d))
        frames = sent.sum(axis=1) + self.vbias
        frames = frames if hid.ndim == 3 else frames[0]
        return [frames, self.visible_mean(frames)]

    def sample_h_given_v(self, v0_sample):
        """Draw hidden units, of each block at most one: ``[input, mean, sample]``, shapes as :meth:`propup`."""
        inputs = self._unit_inputs(v0_sample)
        conditionals, _ = _block_by_unit(inputs)
        drawn = [self.theano_rng.binomial(size=p.shape, n=1, p=p, dtype=self.dtype) for p in conditionals]
        return [self._along_time(each, v0_sample) for each in (inputs, _first(conditionals), _first(drawn))]

    def get_reconstruction_cost(self, updates, pre_sigmoid_nv):
        """The plain RBM's, of which a frame is an example: summed over its values, mean over frames and pieces."""
        return self.mean_log_likelihood(_as_rows(self.covered(self.input)), _as_rows(pre_sigmoid_nv))

    def get_pseudo_likelihood_cost(self, updates):
        """The plain RBM's (a scalar, in nats a frame), over all units of a piece; see :class:`dbn.rbm.RBM`."""
        v = pt.round(self.covered(_pieces(self.input)))
        units = v.reshape((v.shape[0], v.shape[1] * v.shape[2]))
        unit = self.bit_i_idx % units.shape[1]  # the pieces before may have been longer
        flipped = pt.set_subtensor(units[:, unit], 1 - units[:, unit]).reshape(v.shape)
        log_conditional = -softplus(self.free_energy(v) - self.free_energy(flipped))
        updates[self.bit_i_idx] = (unit + 1) % units.shape[1]
        return v.shape[2].astype(self.dtype) * log_conditional.mean()

    def covered(self, vis):
        """Those of the frames [n_pieces, n_frames, n_visible] that the hidden units see, see the module's Edges."""
        return vis[..., :self._n_positions(vis) + self.width - 1, :]

    def _n_positions(self, vis):
        n_blocks = (vis.shape[-2] - self.width + 1) // self.pool
        check = CheckAndRaise(ValueError, f"bases of {self.width} frames in blocks of {self.pool} take pieces of at "
                                          f"least {self.width + self.pool - 1} frames: give longer ones")
        return self.pool * check(n_blocks, n_blocks > 0)

    def _unit_inputs(self, vis):
        """Inputs I of every block's first unit, of its second and so on: `pool` of [n_pieces * n_blocks, n_hidden].

        The frames of every position lie side by side in one matrix, so that one product makes all inputs of a unit. The
        sum of `width` products of shifted matrices, which takes no copies, was as fast, but 1.2 times as slow with its
        gradient, which adds up as many products (456 positions of 6 frames of 80 values, 300 bases; 6 of 513, 50).
        """
        n_pieces, n_frames, _ = _pieces(vis).shape
        blocks = pt.arange(0, self._n_positions(vis), self.pool)
        first = (n_frames * pt.arange(n_pieces)[:, None] + blocks).flatten()  # frame of each block, among all
        rows, n_values = _as_rows(vis), self.W.shape[0]
        return [pt.dot(rows[(first[:, None] + np.arange(unit, unit + self.width)).flatten()].reshape((-1, n_values)),
                       self.W) + self.hbias for unit in range(self.pool)]

    def _by_piece(self, blocks, vis):
        """[n_pieces * n_blocks, n_hidden] as [n_pieces, n_blocks, n_hidden], for a piece alone without the first."""
        shape = self._n_positions(vis) // self.pool, self.hbias.shape[0]
        return blocks.reshape(shape if vis.ndim == 2 else (vis.shape[0], *shape))

    def _along_time(self, units, vis):
        """A list as of :meth:`_unit_inputs`, put into the order of time: [n_pieces, n_positions, n_hidden]."""
        shape = self._n_positions(vis), self.hbias.shape[0]
        return pt.stack(units, axis=1).reshape(shape if vis.ndim == 2 else (vis.shape[0], *shape))


class GaussianConvolutionalRBM(ConvolutionalRBM, GaussianRBM):
    """:class:`ConvolutionalRBM` with real-valued visible units of unit variance; same parameters and shapes."""


def _pieces(x):
    """Pieces, of one alone as well: [1, n_frames, values] of [n_frames, values]."""
    return x if x.ndim == 3 else x[None]


def _as_rows(x):
    """All frames, or all positions, one below the other: [n, values]."""
    return x.reshape((-1, x.shape[-1]))


def _block_by_unit(inputs):
    """The units of each block one after the other, see the module's docstring.

    Parameters
    ----------
    inputs : list of `pool` symbolic arrays
        Of the first unit of every block, of the second and so on.

    Returns
    -------
    conditionals : list of `pool` symbolic arrays
        Probability that a unit is on if none before it is.
    log_sums : symbolic array
        log(1 + sum of exp(I) over the block).
    """
    *before, last = inputs
    conditionals, log_sums = [sigmoid(last)], softplus(last)
    for unit in reversed(before):
        conditionals.insert(0, sigmoid(unit - log_sums))
        log_sums = log_sums + softplus(unit - log_sums)
    return conditionals, log_sums


def _first(parts):
    """Each of a list of arrays times one less those before it.

    Of conditional probabilities it makes the units' own; of draws, those of a block's first unit that is on.
    """
    results, none_before = [parts[0]], 1 - parts[0]
    for part in parts[1:]:
        results.append(none_before * part)
        none_before = none_before * (1 - part)
    return results
