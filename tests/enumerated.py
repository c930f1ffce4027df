"""RBMs small enough that every state can be listed, by sums over the states of E(v, h) itself."""
import itertools

import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest
from scipy import stats
from scipy.special import logsumexp

from dbn.graph.streams import RandomStreams


def states(n):
    """All binary vectors of length n; float64 [2**n, n]."""
    return np.array(list(itertools.product([0.0, 1.0], repeat=n)))


def numbers_of(rbm):
    return [param.get_value() for param in rbm.params]


def make(cls, n_visible, n_hidden, seed=0, scale=1.0):
    """An RBM with random parameters, biases included."""
    rng = np.random.default_rng(seed)
    return cls(n_visible=n_visible, n_hidden=n_hidden, W=scale * rng.normal(size=(n_visible, n_hidden)),
               hbias=rng.normal(size=n_hidden), vbias=0.5 * rng.normal(size=n_visible), dtype="float64",
               theano_rng=RandomStreams(seed + 1))


def energies(W, hbias, vbias):
    """E(v, h) of every state of a binary RBM; float64 [visible states, hidden states]."""
    v, h = states(len(vbias)), states(len(hbias))
    return -(v @ vbias)[:, None] - (h @ hbias)[None] - v @ W @ h.T


class Enumerated:
    """A binary RBM by the sum over its states."""

    def __init__(self, W, hbias, vbias):
        self.v, self.h = states(len(vbias)), states(len(hbias))
        energy = energies(W, hbias, vbias)
        self.log_z = logsumexp(-energy)
        self.joint = np.exp(-energy - self.log_z)  # [visible states, hidden states]
        self.p_v, self.p_h = self.joint.sum(axis=1), self.joint.sum(axis=0)
        self.h_given_v = self.joint @ self.h / self.p_v[:, None]
        self.v_given_h = self.joint.T @ self.v / self.p_h[:, None]

    def mean_log_likelihood(self, data):
        return np.log(self.p_v[index_of(data)]).mean()

    def gradient(self, data):
        """Of the mean negative log-likelihood: statistics under the model less those under the data, W first."""
        rows = index_of(data)
        model = [self.v.T @ self.joint @ self.h, self.p_h @ self.h, self.p_v @ self.v]
        given = [data.T @ self.h_given_v[rows] / len(data), self.h_given_v[rows].mean(axis=0), data.mean(axis=0)]
        return np.concatenate([(m - g).ravel() for m, g in zip(model, given)])


def index_of(v):
    """Number of each row among states(n)."""
    return np.round(v @ 2 ** np.arange(v.shape[1])[::-1]).astype(int)


def gaussian_mixture(W, hbias, vbias):
    """p(h) of each hidden state, and the mean b + Wh of the visible units given it: p(v) is their mixture.

    Integrating e^-E over v leaves e^(c'h + |b + Wh|^2 / 2 - |b|^2 / 2), times a constant.
    """
    h = states(len(hbias))
    means = vbias + h @ W.T
    log_p = h @ hbias + 0.5 * (means**2).sum(axis=1) - 0.5 * (vbias**2).sum()
    log_z = logsumexp(log_p) + 0.5 * len(vbias) * np.log(2 * np.pi)
    return h, np.exp(log_p - logsumexp(log_p)), means, log_z


def assert_distributed(samples, p):
    """Chi-square of the states' counts against their probabilities, see :func:`assert_numbers_distributed`."""
    assert_numbers_distributed(index_of(samples), p)


def assert_numbers_distributed(numbers, p):
    """The same for samples that are given by the numbers of their states; the rarest states are lumped together."""
    counts = np.bincount(numbers, minlength=len(p)).astype(float)
    often = p * len(numbers) >= 5
    observed, expected = counts[often], p[often] * len(numbers)
    if not often.all():
        observed = np.append(observed, counts[~often].sum())
        expected = np.append(expected, len(numbers) - expected.sum())
    assert stats.chisquare(observed, expected).pvalue > 0.001


def assert_gradient_is_that_of_differences(rbm, cost, v):
    """By every number of the parameters, of a `cost` whose input is the RBM's and is given `v`."""
    gradients, run = (pytensor.function([rbm.input], outputs, mode="FAST_COMPILE")
                      for outputs in (pt.grad(cost, rbm.params), cost))
    for param, gradient in zip(rbm.params, gradients(v), strict=True):
        value = param.get_value()
        for index in np.ndindex(value.shape):
            costs = []
            for step in (1e-5, -1e-5):
                moved = value.copy()
                moved[index] += step
                param.set_value(moved)
                costs.append(run(v))
            assert gradient[index] == pytest.approx((costs[0] - costs[1]) / 2e-5, abs=1e-8)
        param.set_value(value)
