"""The convolutional RBM on a model so small that every state can be listed, and beside the plain RBM.

Four frames of three bins, two bases of two frames, blocks of two positions: the first block has two, the last one.
"""
import itertools

import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest
from scipy import stats
from scipy.special import logsumexp
from sklearn.linear_model import LogisticRegression

from dbn.crbm import ConvolutionalRBM, GaussianConvolutionalRBM
from dbn.graph.streams import RandomStreams
from dbn.rbm import RBM, GaussianRBM
from enumerated import states

QUICK = "FAST_COMPILE"  # no compiler: these graphs are run a few times on small arrays
N_FRAMES, N_VISIBLE, N_BASES, WIDTH, BLOCK = 4, 3, 2, 2, 2
N_POSITIONS = N_FRAMES - WIDTH + 1


def make(cls, seed=0, scale=1.0, n_visible=N_VISIBLE, n_hidden=N_BASES, width=WIDTH, block=BLOCK, **more):
    rng = np.random.default_rng(seed)
    return cls(n_visible=n_visible, n_hidden=n_hidden, width=width, block=block, dtype="float64",
               W=scale * rng.normal(size=(width * n_visible, n_hidden)), hbias=rng.normal(size=n_hidden),
               vbias=0.5 * rng.normal(size=n_visible), theano_rng=RandomStreams(seed + 1), **more)


def evaluate(inputs, outputs, *values, **options):
    return pytensor.function(inputs, outputs, mode=QUICK, **options)(*values)


def hidden_states():
    """All states of the hidden units in which no base is on twice in a block: [n, positions, bases]."""
    of_base = [np.concatenate(parts) for parts in itertools.product(
        [[0, 0], [1, 0], [0, 1]], [[0], [1]])]  # the first block, the last one
    return np.array([np.stack(each, axis=1) for each in itertools.product(of_base, repeat=N_BASES)], dtype=float)


def inputs_of(v, W, hbias):
    """I by its sums: [n, positions, bases]."""
    found = np.zeros((len(v), N_POSITIONS, N_BASES)) + hbias
    for t, k, r, i in np.ndindex(N_POSITIONS, N_BASES, WIDTH, N_VISIBLE):
        found[:, t, k] += W[r * N_VISIBLE + i, k] * v[:, t + r, i]
    return found


class Listed:
    """The binary model by the sum over all of its states."""

    def __init__(self, W, hbias, vbias):
        self.v, self.h = states(N_FRAMES * N_VISIBLE).reshape(-1, N_FRAMES, N_VISIBLE), hidden_states()
        energy = -(self.v @ vbias).sum(axis=1)[:, None] - np.einsum("ntk,mtk->nm", inputs_of(self.v, W, hbias), self.h)
        self.log_z = logsumexp(-energy)
        self.joint = np.exp(-energy - self.log_z)
        self.p_v, self.p_h = self.joint.sum(axis=1), self.joint.sum(axis=0)


@pytest.fixture(scope="module")
def binary():
    rbm = make(ConvolutionalRBM)
    return rbm, Listed(*(param.get_value() for param in rbm.params))


def test_free_energy_is_the_log_sum_over_hidden_states(binary):
    rbm, exact = binary
    free_energy = evaluate([rbm.input], rbm.free_energy(rbm.input), exact.v)
    assert logsumexp(-free_energy) == pytest.approx(exact.log_z, abs=1e-12)
    np.testing.assert_allclose(np.exp(-free_energy - exact.log_z), exact.p_v, rtol=1e-12)


def test_conditionals_and_pooling_are_those_of_the_joint_distribution(binary):
    rbm, exact = binary
    h = pt.tensor3(dtype="float64")
    inputs, up, pooled = evaluate([rbm.input], [*rbm.propup(rbm.input), rbm.pool(rbm.input)], exact.v)
    np.testing.assert_allclose(inputs, inputs_of(exact.v, *(param.get_value() for param in rbm.params[:2])), atol=1e-12)
    h_given_v = exact.joint / exact.p_v[:, None]
    np.testing.assert_allclose(up, np.einsum("nm,mtk->ntk", h_given_v, exact.h), rtol=1e-12)
    is_on = np.stack([exact.h[:, :2].max(axis=1), exact.h[:, 2]], axis=1)  # of each block
    np.testing.assert_allclose(pooled, np.einsum("nm,mbk->nbk", h_given_v, is_on), rtol=1e-12)
    np.testing.assert_allclose(pooled[:, 0], up[:, :2].sum(axis=1), rtol=1e-12)  # with "off" they sum to one
    v_given_h = np.einsum("nm,nti->mti", exact.joint, exact.v) / exact.p_h[:, None, None]
    np.testing.assert_allclose(evaluate([h], rbm.propdown(h)[1], exact.h), v_given_h, rtol=1e-12)


