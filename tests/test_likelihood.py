"""log Z by enumeration and by annealed importance sampling, and likelihoods, against sums over the joint states."""
import tracemalloc

import numpy as np
import pytest
from scipy import integrate
from scipy.special import logsumexp

import dbn.likelihood
from dbn.graph.streams import RandomStreams
from dbn.likelihood import BETAS, PartitionEstimate, annealed_importance_sampling, log_likelihood, log_partition
from dbn.rbm import RBM, GaussianRBM
from enumerated import Enumerated, energies, gaussian_mixture, make, numbers_of, states

N_GROUPS, N_CHAINS = 20, 50


def exact_log_z(rbm):
    numbers = numbers_of(rbm)
    return gaussian_mixture(*numbers)[-1] if isinstance(rbm, GaussianRBM) else logsumexp(-energies(*numbers))


# log Z by enumeration


@pytest.mark.parametrize("block", [1, 40, 2**22])
@pytest.mark.parametrize("cls, n_visible, n_hidden", [
    (RBM, 7, 5), (RBM, 5, 7), (RBM, 6, 6), (RBM, 1, 3), (GaussianRBM, 4, 5), (GaussianRBM, 3, 7)])
def test_log_partition_is_the_sum_over_all_states(cls, n_visible, n_hidden, block, monkeypatch):
    monkeypatch.setattr(dbn.likelihood, "_BLOCK", block)
    rbm = make(cls, n_visible, n_hidden)
    assert log_partition(rbm) == pytest.approx(exact_log_z(rbm), abs=1e-10)


def test_memory_is_that_of_a_block_however_few_the_visible_units(monkeypatch):
    block = 2**16
    monkeypatch.setattr(dbn.likelihood, "_BLOCK", block)
    rbm = make(GaussianRBM, 1, 16)
    tracemalloc.start()
    try:
        log_partition(rbm)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 5 * 8 * block  # states as integers and as floats, and what they add up to


def test_log_partition_of_gaussian_units_is_the_integral():
    rbm = make(GaussianRBM, 1, 4)
    W, hbias, vbias = numbers_of(rbm)
    h = states(4)

    def unnormalised(v):
        return np.exp(-0.5 * (v - vbias[0]) ** 2 + h @ hbias + v * (h @ W[0])).sum()

    z, error = integrate.quad(unnormalised, -20, 20)
    assert log_partition(rbm) == pytest.approx(np.log(z), abs=1e-6) and error < 1e-6 * z


@pytest.mark.parametrize("cls", [RBM, GaussianRBM])
def test_extreme_weights(cls):
    """Where e^800 is no number."""
    rbm = make(cls, 4, 3, scale=800.0)
    assert np.isfinite(exact_log_z(rbm)) and exact_log_z(rbm) > 800
    assert log_partition(rbm) == pytest.approx(exact_log_z(rbm), rel=1e-12)


def test_parameters_in_single_precision_lose_nothing():
    rbm = RBM(n_visible=7, n_hidden=5, W=numbers_of(make(RBM, 7, 5))[0], dtype="float32")
    exact = Enumerated(*(values.astype(float) for values in numbers_of(rbm)))
    assert log_partition(rbm) == pytest.approx(exact.log_z, abs=1e-12)
    np.testing.assert_allclose(log_likelihood(rbm, exact.v, exact.log_z), np.log(exact.p_v), rtol=1e-12)


@pytest.mark.parametrize("cls, n_visible, side", [(RBM, 26, "smaller"), (GaussianRBM, 3, "hidden")])
def test_too_many_states_are_refused(cls, n_visible, side):
    with pytest.raises(ValueError, match=f"the {side} side has 26 units.*use annealed_importance_sampling"):
        log_partition(cls(n_visible=n_visible, n_hidden=26))


# Likelihoods


def test_likelihoods_of_all_states():
    rbm = make(RBM, 7, 5)
    exact = Enumerated(*numbers_of(rbm))
    found = log_likelihood(rbm, exact.v, log_partition(rbm))
    np.testing.assert_allclose(found, np.log(exact.p_v), rtol=1e-12)
    assert logsumexp(found) == pytest.approx(0, abs=1e-12)


def test_likelihood_of_gaussian_units_is_the_density_of_the_mixture():
    rbm = make(GaussianRBM, 4, 5)
    _, p_h, means, log_z = gaussian_mixture(*numbers_of(rbm))
    v = np.random.default_rng(2).normal(scale=2, size=(50, 4))
    density = (p_h * np.exp(-0.5 * ((v[:, None] - means) ** 2).sum(axis=2))).sum(axis=1) / (2 * np.pi) ** 2
    np.testing.assert_allclose(log_likelihood(rbm, v, log_z), np.log(density), rtol=1e-10)


