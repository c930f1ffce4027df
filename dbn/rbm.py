r"""Restricted Boltzmann machines (paper §3), after the deeplearning.net tutorial.

An RBM with binary units has the energy

.. math:: E(v, h) = - b'v - c'h - v'Wh,

its hidden units are independent given the visible ones and the other way round,

.. math:: p(h_j = 1 | v) = \sigma(c_j + (v'W)_j), \quad p(v_i = 1 | h) = \sigma(b_i + (Wh)_i),

and summing the hidden units out of :math:`e^{-E}` gives the free energy

.. math:: F(v) = - b'v - \sum_j \log(1 + e^{c_j + (v'W)_j}), \quad p(v) = e^{-F(v)} / Z.

The negative log-likelihood's gradient is :math:`\partial F(v) - E_p[\partial F]`;
contrastive divergence (CD-k) estimates the expectation from the end of a Gibbs
chain of k steps begun at the data, PCD-k from a chain that goes on from one
update to the next.
"""
import numpy as np
import pytensor
import pytensor.tensor as pt

from dbn.descent import directions
from dbn.graph.ops import binary_cross_entropy, sigmoid, softplus
from dbn.graph.streams import as_streams
from dbn.layers import initial_weights, shared_parameter


class RBM:
    """RBM with binary visible and hidden units.

    Parameters
    ----------
    input : symbolic matrix [n_examples, n_visible], optional
        The data, in [0, 1]; a new matrix if None.
    n_visible, n_hidden : int
        Number of units.
    W : shared matrix or array [n_visible, n_hidden], optional
        Weights, shared with a sigmoid layer in a DBN; drawn by :func:`dbn.layers.initial_weights` if None.
    hbias, vbias : shared vector or array [n_hidden], [n_visible], optional
        Biases of hidden and visible units; zeros if None.
    numpy_rng : numpy.random.Generator or RandomState, optional
        Draws the seed of `theano_rng`, if that is None, and the initial weights; the tutorial's if None.
    theano_rng : RandomStreams, optional
        Draws the samples. PyTensor's and NumPy's generators are taken too, see :func:`dbn.graph.streams.as_streams`.
    dtype : {"float32", "float64"}, optional
        Of the parameters; ``pytensor.config.floatX`` if None.

    Attributes
    ----------
    params : list of shared variables
        ``[W, hbias, vbias]``.
    bit_i_idx : shared int
        The unit that :meth:`get_pseudo_likelihood_cost` flips next.
    """

    def __init__(self, input=None, n_visible=784, n_hidden=500, W=None, hbias=None, vbias=None,
                 numpy_rng=None, theano_rng=None, dtype=None):
        dtype = dtype or pytensor.config.floatX
        if numpy_rng is None:
            numpy_rng = np.random.RandomState(1234)  # the tutorial's
        self.theano_rng = as_streams(theano_rng, numpy_rng)  # before the weights, as the tutorial draws its seed
        if W is None:
            W = initial_weights(numpy_rng, n_visible, n_hidden, dtype)
        self.n_visible = n_visible
        self.n_hidden = n_hidden
        self.dtype = dtype
        self.W = shared_parameter(W, "W", dtype, (n_visible, n_hidden))
        self.hbias = shared_parameter(hbias, "hbias", dtype, (n_hidden,))
        self.vbias = shared_parameter(vbias, "vbias", dtype, (n_visible,))
        self.input = pt.matrix("input", dtype=dtype) if input is None else input
        self.params = [self.W, self.hbias, self.vbias]
        self.bit_i_idx = pytensor.shared(0, name="bit_i_idx")

    def free_energy(self, v_sample):
        """F(v) = -b'v - sum_j softplus(c_j + (v'W)_j), one number an example; [n_examples]."""
        wx_b = pt.dot(v_sample, self.W) + self.hbias
        return self.visible_energy(v_sample) - softplus(wx_b).sum(axis=1)

    def mean_free_energy(self, v_sample):
        """What CD takes the gradient of: the mean of F over the examples; a scalar."""
        return self.free_energy(v_sample).mean()

    def visible_energy(self, v_sample):
        """What E(v, h) has without hidden units, -b'v; [n_examples]."""
        return -pt.dot(v_sample, self.vbias)

    def visible_mean(self, pre_sigmoid):
        """Means of visible units whose input from the hidden ones, bias included, is `pre_sigmoid`; of its shape."""
        return sigmoid(pre_sigmoid)

    def propup(self, vis):
        """Hidden units given the visible ones: ``[pre_sigmoid, mean]``, each [n_examples, n_hidden]."""
        pre_sigmoid_activation = pt.dot(vis, self.W) + self.hbias
        return [pre_sigmoid_activation, sigmoid(pre_sigmoid_activation)]

    def propdown(self, hid):
        """Visible units given the hidden ones: ``[pre_sigmoid, mean]``, each [n_examples, n_visible]."""
        pre_sigmoid_activation = pt.dot(hid, self.W.T) + self.vbias
        return [pre_sigmoid_activation, self.visible_mean(pre_sigmoid_activation)]

    def sample_h_given_v(self, v0_sample):
        """Draw hidden units: ``[pre_sigmoid, mean, sample]``."""
        pre_sigmoid_h1, h1_mean = self.propup(v0_sample)
        h1_sample = self.theano_rng.binomial(size=h1_mean.shape, n=1, p=h1_mean, dtype=self.dtype)
        return [pre_sigmoid_h1, h1_mean, h1_sample]

    def sample_v_given_h(self, h0_sample):
        """Draw visible units: ``[pre_sigmoid, mean, sample]``."""
        pre_sigmoid_v1, v1_mean = self.propdown(h0_sample)
        v1_sample = self.theano_rng.binomial(size=v1_mean.shape, n=1, p=v1_mean, dtype=self.dtype)
        return [pre_sigmoid_v1, v1_mean, v1_sample]

    def gibbs_hvh(self, h0_sample):
        """One Gibbs step from hidden units: ``[pre_v, v_mean, v_sample, pre_h, h_mean, h_sample]``."""
        visible = self.sample_v_given_h(h0_sample)
        return visible + self.sample_h_given_v(visible[2])

    def gibbs_vhv(self, v0_sample):
        """One Gibbs step from visible units: ``[pre_h, h_mean, h_sample, pre_v, v_mean, v_sample]``."""
        hidden = self.sample_h_given_v(v0_sample)
        return hidden + self.sample_v_given_h(hidden[2])

    def gibbs_chain(self, step, start, k):
        """Run `step` (:meth:`gibbs_hvh` or :meth:`gibbs_vhv`) `k` times, by ``scan`` unless one time is enough.

        Parameters
        ----------
        step : callable
            Takes a sample and gives six variables, of which the last is the next sample.
        start : symbolic matrix
            The sample that the chain begins at.
        k : int or symbolic int
            Number of steps.

        Returns
        -------
        outputs : list of six symbolic matrices
            What the last step gave.
        updates : dict
            What the draws within the ``scan`` go on from at the next call.
        """
        if isinstance(k, int) and k == 1:
            return step(start), {}
        outputs, updates = pytensor.scan(step, outputs_info=[None] * 5 + [start], n_steps=k)
        return [output[-1] for output in outputs], updates

    def get_cost_updates(self, lr=0.1, persistent=None, k=1, sparsity=None, **descent):
        """One step of contrastive divergence (CD-k), or of PCD-k with a `persistent` chain.

        Parameters
        ----------
        lr : float or symbolic scalar
            Learning rate.
        persistent : shared matrix [n_chains, n_hidden], optional
            Hidden states of the persistent chain; None for CD, which begins at the data.
        k : int
            Number of Gibbs steps.
        sparsity : pair of floats or symbolic scalars, optional
            A target p and a cost: each hidden bias is also led by cost times (p - q) to where its unit's mean over the
            minibatch, q, is p (Lee, Pham, Largman and Ng 2009). Not in the paper.
        **descent
            ``weight_decay``, ``momentum`` and ``velocities`` of :func:`dbn.descent.directions`, the latter in the order
            of :attr:`params`. Not in the paper.

        Returns
        -------
        monitoring_cost : symbolic scalar
            Reconstruction cost (CD) or a proxy of the pseudo-likelihood (PCD); higher is better.
        updates : dict
            New values of the parameters and the chain, and of the draws within a ``scan``, which k > 1 takes.
        """
        _, ph_mean, ph_sample = self.sample_h_given_v(self.input)
        chain_start = ph_sample if persistent is None else persistent
        (pre_sigmoid_nv, _, nv_sample, _, _, nh_sample), updates = self.gibbs_chain(self.gibbs_hvh, chain_start, k)

        # the chain's end stands for the model's distribution: the gradient does not run through it
        cost = self.mean_free_energy(self.input) - self.mean_free_energy(nv_sample)
        gparams = pt.grad(cost, self.params, consider_constant=[nv_sample])
        if sparsity is not None:
            target, sparsity_cost = (pt.cast(number, self.dtype) for number in sparsity)
            mean = ph_mean.mean(axis=tuple(range(ph_mean.ndim - 1)))
            gparams[1] = gparams[1] + sparsity_cost * (mean - target)

        lr = pt.cast(lr, self.dtype)
        for param, gparam in zip(self.params, directions(self.params, gparams, updates, **descent)):
            updates[param] = param - gparam * lr
        if persistent is None:
            return self.get_reconstruction_cost(updates, pre_sigmoid_nv), updates
        updates[persistent] = nh_sample
        return self.get_persistent_cost(updates), updates

    def get_persistent_cost(self, updates):
        """What PCD monitors: its chain reconstructs nothing, so the pseudo-likelihood of the input."""
        return self.get_pseudo_likelihood_cost(updates)

    def get_pseudo_likelihood_cost(self, updates):
        """Stochastic approximation of the log-pseudo-likelihood (a scalar, in nats an example; at most 0).

        The sum over i of log p(v_i | v_-i) is estimated as n_visible times one
        term; `updates` gains the step of its index i to the next unit. With
        F the free energy and v' the example with unit i flipped,
        p(v_i | v_-i) = sigmoid(F(v') - F(v)). The input is rounded to 0 or 1 first.
        """
        n_visible = self.vbias.shape[0]  # as a symbol: a compiled epoch serves RBMs of any width
        xi = pt.round(self.input)
        xi_flip = pt.set_subtensor(xi[:, self.bit_i_idx], 1 - xi[:, self.bit_i_idx])
        # log(sigmoid(t)) = -softplus(-t), finite wherever t is
        log_conditional = -softplus(self.free_energy(xi) - self.free_energy(xi_flip))
        updates[self.bit_i_idx] = (self.bit_i_idx + 1) % n_visible
        return (pt.cast(n_visible, self.dtype) * log_conditional).mean()

    def get_reconstruction_cost(self, updates, pre_sigmoid_nv):
        """Mean over examples of sum_i x_i log s_i + (1 - x_i) log(1 - s_i), s = sigmoid(`pre_sigmoid_nv`).

        The sign is the tutorial's: higher is better. `updates` is not used; the
        argument is there because the tutorial's method has it.
        """
        return self.mean_log_likelihood(self.input, pre_sigmoid_nv)

    def mean_log_likelihood(self, x, pre_sigmoid):
        """Of each row of `x` [n, n_visible] given the inputs `pre_sigmoid` of its units; the mean, a scalar."""
        return binary_cross_entropy(x, pre_sigmoid)


