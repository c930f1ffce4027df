r"""Likelihoods of an RBM (paper §3): its partition function, exactly or by annealed importance sampling.

What training cannot say, because it never meets Z: :math:`\log p(v) = -F(v) - \log Z`, with

.. math:: Z = \sum_{v, h} e^{-E(v, h)} = \sum_h e^{c'h} \prod_i (1 + e^{b_i + (Wh)_i})

for binary units, or the same with the sides exchanged. Gaussian visible units are integrated out,

.. math:: Z = (2\pi)^{D/2} \sum_h e^{c'h + b'Wh + \|Wh\|^2 / 2},

where D is their number. A sum of :math:`2^n` terms can be had for a small n; larger RBMs take annealed importance
sampling. All of it is computed in float64, whatever the parameters are in.

References
----------
R. Salakhutdinov and I. Murray, "On the quantitative analysis of deep belief networks", ICML 2008.
"""
from copy import copy
from dataclasses import dataclass

import numpy as np
import pytensor
import pytensor.tensor as pt

from dbn.crbm import ConvolutionalRBM
from dbn.graph.compile import function, mode
from dbn.rbm import GaussianRBM

MOST_UNITS = 25  # to be enumerated: 34 million states, which take minutes

_BLOCK = 2**22  # numbers of a block of states and what they add up to: 32 MB

# Salakhutdinov and Murray's inverse temperatures: 500 below 0.5, 4,000 up to 0.9, 10,000 up to 1
BETAS = np.concatenate([np.arange(0, 0.5, 1e-3), np.arange(0.5, 0.9, 1e-4), np.linspace(0.9, 1, 10_001)])