def test_the_likelihoods_gradient_is_that_of_the_free_energies(binary):
    """And of log Z by finite differences."""
    rbm, exact = binary
    data = exact.v[[5, 900, 3000]]
    v = pt.tensor3(dtype="float64")
    gradient = pytensor.function([v], pt.grad(rbm.free_energy(v).sum(), rbm.params), mode=QUICK)
    of_model = [sum(p * each for p, each in zip(exact.p_v, of_param)) for of_param in zip(*(
        gradient(exact.v[i:i + 1]) for i in range(len(exact.v))))]
    of_data = [each / len(data) for each in gradient(data)]
    values = [param.get_value() for param in rbm.params]

    def likelihood(values):
        model = Listed(*values)
        chosen = [np.flatnonzero((model.v == piece).all(axis=(1, 2)))[0] for piece in data]
        return np.log(model.p_v[chosen]).mean()

    for number, place in ((0, (2, 1)), (0, (5, 0)), (1, (1,)), (2, (0,))):
        changed = [[value.copy() for value in values] for _ in range(2)]
        changed[0][number][place] += 1e-5
        changed[1][number][place] -= 1e-5
        slope = (likelihood(changed[0]) - likelihood(changed[1])) / 2e-5
        assert slope == pytest.approx(of_model[number][place] - of_data[number][place], abs=1e-7)


def test_cd_moves_towards_the_likelihood():
    """The mean step of many chains has an angle of less than 60 degrees with the exact gradient."""
    rbm = make(ConvolutionalRBM, scale=0.3)
    exact = Listed(*(param.get_value() for param in rbm.params))
    rng = np.random.default_rng(1)
    data = (rng.random((3, N_FRAMES, N_VISIBLE)) < 0.8).astype(float)
    _, updates = rbm.get_cost_updates(lr=1.0)
    step = pytensor.function([rbm.input], [updates[param] - param for param in rbm.params], mode=QUICK)
    mean_step = np.concatenate([each.ravel() for each in step(np.repeat(data, 2000, axis=0))])
    v = pt.tensor3(dtype="float64")
    gradient = pytensor.function([v], pt.grad(rbm.free_energy(v).mean(), rbm.params), mode=QUICK)
    weights = rng.choice(len(exact.v), 20000, p=exact.p_v)
    of_model, of_data = gradient(exact.v[weights]), gradient(data)
    likelihoods = np.concatenate([(m - d).ravel() for m, d in zip(of_model, of_data)]) / N_POSITIONS
    cosine = mean_step @ likelihoods / np.linalg.norm(mean_step) / np.linalg.norm(likelihoods)
    assert cosine > 0.5


def test_gibbs_samples_have_the_exact_distribution():
    rbm = make(ConvolutionalRBM, seed=4, scale=0.5)
    exact = Listed(*(param.get_value() for param in rbm.params))
    n = 4000
    start = pt.tensor3(dtype="float64")
    *_, chain = rbm.gibbs_vhv(start)
    step = pytensor.function([start], [chain, rbm.sample_h_given_v(start)[2]], mode=QUICK)
    v = np.random.default_rng(0).integers(0, 2, (n, N_FRAMES, N_VISIBLE)).astype(float)
    for _ in range(40):
        v, h = step(v)
    _, h = step(v)
    assert (h[:, :2].sum(axis=1) <= 1).all()
    expected = n * exact.p_h
    index = {each.tobytes(): number for number, each in enumerate(exact.h)}
    observed = np.bincount([index[each.tobytes()] for each in h], minlength=len(exact.h))
    order = np.argsort(-expected)
    common = order[:max(2, (expected >= 5).sum() - 1)]  # the rarest ones together
    rare = np.setdiff1d(order, common)
    found, wanted = ([*counts[common], counts[rare].sum()] for counts in (observed, expected))
    assert stats.chisquare(found, wanted).pvalue > 1e-3
    bits = v.reshape(n, -1) @ (1 << np.arange(v[0].size))[::-1]
    assert stats.chisquare(*(np.add.reduceat(counts, np.arange(0, 4096, 512)) for counts in (
        np.bincount(bits.astype(int), minlength=4096), n * exact.p_v))).pvalue > 1e-3


