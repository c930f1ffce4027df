"""RBMs small enough that every state can be listed: what the equations of paper §3 promise, checked exactly.

All sums here run over the states of E(v, h) itself, not over the free energy that the code uses.
"""
import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest
from scipy import stats
from scipy.special import logsumexp

from dbn.rbm import RBM, GaussianRBM
from enumerated import (Enumerated, assert_distributed, assert_gradient_is_that_of_differences, gaussian_mixture,
                        index_of, make, numbers_of)

QUICK = "FAST_COMPILE"  # no compiler: these graphs are run a few times on small arrays


def evaluate(inputs, outputs, *values):
    return pytensor.function(inputs, outputs, mode=QUICK)(*values)


@pytest.fixture(scope="module")
def binary():
    rbm = make(RBM, 7, 5)
    return rbm, Enumerated(*numbers_of(rbm))


def test_free_energy_is_the_log_sum_over_hidden_states(binary):
    rbm, exact = binary
    free_energy = evaluate([rbm.input], rbm.free_energy(rbm.input), exact.v)
    assert logsumexp(-free_energy) == pytest.approx(exact.log_z, abs=1e-12)
    np.testing.assert_allclose(np.exp(-free_energy - exact.log_z), exact.p_v, rtol=1e-12)


def test_conditionals_are_those_of_the_joint_distribution(binary):
    rbm, exact = binary
    h = pt.matrix(dtype="float64")
    up, down = evaluate([rbm.input, h], [rbm.propup(rbm.input)[1], rbm.propdown(h)[1]], exact.v, exact.h)
    np.testing.assert_allclose(up, exact.h_given_v, rtol=1e-12)
    np.testing.assert_allclose(down, exact.v_given_h, rtol=1e-12)


def test_pseudo_likelihood_is_the_sum_of_the_conditionals(binary):
    rbm, exact = binary
    expected = 0.0
    for i in range(rbm.n_visible):
        flipped = exact.v.copy()
        flipped[:, i] = 1 - flipped[:, i]
        expected += np.log(exact.p_v / (exact.p_v + exact.p_v[index_of(flipped)])).mean()
    updates = {}
    cost = rbm.get_pseudo_likelihood_cost(updates)
    run = pytensor.function([rbm.input], cost, updates=updates, mode=QUICK)
    # each call estimates the sum by one unit: the mean over a round of them is the sum itself
    assert np.mean([run(exact.v) for _ in range(rbm.n_visible)]) == pytest.approx(expected, abs=1e-12)


def test_gaussian_free_energy_is_the_mixture_of_the_hidden_states():
    rbm = make(GaussianRBM, 4, 5)
    h, p_h, means, log_z = gaussian_mixture(*numbers_of(rbm))
    v = np.random.default_rng(2).normal(scale=2, size=(50, 4))
    joint = p_h * np.exp(-0.5 * ((v[:, None] - means) ** 2).sum(axis=2)) / (2 * np.pi) ** 2
    free_energy, up = evaluate([rbm.input], [rbm.free_energy(rbm.input), rbm.propup(rbm.input)[1]], v)
    np.testing.assert_allclose(-free_energy - log_z, np.log(joint.sum(axis=1)), rtol=1e-10)
    np.testing.assert_allclose(up, joint @ h / joint.sum(axis=1, keepdims=True), rtol=1e-10)
    h_in = pt.matrix(dtype="float64")
    for output in evaluate([h_in], rbm.propdown(h_in), h):
        np.testing.assert_allclose(output, means, rtol=1e-12)


@pytest.mark.parametrize("cls", [RBM, GaussianRBM])
def test_free_energy_gradient_against_finite_differences(cls):
    rbm = make(cls, 6, 4)
    v = np.random.default_rng(3).random((5, 6))
    assert_gradient_is_that_of_differences(rbm, rbm.free_energy(rbm.input).mean(), v)


def test_cd_gradient_comes_nearer_to_the_likelihoods_as_k_rises(binary):
    rbm, exact = binary
    data = np.repeat(np.random.default_rng(4).integers(0, 2, size=(5, 7)), 4000, axis=0).astype(float)
    true = exact.gradient(data)
    cosines = []
    for k in (1, 3, 30):
        rbm.theano_rng.seed(5)
        _, updates = rbm.get_cost_updates(lr=1, k=k)
        step = evaluate([rbm.input], [param - updates[param] for param in rbm.params], data)
        estimate = np.concatenate([part.ravel() for part in step])
        cosines.append(estimate @ true / np.linalg.norm(estimate) / np.linalg.norm(true))
    assert 0 < cosines[0] < cosines[1] < cosines[2]
    np.testing.assert_allclose(estimate, true, atol=0.02)