# Annealed importance sampling


@pytest.mark.parametrize("cls, dtype, with_data", [(RBM, "float64", False), (RBM, "float32", True),
                                                   (GaussianRBM, "float64", True)])
def test_annealing_finds_log_z_with_the_error_that_it_says(cls, dtype, with_data):
    """Of each seed's chains, groups are runs of their own: the spread of their estimates must be the error they say."""
    data = np.random.default_rng(5).random((30, 7)) if with_data else None
    z, covered, estimates = [], [], []
    for seed in range(3):
        wanted = make(cls, 7, 5, scale=0.8)
        W, hbias, vbias = numbers_of(wanted)
        rbm = cls(n_visible=7, n_hidden=5, W=W, hbias=hbias, vbias=vbias, dtype=dtype, theano_rng=RandomStreams(seed))
        found = annealed_importance_sampling(rbm, N_GROUPS * N_CHAINS, np.linspace(0, 1, 60), data)
        assert abs(found.log_z - exact_log_z(wanted)) < 4 * found.standard_error
        assert found.interval[0] < exact_log_z(wanted) < found.interval[1]
        estimates.append(found.log_z)
        for weights in np.split(found.log_weights, N_GROUPS):
            group = PartitionEstimate.from_weights(weights)
            z.append((group.log_z - exact_log_z(wanted)) / group.standard_error)
            covered.append(group.interval[0] < exact_log_z(wanted) < group.interval[1])
        assert [param.dtype for param in rbm.params] == [dtype] * 3 and rbm.dtype == dtype  # it is as it was
    assert len(set(estimates)) == 3
    assert np.mean(covered) > 0.94
    assert abs(np.mean(z)) < 0.6 and 0.5 < np.std(z) < 1.7


def test_annealing_at_extreme_weights_is_finite_and_draws_anew():
    rbm = make(RBM, 4, 3, scale=800.0)
    first, second = (annealed_importance_sampling(rbm, 10, [0, 0.5, 1]) for _ in range(2))
    assert np.isfinite([first.log_z, first.standard_error, first.interval[1]]).all()
    assert (first.log_weights != second.log_weights).any()


def test_two_temperatures_are_importance_sampling_alone():
    """Without weights the chains' weights are all the same, and they are Z."""
    rbm = RBM(n_visible=5, n_hidden=4, W=np.zeros((5, 4)), vbias=np.arange(5.0), dtype="float64")
    found = annealed_importance_sampling(rbm, 3, [0, 1])
    np.testing.assert_allclose(found.log_weights, log_partition(rbm), rtol=1e-12)
    assert found.standard_error == pytest.approx(0, abs=1e-12)


def test_estimate_by_hand():
    """Weights of 1 and 3: a mean of 2 with an error of 1, which is half of it, and 2 + 3 above."""
    for scale in (0.0, -5000.0, 5000.0):
        found = PartitionEstimate.from_weights(scale + np.log([1.0, 3.0]))
        assert found.log_z == pytest.approx(scale + np.log(2))
        assert found.standard_error == pytest.approx(0.5)
        assert found.interval == (-np.inf, pytest.approx(scale + np.log(5)))
    low, high = PartitionEstimate.from_weights(np.log(np.tile([9.0, 11.0], 50))).interval
    assert (low, high) == pytest.approx(tuple(np.log(10 + np.array([-3, 3]) * np.sqrt(100 / 99) / 10)))


def test_default_temperatures_are_the_papers():
    steps = np.diff(BETAS)
    assert BETAS[0] == 0 and BETAS[-1] == 1 and len(BETAS) == 14_501
    np.testing.assert_allclose([steps[0], steps[1000], steps[-1]], [1e-3, 1e-4, 1e-5])
    assert [np.sum(BETAS < 0.5), np.sum(BETAS < 0.9 - 1e-9)] == [500, 4500]


@pytest.mark.parametrize("options, message", [
    ({"n_chains": 1}, "at least 2"), ({"betas": [0.1, 1]}, "from 0 to 1"), ({"betas": [0, 0.5, 0.5, 1]}, "from 0 to 1"),
    ({"betas": [0]}, "from 0 to 1"), ({"data": np.zeros((3, 6))}, "7 visible units"),
    ({"data": np.zeros((0, 7))}, "7 visible units")])
def test_annealing_that_cannot_be_meant(options, message):
    with pytest.raises(ValueError, match=message):
        annealed_importance_sampling(make(RBM, 7, 5), **options)
