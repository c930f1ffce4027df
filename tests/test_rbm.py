"""The RBM's surface: names, arguments and results as in the tutorials, and what its docstrings promise."""
import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest
from scipy import stats

from dbn.graph.streams import RandomStreams
from dbn.rbm import RBM, GaussianRBM
from small_network import examples

QUICK = "FAST_COMPILE"


def make(cls=RBM, dtype="float64", **options):
    rng = np.random.default_rng(0)
    return cls(n_visible=8, n_hidden=6, hbias=rng.normal(size=6), vbias=rng.normal(size=8), numpy_rng=rng, dtype=dtype,
               theano_rng=RandomStreams(1), **options)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("cls", [RBM, GaussianRBM])
def test_shapes_and_dtypes(cls, dtype):
    rbm, n = make(cls, dtype), 11
    h = pt.matrix(dtype=dtype)
    outputs = [*rbm.propup(rbm.input), *rbm.sample_h_given_v(rbm.input), *rbm.gibbs_vhv(rbm.input)[:3],
               *rbm.gibbs_hvh(h)[3:]]
    outputs += [*rbm.propdown(h), *rbm.sample_v_given_h(h), *rbm.gibbs_vhv(rbm.input)[3:], *rbm.gibbs_hvh(h)[:3],
                rbm.free_energy(rbm.input)]
    x = examples(n)[0].astype(dtype)
    values = pytensor.function([rbm.input, h], outputs, mode=QUICK)(x, np.ones((n, 6), dtype=dtype))
    assert [v.shape for v in values] == [(n, 6)] * 11 + [(n, 8)] * 11 + [(n,)]
    assert {v.dtype.name for v in values} == {dtype}
    binary = [values[4], values[7], values[10]] + ([values[15], values[18], values[21]] if cls is RBM else [])
    assert set(np.unique(np.concatenate([sample.ravel() for sample in binary]))) == {0, 1}


@pytest.mark.parametrize("cls", [RBM, GaussianRBM])
def test_samples_follow_their_means(cls):
    rbm = make(cls)
    x = np.repeat(examples(1)[0], 20000, axis=0)
    _, h_mean, h, _, v_mean, v = rbm.gibbs_vhv(rbm.input)
    h_mean, h, v_mean, v = pytensor.function([rbm.input], [h_mean, h, v_mean, v], mode=QUICK)(x)
    error = np.abs((h - h_mean).mean(axis=0)) / np.sqrt(h_mean[0] * (1 - h_mean[0]) / len(h))
    assert error.max() < 4
    assert np.abs(np.corrcoef(h.T) - np.eye(6)).max() < 0.04  # each unit has a draw of its own
    if cls is GaussianRBM:
        assert stats.kstest((v - v_mean).ravel(), "norm").pvalue > 0.001
    else:
        assert np.abs((v - v_mean).sum(axis=0)).max() < 4 * 0.5 * np.sqrt(len(v))


@pytest.mark.parametrize("k", [1, 3])
def test_chain_makes_k_steps(k):
    """With a step that counts, in place of a draw."""
    rbm = make()
    outputs, _ = rbm.gibbs_chain(lambda sample: [sample] * 5 + [sample + 1], rbm.input, k)
    before, after = pytensor.function([rbm.input], [outputs[0], outputs[5]], mode=QUICK)(np.zeros((2, 8)))
    assert (before == k - 1).all() and (after == k).all()


def test_number_of_steps_may_be_symbolic():
    rbm, k = make(), pt.lscalar()
    outputs, _ = rbm.gibbs_chain(lambda sample: [sample] * 5 + [2 * sample], rbm.input, k)
    assert (pytensor.function([rbm.input, k], outputs[5], mode=QUICK)(np.ones((2, 8)), 5) == 32).all()


def test_each_call_draws_anew_and_the_same_seed_again():
    samples = []
    for _ in range(2):
        rbm = make()
        _, _, sample = rbm.sample_h_given_v(rbm.input)
        draw = pytensor.function([rbm.input], sample, mode=QUICK)
        samples.append([draw(np.full((9, 8), 0.5)) for _ in range(2)])
    assert (samples[0][0] != samples[0][1]).any()
    np.testing.assert_array_equal(samples[0], samples[1])