def test_cd1_of_sixty_seeds_has_the_exact_expectation(binary):
    """The step's mean over hidden states given each example and visible states given those, by enumeration."""
    rbm, exact = binary
    W, hbias, vbias = numbers_of(rbm)
    data = np.random.default_rng(4).integers(0, 2, size=(20, 7)).astype(float)
    mean_h = exact.h_given_v[index_of(data)]
    # [examples, hidden states] and [hidden states, visible states]
    p_h = np.prod(np.where(exact.h[None] > 0, mean_h[:, None], 1 - mean_h[:, None]), axis=2)
    p_v = np.prod(np.where(exact.v[None] > 0, exact.v_given_h[:, None], 1 - exact.v_given_h[:, None]), axis=2)
    p_chain = (p_h @ p_v).mean(axis=0)  # of the visible states after one step

    def statistics(p, v, h):
        return np.concatenate([((v * p[:, None]).T @ h).ravel(), p @ h, p @ v])

    expected = statistics(np.full(20, 1 / 20), data, mean_h) - statistics(p_chain, exact.v, exact.h_given_v)
    _, updates = rbm.get_cost_updates(lr=1)
    step = pytensor.function([rbm.input], [updates[param] - param for param in rbm.params], mode=QUICK)
    steps = []
    for seed in range(60):
        rbm.theano_rng.seed(seed)
        steps.append(np.concatenate([part.ravel() for part in step(np.repeat(data, 100, axis=0))]))
    z = (np.mean(steps, axis=0) - expected) / (np.std(steps, axis=0, ddof=1) / np.sqrt(60))
    assert np.abs(z).max() < 4.5 and np.abs(np.mean(z**2) - 1) < 1


def end_of_chains(rbm, n_chains, k):
    """Visible samples of `n_chains` Gibbs chains of `k` steps from visible units that are all on."""
    rbm.theano_rng.seed(6)
    outputs, updates = rbm.gibbs_chain(rbm.gibbs_vhv, rbm.input, k)
    sampler = pytensor.function([rbm.input], [outputs[2], outputs[5]], updates=updates, mode=QUICK)
    return sampler(np.ones((n_chains, rbm.n_visible)))


def test_gibbs_samples_are_distributed_as_the_joint(binary):
    rbm, exact = binary
    h, v = end_of_chains(rbm, 20000, k=60)
    assert_distributed(v, exact.p_v)
    assert_distributed(h, exact.p_h)


def test_gaussian_gibbs_samples_are_distributed_as_the_mixture():
    rbm = make(GaussianRBM, 3, 4, scale=0.7)
    _, p_h, means, _ = gaussian_mixture(*numbers_of(rbm))
    h, v = end_of_chains(rbm, 20000, k=60)
    assert_distributed(h, p_h)
    for i in range(rbm.n_visible):
        def cdf(x, i=i):
            return stats.norm.cdf(np.asarray(x)[..., None] - means[:, i]) @ p_h
        assert stats.kstest(v[:, i], cdf).pvalue > 0.001
    assert np.cov(v.T) == pytest.approx(np.eye(3) + np.cov(means.T, aweights=p_h, ddof=0), abs=0.1)


def test_persistent_chain_goes_on_and_reaches_the_model(binary):
    rbm, exact = binary
    rbm.theano_rng.seed(7)
    chain = pytensor.shared(np.zeros((5000, rbm.n_hidden)))
    _, updates = rbm.get_cost_updates(lr=0.0, persistent=chain, k=2)
    advance = pytensor.function([rbm.input], [], updates=updates, mode=QUICK)
    seen = [chain.get_value()]
    for _ in range(30):
        advance(np.ones((1, rbm.n_visible)))
        seen.append(chain.get_value())
    assert all((before != after).any() for before, after in zip(seen, seen[1:]))
    assert_distributed(seen[-1], exact.p_h)


def test_persistent_chain_is_the_negative_phase_and_starts_where_it_stopped():
    """Units so sure of themselves that a step only copies: the chain keeps its state, whatever the data are."""
    rbm = RBM(n_visible=3, n_hidden=3, W=200.0 * np.eye(3), hbias=np.full(3, -100.0), vbias=np.full(3, -100.0),
              dtype="float64")
    state = np.array([[1.0, 0.0, 1.0]])
    chain = pytensor.shared(state)
    _, updates = rbm.get_cost_updates(lr=1.0, persistent=chain, k=3)
    after, vbias = evaluate([rbm.input], [updates[chain], updates[rbm.vbias]], np.array([[0.0, 1.0, 0.0]]))
    np.testing.assert_array_equal(after, state)
    np.testing.assert_array_equal(vbias - rbm.vbias.get_value(), [-1, 1, -1])


@pytest.mark.parametrize("persistent", [False, True], ids=["CD-1", "PCD-1"])
def test_training_raises_the_exact_likelihood(persistent):
    data = np.repeat([[1, 1, 1, 0, 0, 0], [0, 0, 0, 1, 1, 1], [1, 0, 1, 0, 1, 0]], 100, axis=0).astype(float)
    rbm = make(RBM, 6, 5, scale=0.1)
    chain = pytensor.shared(np.zeros((300, 5))) if persistent else None
    _, updates = rbm.get_cost_updates(lr=0.05, persistent=chain, k=1)
    train = pytensor.function([rbm.input], [], updates=updates, mode=QUICK)
    likelihoods = [Enumerated(*numbers_of(rbm)).mean_log_likelihood(data)]
    for _ in range(4):
        for _ in range(200):
            train(data)
        likelihoods.append(Enumerated(*numbers_of(rbm)).mean_log_likelihood(data))
    assert np.all(np.diff(likelihoods) > 0)
    assert likelihoods[-1] > np.log(1 / 3) - 0.75  # the best that any model can do is log(1/3)
