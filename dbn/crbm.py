r"""The convolutional RBM over time, with probabilistic max-pooling (paper §5.3, §6).

"Another flaw of our model is that the features are extracted at the frame level only ... Convolutional DBNs might
provide a suitable model" (§5.3). An example is a piece of a song, v with frames :math:`v_t` of d bins. Each of K bases
:math:`W^k` spans w frames and is laid on the piece at every position t, where the hidden unit :math:`h_{tk}` says
whether it is there. C neighbouring positions are a block, in which a base is on at one position at most:

.. math:: E(v, h) = - \sum_{t} c'v_t - \sum_{t,k} h_{tk} I_{tk}, \quad
          I_{tk} = b_k + \sum_{r<w} W^{k\prime}_r v_{t+r}, \quad \sum_{t \in \text{block}} h_{tk} \le 1.

Given v the positions of a block and "off" are one draw of a softmax (probabilistic max-pooling; Lee, Grosse, Ranganath
and Ng, ICML 2009), and the pooling unit is on unless that is "off":

.. math:: p(h_{tk} = 1 | v) = \frac{e^{I_{tk}}}{1 + \sum_{s \in \text{block}} e^{I_{sk}}}, \quad
          p(v_{ti} = 1 | h) = \sigma(c_i + \sum_{k,r} W^k_{ri} h_{t-r,k}),

.. math:: F(v) = - \sum_t c'v_t - \sum_{\text{blocks},k} \log(1 + \sum_{t \in \text{block}} e^{I_{tk}}).

With Gaussian visible units of standard deviation s, :math:`- c'v` becomes :math:`\|v - c\|^2 / 2 s^2`, I is divided by
:math:`s^2`, and v is normal about c plus the sum of the bases that are on. With bases of one frame and blocks of one
position it is the RBM of :mod:`dbn.rbm`. Lee, Pham, Largman and Ng (NIPS 2009) trained it on music: bases of 6 frames,
blocks of 3, s 0.2, a sparsity target of 0.05, W drawn from 0.01 times a normal distribution, b at -0.1.

**Edges.** A base lies wholly inside the piece: n frames have n - w + 1 positions. The first and the last frames are
therefore under fewer bases than those between. If the positions are no multiple of C, the last block is smaller.
"""
import numpy as np
import pytensor.tensor as pt
from pytensor.gradient import disconnected_grad

from dbn.graph.ops import binary_cross_entropy
from dbn.rbm import RBM

_NOWHERE = -1e30  # the input of a position that fills up the last block: it is never on