def log_partition(rbm):
    """log Z, by the sum over all states of the smaller side, or of the hidden one if the visible units are Gaussian.

    Parameters
    ----------
    rbm : dbn.rbm.RBM

    Returns
    -------
    float
        In nats.

    Raises
    ------
    ValueError
        More than `MOST_UNITS` units would have to be enumerated, or the RBM is a convolutional one.
    """
    _require_plain(rbm)
    W, hbias, vbias = (param.get_value().astype(np.float64) for param in rbm.params)
    gaussian = isinstance(rbm, GaussianRBM)
    if not gaussian and len(vbias) < len(hbias):
        W, hbias, vbias = W.T, vbias, hbias
    n = len(hbias)
    if n > MOST_UNITS:
        side = "hidden" if gaussian else "smaller"
        raise ValueError(f"the {side} side has {n} units, whose 2^{n} states are too many to add up (at most "
                         f"{MOST_UNITS} units); use annealed_importance_sampling")
    log_z, rows = -np.inf, max(1, _BLOCK // max(n, len(vbias)))
    for start in range(0, 2**n, rows):
        numbers = np.arange(start, min(start + rows, 2**n))
        states = (numbers[:, None] >> np.arange(n) & 1).astype(np.float64)
        sums = states @ W.T
        others = sums @ vbias + 0.5 * np.square(sums).sum(axis=1) if gaussian else np.logaddexp(
            0, sums + vbias).sum(axis=1)
        log_z = np.logaddexp(log_z, np.logaddexp.reduce(states @ hbias + others))
    return float(log_z + (0.5 * len(vbias) * np.log(2 * np.pi) if gaussian else 0))


@dataclass(frozen=True)
class PartitionEstimate:
    """What annealed importance sampling says of log Z.

    Attributes
    ----------
    log_z : float
        The estimate, in nats: the logarithm of the mean of the weights. The mean is unbiased; its logarithm is too
        small on the average, and far too small where no chain has found what the model finds likely.
    standard_error : float
        Of `log_z`, from the spread of the weights.
    interval : (float, float)
        Logarithms of the mean weight less and plus three of its standard errors; the first is -inf where those are
        more than the mean.
    log_weights : float64 [n_chains]
        One estimate of log Z a chain.
    """

    log_z: float
    standard_error: float
    interval: tuple
    log_weights: np.ndarray

    @classmethod
    def from_weights(cls, log_weights):
        """The estimate that independent chains have come to: `log_weights` float64 [n_chains], two at least."""
        largest = log_weights.max()
        weights = np.exp(log_weights - largest)
        mean = weights.mean()
        error = weights.std(ddof=1) / np.sqrt(len(weights)) / mean
        log_z = float(largest + np.log(mean))
        low = log_z + np.log1p(-3 * error) if 3 * error < 1 else -np.inf
        return cls(log_z, float(error), (float(low), float(log_z + np.log1p(3 * error))), log_weights)


def annealed_importance_sampling(rbm, n_chains=100, betas=BETAS, data=None):
    r"""Estimate log Z by chains that are led from an RBM without weights to this one.

    The RBM at the inverse temperature :math:`\beta` has the parameters :math:`\beta W`, :math:`\beta c` and
    :math:`(1 - \beta) a + \beta b`, where a are the visible biases of the RBM without weights. At 0 the units are
    independent: a sample is drawn at once, and Z is a product. At 1 it is the RBM itself. A chain begins with a sample
    at 0 and makes a Gibbs step at every :math:`\beta_k`; with :math:`F_k` the free energy there,

    .. math:: \log w = \log Z_0 + \sum_k F_{k-1}(v_{k-1}) - F_k(v_{k-1})

    is the logarithm of its weight, and Z is the weights' expectation.

    Parameters
    ----------
    rbm : dbn.rbm.RBM
        Its ``theano_rng`` draws; another call draws anew.
    n_chains : int
        At least 2.
    betas : sequence of float
        Inverse temperatures, rising from 0 to 1: the more, the smaller the error.
    data : array [n, n_visible], optional
        Training data, whose means the RBM without weights then has; it has the visible biases of `rbm` without them.

    Returns
    -------
    PartitionEstimate

    Raises
    ------
    ValueError
        A single chain, inverse temperatures that do not rise from 0 to 1, or a convolutional RBM.
    """
    _require_plain(rbm)
    betas = np.asarray(betas, dtype=np.float64)
    if n_chains < 2:
        raise ValueError(f"n_chains is {n_chains}: the error is estimated from the spread of at least 2")
    if betas.ndim != 1 or len(betas) < 2 or betas[0] != 0 or betas[-1] != 1 or (np.diff(betas) <= 0).any():
        raise ValueError("betas are inverse temperatures that rise from 0 to 1")
    base = rbm.vbias.get_value().astype(np.float64) if data is None else _base_rates(rbm, np.asarray(data))
    given = pt.lscalar("n_chains"), pt.vector("betas", dtype="float64"), pt.vector("base", dtype="float64")
    log_weights, updates = annealed_log_weights(rbm, *given)
    run = function(given, log_weights, updates=updates)
    return PartitionEstimate.from_weights(run(n_chains, betas, base) + _log_partition_of_base(rbm, base))


def annealed_log_weights(rbm, n_chains, betas, base):
    """The chains of :func:`annealed_importance_sampling` as a graph.

    Parameters
    ----------
    rbm : dbn.rbm.RBM
    n_chains : symbolic int
    betas : symbolic float64 vector
        Inverse temperatures from 0 to 1.
    base : symbolic float64 vector [n_visible]
        Visible biases at the inverse temperature 0.

    Returns
    -------
    log_weights : symbolic float64 vector [n_chains]
        Estimates of log Z - log Z_0, to be averaged as weights.
    updates : dict
        What the draws go on from at the next call.
    """
    # the number of the step is handed on by the steps: of a sequence PyTensor would compute beforehand all that
    # depends on nothing else, which is the weights at every inverse temperature
    def step(number, v, log_weight):
        before, now = (_at(rbm, betas[each], base) for each in (number, number + 1))
        log_weight = log_weight + before.free_energy(v) - now.free_energy(v)
        return [number + 1, now.gibbs_vhv(v)[-1], log_weight]

    hidden = pt.zeros((n_chains, rbm.hbias.shape[0]), dtype="float64")  # without influence there
    start = [pt.constant(0, dtype="int64"), _at(rbm, 0.0, base).sample_v_given_h(hidden)[-1],
             pt.zeros((n_chains,), dtype="float64")]
    [_, _, log_weights], updates = pytensor.scan(step, outputs_info=start, n_steps=betas.shape[0] - 1, mode=mode())
    return log_weights[-1], updates


def _require_plain(rbm):
    if isinstance(rbm, ConvolutionalRBM):
        raise ValueError("Z of a convolutional RBM is another one for every number of frames: give a plain RBM")


def _at(rbm, beta, base):
    """The RBM at an inverse temperature, in float64, drawing from the generator of `rbm`."""
    W, hbias, vbias = (pt.cast(param, "float64") for param in rbm.params)
    between = copy(rbm)
    between.dtype = "float64"
    between.W, between.hbias, between.vbias = beta * W, beta * hbias, (1 - beta) * base + beta * vbias
    between.params = [between.W, between.hbias, between.vbias]
    return between


def _base_rates(rbm, data):
    """Visible biases of independent units with the means of the data, to which an example of 0 and one of 1 is added.

    Without those two a unit that never changes would be sure, and its bias infinite.
    """
    if data.ndim != 2 or data.shape[1] != rbm.n_visible or not len(data):
        raise ValueError(f"data of shape {data.shape} for an RBM of {rbm.n_visible} visible units")
    if isinstance(rbm, GaussianRBM):
        return data.mean(axis=0, dtype=np.float64)
    on = (data.sum(axis=0, dtype=np.float64) + 1) / (len(data) + 2)
    return np.log(on / (1 - on))


def _log_partition_of_base(rbm, base):
    visible = 0.5 * len(base) * np.log(2 * np.pi) if isinstance(rbm, GaussianRBM) else np.logaddexp(0, base).sum()
    return visible + rbm.n_hidden * np.log(2)


def log_likelihood(rbm, data, log_z):
    """log p(v) of each example, -F(v) - log Z; float64 [n], in nats.

    Parameters
    ----------
    rbm : dbn.rbm.RBM
    data : array [n, n_visible]
        Of 0 and 1, or of real numbers for Gaussian units, whose likelihood is a density. The likelihood of data between
        0 and 1, which binary units are trained on too, is no probability.
    log_z : float
        From :func:`log_partition`, or the ``log_z`` of :func:`annealed_importance_sampling`.
    """
    v = pt.matrix("v", dtype="float64")
    free_energy = function([v], _at(rbm, 1.0, 0.0).free_energy(v))
    return -free_energy(np.asarray(data, dtype=np.float64)) - log_z