@pytest.mark.parametrize("k", [1, 3])
def test_an_update_moves_the_state_of_each_of_its_draws(k):
    """The hidden units once, then the visible and the hidden ones at every step but CD's last; the keys stay."""
    rbm = make()
    _, updates = rbm.get_cost_updates(k=k)
    states = [state for state, _ in rbm.theano_rng.state_updates]
    before = [state.get_value() for state in states]
    run = pytensor.function([rbm.input], [], updates=updates, mode=QUICK)
    for calls in (1, 2):
        run(examples(10)[0])
        moved = [state.get_value() - old for state, old in zip(states, before)]
        np.testing.assert_array_equal(moved, [[0, 0, calls], [0, 0, calls * k], [0, 0, calls * k if k > 1 else 0]])


@pytest.mark.parametrize("cls", [RBM, GaussianRBM])
@pytest.mark.parametrize("persistent", [False, True])
def test_updates_hold_what_an_update_changes(cls, persistent):
    rbm = make(cls)
    chain = pytensor.shared(np.zeros((5, 6))) if persistent else None
    cost, updates = rbm.get_cost_updates(lr=0.1, persistent=chain, k=2)
    within_scan = {state for state, _ in rbm.theano_rng.state_updates[1:]}
    expected = {*rbm.params, *within_scan} | ({chain} if persistent else set())
    others = set(updates) - expected
    assert expected <= set(updates)
    assert [v.name for v in others] == (["bit_i_idx"] if persistent and cls is RBM else [])
    assert cost.ndim == 0
    before = [param.get_value() for param in rbm.params]
    value = pytensor.function([rbm.input], cost, updates=updates, mode=QUICK)(examples(10)[0])
    assert np.isfinite(value) and value < 0
    for param, old in zip(rbm.params, before):
        assert (param.get_value() != old).any()


@pytest.mark.parametrize("cls", [RBM, GaussianRBM])
def test_step_is_the_difference_of_the_phases(cls):
    """lr times the mean of v h' under the data less that under the end of the chain, by NumPy from the same draws."""
    rbm = make(cls)
    x = examples(10)[0].astype(float)
    given = np.random.default_rng(5).normal(size=(10, 8))
    rbm.sample_v_given_h = lambda h: [*rbm.propdown(h), pytensor.shared(given)]
    W, hbias, vbias = (param.get_value() for param in rbm.params)
    _, updates = rbm.get_cost_updates(lr=0.2)
    new = pytensor.function([rbm.input], [updates[param] for param in rbm.params], mode=QUICK)(x)
    h_data, h_chain = (1 / (1 + np.exp(-(v @ W + hbias))) for v in (x, given))
    np.testing.assert_allclose(new[0], W + 0.2 * (x.T @ h_data - given.T @ h_chain) / 10, rtol=1e-10)
    np.testing.assert_allclose(new[1], hbias + 0.2 * (h_data - h_chain).mean(axis=0), rtol=1e-10)
    np.testing.assert_allclose(new[2], vbias + 0.2 * (x - given).mean(axis=0), rtol=1e-10)


def test_gaussian_reconstruction_cost_is_a_log_density():
    rbm = make(GaussianRBM)
    x, mean = examples(10)[0].astype(float), np.random.default_rng(1).normal(size=(10, 8))
    pre = pt.dmatrix()
    cost = pytensor.function([rbm.input, pre], rbm.get_reconstruction_cost({}, pre), mode=QUICK)(x, mean)
    constant = 8 * 0.5 * np.log(2 * np.pi)
    assert cost == pytest.approx(stats.norm.logpdf(x, mean).sum(axis=1).mean() + constant, rel=1e-10)


def test_shared_parameters_are_taken_as_they_are():
    W = pytensor.shared(np.zeros((8, 6)))
    rbm = RBM(n_visible=8, n_hidden=6, W=W, dtype="float64")
    assert rbm.W is W and rbm.params == [rbm.W, rbm.hbias, rbm.vbias]
    x = pt.dmatrix()
    assert RBM(input=x, n_visible=8, n_hidden=6).input is x
    assert RBM(n_visible=8, n_hidden=6).dtype == pytensor.config.floatX