class ConvolutionalRBM(RBM):
    """Convolutional RBM with binary visible units; the rest of the class is :class:`dbn.rbm.RBM`.

    Parameters
    ----------
    input : symbolic tensor [n_pieces, n_frames, n_visible], optional
        Pieces of songs of one length, in [0, 1]; a new variable if None.
    n_visible : int
        Bins of a frame.
    n_hidden : int
        Number of bases.
    width : int
        Frames of a base.
    block : int
        Positions of a block, of which a pooling unit is made.
    W : shared matrix or array [width * n_visible, n_hidden], optional
        A column is a base, its first frame first.
    hbias, vbias : shared vector or array [n_hidden], [n_visible], optional
        By default -0.1 and zeros.
    numpy_rng, theano_rng, dtype
        As of :class:`dbn.rbm.RBM`.

    Raises
    ------
    ValueError
        A width or block below 1.
    """

    def __init__(self, input=None, n_visible=80, n_hidden=300, width=6, block=3, W=None, hbias=None, vbias=None,
                 numpy_rng=None, theano_rng=None, dtype=None):
        for name, value in (("width", width), ("block", block)):
            if value < 1:
                raise ValueError(f"{name} is {value}: give the number of frames, at least 1")
        self.width, self.block = width, block
        if hbias is None:
            hbias = np.full(n_hidden, -0.1)
        super().__init__(input, n_visible, n_hidden, W, hbias, vbias, numpy_rng, theano_rng, dtype)

    def draw_weights(self, numpy_rng):
        """0.01 times normal numbers: [width * n_visible, n_hidden]."""
        shape = self.width * self.n_visible, self.n_hidden
        return (0.01 * numpy_rng.normal(size=shape)).astype(self.dtype)

    def new_input(self):
        """A new variable for pieces of songs: [n_pieces, n_frames, n_visible]."""
        return pt.tensor3("input", dtype=self.dtype)

    def hidden_input(self, vis):
        """I, what each base finds at each position of the pieces `vis`: [n_pieces, n_positions, n_hidden].

        The frames of a position stand side by side in a row, so that one product of matrices does it all. Of a song it
        takes as long as a sum of `width` products, of short pieces less, and both little more than the product alone.
        """
        n_positions = vis.shape[1] - (self.width - 1)
        rows = pt.concatenate([vis[:, r:r + n_positions] for r in range(self.width)], axis=2)
        product = pt.dot(rows.reshape((-1, self.width * vis.shape[2])), self.W)
        return product.reshape((vis.shape[0], n_positions, self.W.shape[1])) + self.hbias

    def _pooled(self, inputs):
        """The exponentials of a block's inputs, [n_pieces, n_blocks, block, n_hidden], and their sum with "off".

        All over e^m, m the largest of them and 0, which is returned as well: nothing overflows.
        """
        n, n_positions, n_hidden = inputs.shape
        n_blocks = (n_positions + self.block - 1) // self.block
        filling = pt.full((n, n_blocks * self.block - n_positions, n_hidden), _NOWHERE, dtype=inputs.dtype)
        blocks = pt.concatenate([inputs, filling], axis=1).reshape((n, n_blocks, self.block, n_hidden))
        # F does not depend on m, so no gradient runs through it
        m = disconnected_grad(pt.maximum(blocks.max(axis=2, keepdims=True), 0))
        exponentials = pt.exp(blocks - m)
        return exponentials, pt.exp(-m) + exponentials.sum(axis=2, keepdims=True), m

    def _log_sums(self, vis):
        """Sum over blocks and bases of log(1 + sum of e^I): [n_pieces]."""
        _, total, m = self._pooled(self.hidden_input(vis))
        return (m + pt.log(total)).sum(axis=(1, 2, 3))

    def free_energy(self, v_sample):
        """F of each piece, see the module: [n_pieces]."""
        return -pt.dot(v_sample, self.vbias).sum(axis=1) - self._log_sums(v_sample)

    def mean_free_energy(self, v_sample):
        """Mean of the free energies, for each position of a base: the rate means the same for pieces of any length."""
        return self.free_energy(v_sample).mean() / (v_sample.shape[1] - (self.width - 1)).astype(self.dtype)

    def mean_activity(self, h_mean):
        """Mean of each base over pieces and positions: [n_hidden]."""
        return h_mean.mean(axis=(0, 1))

    def propup(self, vis):
        """Hidden units given the visible ones: ``[I, mean]``, each [n_pieces, n_positions, n_hidden]."""
        inputs = self.hidden_input(vis)
        exponentials, total, _ = self._pooled(inputs)
        means = (exponentials / total).reshape((inputs.shape[0], -1, inputs.shape[2]))
        return [inputs, means[:, :inputs.shape[1]]]

    def pool(self, vis):
        """Probability that a base is on somewhere in a block: [n_pieces, n_blocks, n_hidden], the pooled features."""
        exponentials, total, _ = self._pooled(self.hidden_input(vis))
        return (exponentials.sum(axis=2, keepdims=True) / total)[:, :, 0]

    def bases_down(self, hid):
        """The sum of the bases that are on, W^k_r h_{t-r,k} over k and r: [n_pieces, n_frames, n_visible]."""
        n, n_positions, n_hidden = hid.shape
        rows = pt.dot(hid.reshape((-1, n_hidden)), self.W.T).reshape((n, n_positions, self.width, self.n_visible))
        edge = pt.zeros((n, self.width - 1, self.n_visible), dtype=self.dtype)
        return sum(pt.concatenate([edge[:, :r], rows[:, :, r], edge[:, r:]], axis=1) for r in range(self.width))

    def propdown(self, hid):
        """Visible units given the hidden ones: ``[pre_sigmoid, mean]``, each [n_pieces, n_frames, n_visible]."""
        pre_sigmoid = self.bases_down(hid) + self.vbias
        return [pre_sigmoid, pt.sigmoid(pre_sigmoid)]

    def sample_h_given_v(self, v0_sample):
        """Draw hidden units, of each block and base at most one: ``[I, mean, sample]``."""
        inputs = self.hidden_input(v0_sample)
        exponentials, total, _ = self._pooled(inputs)
        n, n_positions, n_hidden = inputs.shape
        shares = exponentials / total
        ends = pt.cumsum(shares, axis=2)
        uniform = self.theano_rng.uniform(size=shares[:, :, :1].shape, dtype=self.dtype)
        drawn = pt.cast((uniform < ends) & (uniform >= ends - shares), self.dtype)
        mean, sample = (x.reshape((n, -1, n_hidden))[:, :n_positions] for x in (shares, drawn))
        return [inputs, mean, sample]

    def get_persistent_cost(self, updates):
        """What PCD monitors: its chain reconstructs nothing, so the input's reconstruction through the means."""
        return self.get_reconstruction_cost(updates, self.propdown(self.propup(self.input)[1])[0])

    def get_reconstruction_cost(self, updates, pre_sigmoid_nv):
        """As :meth:`dbn.rbm.RBM.get_reconstruction_cost`, mean over all frames."""
        frames, pre_sigmoid = (x.reshape((-1, self.n_visible)) for x in (self.input, pre_sigmoid_nv))
        return binary_cross_entropy(frames, pre_sigmoid)

    def get_pseudo_likelihood_cost(self, updates):
        """Not defined here: a unit would have to be flipped at every frame. Raises a NotImplementedError."""
        raise NotImplementedError("the pseudo-likelihood of pieces of songs is not estimated; take the reconstruction")