@pytest.mark.parametrize("cls, plain", [(ConvolutionalRBM, RBM), (GaussianConvolutionalRBM, GaussianRBM)])
def test_with_one_frame_a_base_and_blocks_of_one_it_is_the_plain_rbm(cls, plain):
    ours = make(cls, n_hidden=5, width=1, block=1)
    W, hbias, vbias = (param.get_value() for param in ours.params)
    theirs = plain(n_visible=N_VISIBLE, n_hidden=5, W=W, hbias=hbias, vbias=vbias, dtype="float64")
    rng = np.random.default_rng(3)
    v, w, h = rng.random((2, 6, N_VISIBLE)), rng.random((2, 6, N_VISIBLE)), rng.integers(0, 2, (2, 6, 5)).astype(float)

    def numbers(rbm, shaped):
        other, hid = rbm.new_input(), rbm.new_input()
        cost = rbm.mean_free_energy(rbm.input) - rbm.mean_free_energy(other)
        outputs = [*rbm.propup(rbm.input), *rbm.propdown(hid), cost, *pt.grad(cost, rbm.params),
                   rbm.mean_activity(rbm.propup(rbm.input)[1]),
                   rbm.get_reconstruction_cost({}, rbm.propdown(hid)[0])]
        return evaluate([rbm.input, other, hid], outputs, *map(shaped, (v, w, h)))

    for one, other in zip(numbers(ours, lambda x: x), numbers(theirs, lambda x: x.reshape(12, -1)), strict=True):
        np.testing.assert_allclose(np.reshape(one, np.shape(other)), other, rtol=1e-12, atol=1e-12)


def test_gaussian_units_by_their_density():
    """exp(-F) is the sum over hidden states of the joint density, and the conditional mean is that of the density."""
    s = 0.7
    rbm = make(GaussianConvolutionalRBM, deviation=s)
    W, hbias, vbias = (param.get_value() for param in rbm.params)
    v = np.random.default_rng(0).normal(size=(20, N_FRAMES, N_VISIBLE))
    h = hidden_states()
    energy = (np.square(v - vbias).sum(axis=(1, 2))[:, None] / 2
              - np.einsum("ntk,mtk->nm", inputs_of(v, W, hbias), h)) / s ** 2
    free_energy, means = evaluate([rbm.input], [rbm.free_energy(rbm.input), rbm.propup(rbm.input)[1]], v)
    np.testing.assert_allclose(free_energy, -logsumexp(-energy, axis=1), rtol=1e-12)
    posterior = np.exp(-energy - logsumexp(-energy, axis=1)[:, None])
    np.testing.assert_allclose(means, np.einsum("nm,mtk->ntk", posterior, h), rtol=1e-10)
    hid = pt.tensor3(dtype="float64")
    mean, sample = evaluate([hid], [rbm.propdown(hid)[1], rbm.sample_v_given_h(hid)[2]], np.repeat(h[7:8], 20000, 0))
    # the energy's minimum over v, which is quadratic
    expected = vbias + np.einsum("tk,ktri->ri", h[7], np.array([[np.pad(
        W[:, k].reshape(WIDTH, N_VISIBLE), ((t, N_FRAMES - WIDTH - t), (0, 0))) for t in range(N_POSITIONS)]
        for k in range(N_BASES)]).transpose(0, 1, 2, 3))
    np.testing.assert_allclose(mean[0], expected, rtol=1e-12)
    np.testing.assert_allclose(sample.mean(axis=0), expected, atol=0.03)
    np.testing.assert_allclose(sample.std(axis=0), s, atol=0.02)


