"""The network's RBMs run backwards, in NumPy: free energies, Gibbs chains, down through the layers by means (§3).

A layer is a pair (W [n_in, n_out], b [n_out]) as in :mod:`dbn.trained.forward`; beside it stands the bias of what lies
below, [n_in], and the kind of those visible units, "bernoulli" or "gaussian".
"""
import numpy as np

from dbn.trained.forward import hidden_activations, sigmoid


def free_energy(x, layer, visible_bias, visible):
    """F(v) of each row of `x` [n, n_in], see :mod:`dbn.rbm`; float64 [n]."""
    weights, bias = layer
    x = np.asarray(x, dtype=np.float64)
    if visible == "gaussian":
        below = 0.5 * np.square(x - visible_bias).sum(axis=1)
    else:
        below = -(x @ visible_bias)
    return below - np.logaddexp(0, x @ weights + bias).sum(axis=1)


def visible_means(hidden, layer, visible_bias, visible):
    """Means of the visible units given hidden ones [n, n_out]: [n, n_in]."""
    means = hidden @ layer[0].T
    means += visible_bias
    return means if visible == "gaussian" else sigmoid(means)


def gibbs_means(start, layer, visible_bias, visible, n_steps, rng):
    """Run a Gibbs chain of one RBM from each row of `start`.

    Parameters
    ----------
    start : array [n, n_in]
        Visible units that the chains begin at.
    layer, visible_bias, visible
        The RBM.
    n_steps : int
        At least 1. A step draws the hidden units given the visible ones, then the visible ones.
    rng : numpy.random.Generator

    Returns
    -------
    array [n, n_in]
        The means that the visible units were drawn from last.
    """
    sample = start
    for _ in range(n_steps):
        [hidden] = hidden_activations(sample, [layer])
        means = visible_means(_drawn(hidden, "bernoulli", rng), layer, visible_bias, visible)
        sample = _drawn(means, visible, rng)
    return means


def random_units(n, layer, visible, rng):
    """Visible units [n, n_in] for chains to begin at: fair coins, or normal numbers of mean 0 for Gaussian units."""
    weights, _ = layer
    means = np.full((n, len(weights)), 0 if visible == "gaussian" else 0.5, dtype=weights.dtype)
    return _drawn(means, visible, rng)


def _drawn(means, visible, rng):
    """Units of a kind with these means; of their shape and dtype."""
    if visible == "gaussian":
        return means + rng.standard_normal(means.shape, means.dtype)
    return (rng.random(means.shape, means.dtype) < means).astype(means.dtype)