class GaussianConvolutionalRBM(ConvolutionalRBM):
    """Convolutional RBM with real-valued visible units, for inputs standardised to mean 0 and variance 1.

    Parameters
    ----------
    deviation : float
        s, the standard deviation of the visible units given the hidden ones.
    input, n_visible, n_hidden, width, block, W, hbias, vbias, numpy_rng, theano_rng, dtype
        See :class:`ConvolutionalRBM`.

    Raises
    ------
    ValueError
        As there; a deviation that is not positive.
    """

    def __init__(self, *args, deviation=1.0, **more):
        if not deviation > 0:
            raise ValueError(f"deviation is {deviation}: give a positive number")
        self.deviation = deviation
        super().__init__(*args, **more)

    def hidden_input(self, vis):
        """I over s², see the module: [n_pieces, n_positions, n_hidden]."""
        return super().hidden_input(vis) / pt.cast(self.deviation ** 2, self.dtype)

    def free_energy(self, v_sample):
        """F of each piece, see the module: [n_pieces]."""
        squares = pt.sqr(v_sample - self.vbias).sum(axis=(1, 2))
        return squares / pt.cast(2 * self.deviation ** 2, self.dtype) - self._log_sums(v_sample)

    def propdown(self, hid):
        """Visible units given the hidden ones: ``[mean, mean]``, each [n_pieces, n_frames, n_visible]."""
        mean = self.bases_down(hid) + self.vbias
        return [mean, mean]

    def sample_v_given_h(self, h0_sample):
        """Draw visible units from N(mean, s²): ``[mean, mean, sample]``."""
        pre_v1, v1_mean = self.propdown(h0_sample)
        sample = self.theano_rng.normal(size=v1_mean.shape, avg=v1_mean, std=self.deviation, dtype=self.dtype)
        return [pre_v1, v1_mean, sample]

    def get_reconstruction_cost(self, updates, pre_sigmoid_nv):
        """Minus half the squared error over s², summed over a frame's bins, mean over all frames."""
        return -0.5 / self.deviation ** 2 * pt.sqr(self.input - pre_sigmoid_nv).sum(axis=2).mean()