@pytest.mark.parametrize("cls", [ConvolutionalRBM, GaussianConvolutionalRBM])
def test_momentum_decay_and_sparsity_by_hand(cls):
    rbm = make(cls)
    velocities = [pytensor.shared(0.1 * np.ones_like(param.get_value())) for param in rbm.params]
    data = np.random.default_rng(0).random((2, N_FRAMES, N_VISIBLE))
    fixed = {name: np.random.default_rng(i).random((2, n, m)) for i, (name, n, m) in enumerate((
        ("v", N_FRAMES, N_VISIBLE), ("h", N_POSITIONS, N_BASES)))}
    rbm.sample_v_given_h = lambda h: [pt.as_tensor(fixed["v"])] * 3
    before = [param.get_value() for param in rbm.params]
    cost = rbm.mean_free_energy(rbm.input) - rbm.mean_free_energy(pt.as_tensor(fixed["v"]))
    gradients = evaluate([rbm.input], [*pt.grad(cost, rbm.params), rbm.propup(rbm.input)[1]], data)
    _, updates = rbm.get_cost_updates(lr=0.3, sparsity=(0.05, 5.0), weight_decay=0.01, momentum=0.5,
                                      velocities=velocities)
    pytensor.function([rbm.input], [], updates=updates, mode=QUICK)(data)
    *gradients, means = gradients
    gradients[0] = gradients[0] + 0.01 * before[0]
    gradients[1] = gradients[1] + 5.0 * (means.mean(axis=(0, 1)) - 0.05)
    for param, value, gradient, velocity in zip(rbm.params, before, gradients, velocities):
        direction = 0.05 + gradient
        np.testing.assert_allclose(velocity.get_value(), direction, atol=1e-10)
        np.testing.assert_allclose(param.get_value(), value - 0.3 * direction, atol=1e-10)


@pytest.mark.parametrize("cls", [ConvolutionalRBM, GaussianConvolutionalRBM])
@pytest.mark.parametrize("n_frames", [2, 3, 7])
def test_extreme_inputs_and_any_length(cls, n_frames):
    rbm = make(cls)
    for size in (0, 1e4):
        v = size * np.random.default_rng(0).normal(size=(2, n_frames, N_VISIBLE))
        h = rbm.new_input()
        outputs = [*rbm.propup(rbm.input), rbm.pool(rbm.input), rbm.free_energy(rbm.input),
                   *pt.grad(rbm.mean_free_energy(rbm.input), rbm.params), *rbm.sample_h_given_v(rbm.input)]
        found = evaluate([rbm.input], outputs, v)
        assert all(np.isfinite(each).all() for each in found)
        assert found[1].shape == (2, n_frames - 1, N_BASES) and found[2].shape == (2, n_frames // 2, N_BASES)
        assert evaluate([h], rbm.propdown(h)[1], found[-1]).shape == v.shape


@pytest.mark.parametrize("options", [{"width": 0}, {"block": 0}, {"deviation": 0}, {"deviation": -1}])
def test_what_cannot_be(options):
    with pytest.raises(ValueError, match=f"{next(iter(options))} is"):
        make(GaussianConvolutionalRBM, **options)


def test_the_pseudo_likelihood_is_not_there():
    with pytest.raises(NotImplementedError):
        make(ConvolutionalRBM).get_pseudo_likelihood_cost({})


def test_the_constants_that_it_begins_with():
    rbm = ConvolutionalRBM(n_visible=10, n_hidden=40, width=6)
    assert rbm.W.get_value().shape == (60, 40) and np.allclose(rbm.hbias.get_value(), -0.1)
    assert np.abs(rbm.W.get_value()).std() < 0.01 and rbm.W.get_value().std() == pytest.approx(0.01, rel=0.1)


def chirps(n_songs, rng, n_frames=20, n_bins=8):
    """Tones that rise or fall by a bin a frame, round and round: every frame of both is as likely in either."""
    rises = rng.integers(0, 2, n_songs)
    bins = (rng.integers(0, n_bins, n_songs)[:, None] + np.where(rises, 1, -1)[:, None] * np.arange(n_frames)) % n_bins
    return (np.eye(n_bins)[bins] + (rng.random((n_songs, n_frames, n_bins)) < 0.05)).clip(0, 1), rises


def pooled_accuracy(width, block):
    """Of a linear classifier on the mean of pooled units over a song, after CD."""
    rng = np.random.default_rng(0)
    rbm = ConvolutionalRBM(n_visible=8, n_hidden=24, width=width, block=block, dtype="float64", numpy_rng=rng,
                           theano_rng=RandomStreams(5), W=0.1 * rng.normal(size=(8 * width, 24)))
    songs, rises = chirps(300, rng)
    _, updates = rbm.get_cost_updates(lr=0.5)
    step = pytensor.function([rbm.input], [], updates=updates, mode=QUICK)
    for _ in range(40):
        for start in range(0, 200, 20):
            step(songs[start:start + 20])
    features = evaluate([rbm.input], rbm.pool(rbm.input).mean(axis=1), songs)
    return LogisticRegression(C=100, max_iter=1000).fit(features[:200], rises[:200]).score(features[200:], rises[200:])


def test_only_bases_of_several_frames_tell_rising_from_falling():
    assert pooled_accuracy(3, 2) > 0.9
    assert pooled_accuracy(1, 1) < 0.7