class GaussianRBM(RBM):
    r"""RBM with real-valued visible units of unit variance and binary hidden units.

    .. math:: E(v, h) = \tfrac12 \|v - b\|^2 - c'h - v'Wh, \quad v | h \sim N(b + Wh, 1),

    for inputs standardised to mean 0 and variance 1. Parameters as :class:`RBM`.
    """

    def visible_energy(self, v_sample):
        """What E(v, h) has without hidden units, |v - b|^2 / 2; [n_examples]."""
        return 0.5 * pt.sqr(v_sample - self.vbias).sum(axis=1)

    def visible_mean(self, pre_sigmoid):
        """`pre_sigmoid` itself, b + Wh: nothing is squashed."""
        return pre_sigmoid

    def sample_v_given_h(self, h0_sample):
        """Draw visible units from N(mean, 1): ``[mean, mean, sample]``."""
        pre_v1, v1_mean = self.propdown(h0_sample)
        return [pre_v1, v1_mean, self.theano_rng.normal(size=v1_mean.shape, avg=v1_mean, dtype=self.dtype)]

    def get_persistent_cost(self, updates):
        """What PCD monitors: flipping a bit means nothing here, so the input's reconstruction through the means."""
        return self.get_reconstruction_cost(updates, self.propdown(self.propup(self.input)[1])[0])

    def mean_log_likelihood(self, x, pre_sigmoid):
        """Minus half the squared error, summed over units, mean over rows: a log-density but for its constant."""
        return -0.5 * pt.sqr(x - pre_sigmoid).sum(axis=1).mean()
