"""The convolutional RBM against sums over every state of a tiny one, against the plain RBM, and against NumPy.

The sums run over E(v, h), written down from the sum over frames, bases and their frames, not over the code's products.
"""
import itertools

import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest
from scipy.special import logsumexp

from dbn.crbm import ConvolutionalRBM, GaussianConvolutionalRBM
from dbn.graph.streams import RandomStreams
from dbn.likelihood import annealed_importance_sampling, log_partition
from dbn.rbm import RBM, GaussianRBM
from enumerated import assert_gradient_is_that_of_differences, assert_numbers_distributed, index_of, states

QUICK = "FAST_COMPILE"  # no compiler: these graphs are run a few times on small arrays
KINDS = [ConvolutionalRBM, GaussianConvolutionalRBM]

# 6 frames have 5 positions of a base of 2 frames, which make 2 blocks of 2; those see 5 frames, not the sixth
N_FRAMES, N_VISIBLE, N_HIDDEN, WIDTH, POOL = 6, 2, 2, 2, 2
N_COVERED, N_POSITIONS, N_BLOCKS = 5, 4, 2


def make(cls, n_visible=N_VISIBLE, n_hidden=N_HIDDEN, width=WIDTH, pool=POOL, scale=1.0, **options):
    rng = np.random.default_rng(0)
    return cls(n_visible=n_visible, n_hidden=n_hidden, width=width, pool=pool, hbias=rng.normal(size=n_hidden),
               vbias=0.5 * rng.normal(size=n_visible), W=scale * rng.normal(size=(width * n_visible, n_hidden)),
               **{"theano_rng": RandomStreams(1), "dtype": "float64"} | options)


def numbers_of(rbm):
    """Bases [width, n_visible, n_hidden] and both biases."""
    W, hbias, vbias = (param.get_value() for param in rbm.params)
    return W.reshape(rbm.width, rbm.n_visible, rbm.n_hidden), hbias, vbias


def hidden_states(n_blocks, pool, n_hidden):
    """Every state in which no block has two units on; float64 [n_states, n_positions, n_hidden]."""
    of_block = np.hstack([np.zeros((pool, 1)), np.eye(pool)])  # a column a state
    numbers = itertools.product(range(pool + 1), repeat=n_blocks * n_hidden)
    return np.array([np.concatenate(of_block[:, np.reshape(each, (n_blocks, n_hidden))].swapaxes(0, 1))
                     for each in numbers])


def fields(bases, h):
    """What the hidden units send down, sum over k and r of W_k[r] h[t - r, k]; [n_states, n_frames, n_visible]."""
    width, n_visible, n_hidden = bases.shape
    sent = np.zeros((len(h), h.shape[1] + width - 1, n_visible))
    for t, r, k in itertools.product(range(h.shape[1]), range(width), range(n_hidden)):
        sent[:, t + r] += h[:, t, k, None] * bases[r, :, k]
    return sent


def correlations(v, h, width):
    """sum over t of v[t + r, j] h[t, k] for every pair of states: [v states, h states, r, j, k]."""
    return np.stack([np.einsum("atj,btk->abjk", v[:, r:r + h.shape[1]], h) for r in range(width)], axis=2)


class Enumerated:
    """A binary model by the sum over its states."""

    def __init__(self, rbm):
        self.bases, hbias, vbias = numbers_of(rbm)
        self.v = states(N_COVERED * N_VISIBLE).reshape(-1, N_COVERED, N_VISIBLE)
        self.h = hidden_states(N_BLOCKS, POOL, N_HIDDEN)
        energy = -(self.v @ vbias).sum(axis=1)[:, None] - (self.h @ hbias).sum(axis=1)
        energy = energy - np.einsum("atj,btj->ab", self.v, fields(self.bases, self.h))
        self.log_z = logsumexp(-energy)
        self.joint = np.exp(-energy - self.log_z)
        self.p_v, self.p_h = self.joint.sum(axis=1), self.joint.sum(axis=0)
        self.h_given_v = self.joint / self.p_v[:, None]
        self.v_given_h = self.joint.T / self.p_h[:, None]

    def rows(self, v):
        return index_of(v[:, :N_COVERED].reshape(len(v), -1))

    def log_likelihood(self, v):
        return np.log(self.p_v[self.rows(v)]).mean()

    def gradient(self, data):
        """Of the mean negative log-likelihood per position: W, hidden and visible biases."""
        rows = self.rows(data)
        given = np.bincount(rows, minlength=len(self.v))[:, None] / len(data) * self.h_given_v
        difference = self.joint - given  # weights of the pairs of states
        parts = [np.einsum("ab,abrjk->rjk", difference, correlations(self.v, self.h, WIDTH)),
                 difference.sum(axis=0) @ self.h.sum(axis=1), difference.sum(axis=1) @ self.v.sum(axis=1)]
        return np.concatenate([part.ravel() for part in parts]) / N_POSITIONS


@pytest.fixture(scope="module")
def binary():
    rbm = make(ConvolutionalRBM)
    return rbm, Enumerated(rbm)


def evaluate(inputs, outputs, *values):
    return pytensor.function(inputs, outputs, mode=QUICK)(*values)


def with_more_frames(v):
    """Pieces with a frame behind, which no hidden unit sees."""
    return np.concatenate([v, np.full((len(v), N_FRAMES - N_COVERED, N_VISIBLE), 0.7)], axis=1)


# ------------------------------------------------------------------------------------------------ every state

def test_there_are_as_many_states_as_blocks_allow():
    assert hidden_states(N_BLOCKS, POOL, N_HIDDEN).shape == (3**4, N_POSITIONS, N_HIDDEN)


def test_free_energy_and_conditionals_are_those_of_the_joint_distribution(binary):
    rbm, exact = binary
    h_in = pt.tensor3(dtype="float64")
    outputs = [rbm.free_energy(rbm.input), rbm.propup(rbm.input)[1], rbm.pool_given_v(rbm.input), rbm.propdown(h_in)[1]]
    free_energy, up, pooled, down = evaluate([rbm.input, h_in], outputs, with_more_frames(exact.v), exact.h)
    assert logsumexp(-free_energy) == pytest.approx(exact.log_z, abs=1e-12)
    np.testing.assert_allclose(np.exp(-free_energy - exact.log_z), exact.p_v, rtol=1e-11)
    np.testing.assert_allclose(up, np.einsum("ab,btk->atk", exact.h_given_v, exact.h), rtol=1e-11)
    np.testing.assert_allclose(down, np.einsum("ba,atj->btj", exact.v_given_h, exact.v), rtol=1e-11)
    on = exact.h.reshape(-1, N_BLOCKS, POOL, N_HIDDEN).sum(axis=2)
    off = np.einsum("ab,bnk->ank", exact.h_given_v, 1 - on)
    np.testing.assert_allclose(pooled + off, 1, rtol=1e-12)
    np.testing.assert_allclose(pooled, up.reshape(-1, N_BLOCKS, POOL, N_HIDDEN).sum(axis=2), rtol=1e-12)


def test_one_piece_alone_gives_what_it_gives_among_others(binary):
    rbm, exact = binary
    v = pt.matrix(dtype="float64")
    alone = make(ConvolutionalRBM, input=v)
    for of_all, of_one in ((rbm, rbm), (rbm, alone)):
        outputs = [[model.free_energy(x), *model.propup(x), model.pool_given_v(x), *model.propdown(model.propup(x)[1])]
                   for model, x in ((of_all, rbm.input), (of_one, v))]
        for one, many in zip(evaluate([v], outputs[1], exact.v[77]),
                             evaluate([rbm.input], outputs[0], exact.v[70:80])):
            np.testing.assert_allclose(one, many[7], rtol=1e-12)
    cost, updates = alone.get_cost_updates(lr=0.1)
    assert np.isfinite(evaluate([v], [cost, *updates.values()], exact.v[77])[0])


def test_cd_gradient_comes_nearer_to_the_likelihoods_as_k_rises():
    rbm = make(ConvolutionalRBM, scale=2.5)  # a model that one step does not mix
    exact = Enumerated(rbm)
    some = exact.v[np.random.default_rng(4).integers(0, len(exact.v), size=5)]
    true = exact.gradient(some)
    cosines = []
    for k in (1, 3, 20):
        rbm.theano_rng.seed(5)
        _, updates = rbm.get_cost_updates(lr=1, k=k)
        step = evaluate([rbm.input], [param - updates[param] for param in rbm.params],
                        with_more_frames(np.repeat(some, 600, axis=0)))
        estimate = np.concatenate([part.ravel() for part in step])
        cosines.append(estimate @ true / np.linalg.norm(estimate) / np.linalg.norm(true))
    assert 0 < cosines[0] < cosines[1] < cosines[2]
    np.testing.assert_allclose(estimate, true, atol=0.03)


def test_the_enumerated_gradient_is_the_likelihoods(binary):
    rbm, exact = binary
    data = exact.v[[3, 500, 501, 999]]
    likelihoods, values = [], [param.get_value() for param in rbm.params]
    rng = np.random.default_rng(0)
    directions = [rng.normal(size=value.shape) for value in values]
    for sign in (1, -1):
        for param, value, direction in zip(rbm.params, values, directions):
            param.set_value(value + sign * 1e-5 * direction)
        likelihoods.append(Enumerated(rbm).log_likelihood(data))
    for param, value in zip(rbm.params, values):
        param.set_value(value)
    slope = exact.gradient(data) @ np.concatenate([direction.ravel() for direction in directions])
    assert (likelihoods[1] - likelihoods[0]) / 2e-5 / N_POSITIONS == pytest.approx(slope, rel=1e-6)


def end_of_chains(rbm, n_chains, k):
    """Hidden and visible samples of `n_chains` Gibbs chains of `k` steps from visible units that are all on."""
    rbm.theano_rng.seed(6)
    outputs, updates = rbm.gibbs_chain(rbm.gibbs_vhv, rbm.input, k)
    sampler = pytensor.function([rbm.input], [outputs[2], outputs[5]], updates=updates, mode=QUICK)
    return sampler(np.ones((n_chains, N_COVERED, N_VISIBLE)))


def numbers_of_states(h, among):
    numbers = {state.tobytes(): number for number, state in enumerate(among.astype(np.int8))}
    return np.array([numbers[state.tobytes()] for state in h.astype(np.int8)])


def test_gibbs_samples_are_distributed_as_the_joint(binary):
    rbm, exact = binary
    h, v = end_of_chains(rbm, 10000, k=30)
    assert_numbers_distributed(exact.rows(v), exact.p_v)
    assert_numbers_distributed(numbers_of_states(h, exact.h), exact.p_h)


def test_gaussian_units_are_the_mixture_of_the_hidden_states():
    """Integrating e^-E over v leaves exp(c'h + |b + field|^2 / 2 - |b|^2 / 2), times a constant."""
    rbm = make(GaussianConvolutionalRBM, scale=0.7)
    bases, hbias, vbias = numbers_of(rbm)
    h = hidden_states(N_BLOCKS, POOL, N_HIDDEN)
    means = vbias + fields(bases, h)
    log_p = (h @ hbias).sum(axis=1) + 0.5 * (means**2).sum(axis=(1, 2)) - 0.5 * N_COVERED * (vbias**2).sum()
    p_h = np.exp(log_p - logsumexp(log_p))
    log_z = logsumexp(log_p) + 0.5 * N_COVERED * N_VISIBLE * np.log(2 * np.pi)
    v = np.random.default_rng(2).normal(scale=2, size=(50, N_COVERED, N_VISIBLE))
    log_joint = np.log(p_h) - 0.5 * ((v[:, None] - means)**2).sum(axis=(2, 3))
    log_joint -= 0.5 * N_COVERED * N_VISIBLE * np.log(2 * np.pi)
    h_in = pt.tensor3(dtype="float64")
    outputs = [rbm.free_energy(rbm.input), rbm.propup(rbm.input)[1], *rbm.propdown(h_in)]
    free_energy, up, *downs = evaluate([rbm.input, h_in], outputs, with_more_frames(v), h)
    np.testing.assert_allclose(-free_energy - log_z, logsumexp(log_joint, axis=1), rtol=1e-10)
    given = np.exp(log_joint - logsumexp(log_joint, axis=1, keepdims=True))
    np.testing.assert_allclose(up, np.einsum("ab,btk->atk", given, h), rtol=1e-9)
    for down in downs:
        np.testing.assert_allclose(down, means, rtol=1e-12)
    drawn, v = end_of_chains(rbm, 10000, k=30)
    assert_numbers_distributed(numbers_of_states(drawn, h), p_h)
    deviations = (v.mean(axis=0) - np.einsum("b,btj->tj", p_h, means)) / v.std(axis=0) * np.sqrt(len(v))
    assert np.abs(deviations).max() < 4.5


@pytest.mark.parametrize("persistent", [False, True], ids=["CD-1", "PCD-1"])
def test_training_raises_the_exact_likelihood(persistent):
    rng = np.random.default_rng(3)
    one, other = np.tile([[1, 0], [1, 0], [0, 1]], (3, 1)), np.tile([[1, 1], [0, 0]], (4, 1))
    data = np.array([piece[start:start + N_FRAMES] for piece in (one, other) for start in rng.integers(0, 3, 50)])
    rbm = make(ConvolutionalRBM, scale=0.1)
    chain = pytensor.shared(np.zeros((100, N_POSITIONS, N_HIDDEN))) if persistent else None
    _, updates = rbm.get_cost_updates(lr=0.2, persistent=chain, k=1)
    train = pytensor.function([rbm.input], [], updates=updates, mode=QUICK)
    likelihoods = [Enumerated(rbm).log_likelihood(data)]
    for _ in range(3):
        for _ in range(100):
            train(data.astype(float))
        likelihoods.append(Enumerated(rbm).log_likelihood(data))
    assert np.all(np.diff(likelihoods) > 0) and likelihoods[-1] > likelihoods[0] + 0.5


def test_pseudo_likelihood_is_the_sum_of_the_conditionals(binary):
    rbm, exact = binary
    expected = 0.0
    for unit in range(N_COVERED * N_VISIBLE):
        flipped = exact.v.reshape(len(exact.v), -1).copy()
        flipped[:, unit] = 1 - flipped[:, unit]
        expected += np.log(exact.p_v / (exact.p_v + exact.p_v[index_of(flipped)])).mean() / N_COVERED
    updates = {}
    run = pytensor.function([rbm.input], rbm.get_pseudo_likelihood_cost(updates), updates=updates, mode=QUICK)
    costs = [run(with_more_frames(exact.v)) for _ in range(N_COVERED * N_VISIBLE)]
    assert np.mean(costs) == pytest.approx(expected, abs=1e-12)


# ------------------------------------------------------------------------------------------------ other implementations

@pytest.mark.parametrize("cls, plain_class", list(zip(KINDS, [RBM, GaussianRBM])))
def test_with_a_frame_a_base_and_blocks_of_one_it_is_the_plain_rbm(cls, plain_class):
    """The same draws too, so that whole steps of CD are the same; a piece of n frames stands for n examples."""
    rng = np.random.default_rng(1)
    options = {"n_visible": 5, "n_hidden": 4, "W": rng.normal(size=(5, 4)), "hbias": rng.normal(size=4),
               "vbias": rng.normal(size=5), "dtype": "float64"}
    x = rng.random((12, 5))
    plain = plain_class(theano_rng=RandomStreams(1), **options)

    def everything(rbm):
        cost, updates = rbm.get_cost_updates(lr=0.3, k=2, sparsity=(0.1, 2.0), weight_decay=0.1)
        outputs = [*rbm.propup(rbm.input), *rbm.gibbs_vhv(rbm.input), rbm.mean_free_energy(rbm.input), cost]
        return outputs + [updates[param] for param in rbm.params]

    expected = evaluate([plain.input], everything(plain), x)
    for form in ((12, 5), (3, 4, 5)):
        rbm = cls(input=pt.tensor(dtype="float64", shape=(None,) * len(form)), width=1, pool=1,
                  theano_rng=RandomStreams(1), **options)
        for ours, its in zip(evaluate([rbm.input], everything(rbm), x.reshape(form)), expected, strict=True):
            np.testing.assert_allclose(ours.reshape(its.shape), its, rtol=1e-12, atol=1e-12)


class _Means:
    """Draws that are no draws: units take their means, so that NumPy can follow."""

    def binomial(self, size, n, p, dtype):
        return p

    def normal(self, size, avg, dtype):
        return avg


def block_means(inputs, pool):
    """Softmax of each block together with a 0, for inputs [n_pieces, n_positions, n_hidden]."""
    blocks = inputs.reshape(len(inputs), -1, pool, inputs.shape[-1])
    largest = np.maximum(blocks.max(axis=2, keepdims=True), 0)
    weights = np.exp(blocks - largest)
    return (weights / (np.exp(-largest) + weights.sum(axis=2, keepdims=True))).reshape(inputs.shape)


def up_and_down(kind, x, bases, hbias, vbias, pool, n_positions):
    """Hidden means of pieces, and the visible means given those."""
    inputs = hbias + sum(x[:, r:r + n_positions] @ base for r, base in enumerate(bases))
    h = block_means(inputs, pool)
    down = vbias + sum(np.pad(h @ base.T, ((0, 0), (r, len(bases) - 1 - r), (0, 0))) for r, base in enumerate(bases))
    return h, down if kind is GaussianConvolutionalRBM else 1 / (1 + np.exp(-down))


@pytest.mark.parametrize("kind", KINDS)
def test_three_steps_of_contrastive_divergence(kind):
    """With weight decay, momentum and the sparsity target, by the correlations over the number of positions."""
    width, pool, n, lr, decay, momentum, target, cost = 3, 2, 4, 0.3, 0.05, 0.7, 0.1, 2.0
    rng = np.random.default_rng(0)
    x = rng.random((5, 7, 3))  # 5 positions, of which 4 fill blocks, which see 6 frames
    bases, c, b = rng.normal(size=(width, 3, 4)), rng.normal(size=4), rng.normal(size=3)
    rbm = kind(n_visible=3, n_hidden=4, width=width, pool=pool, W=bases.reshape(9, 4), hbias=c, vbias=b,
               theano_rng=_Means(), dtype="float64")
    velocities = [pytensor.shared(np.zeros_like(param.get_value())) for param in rbm.params]
    _, updates = rbm.get_cost_updates(lr, sparsity=(target, cost), weight_decay=decay, momentum=momentum,
                                      velocities=velocities)
    step = pytensor.function([rbm.input], [], updates=updates, mode=QUICK)
    v = [np.zeros_like(value) for value in (bases, c, b)]
    for _ in range(3):
        step(x)
        h, x1 = up_and_down(kind, x, bases, c, b, pool, n)
        h1, _ = up_and_down(kind, x1, bases, c, b, pool, n)
        phases = [[np.stack([np.einsum("itj,itk->jk", each[:, r:r + n], hidden) for r in range(width)]) / (5 * n),
                   hidden.mean(axis=(0, 1)), each[:, :n + width - 1].sum(axis=(0, 1)) / (5 * n)]
                  for each, hidden in ((x, h), (x1, h1))]
        gradients = [model - data for data, model in zip(*phases)]
        gradients[0] += decay * bases
        gradients[1] += cost * (h.mean(axis=(0, 1)) - target)
        v = [momentum * velocity + gradient for velocity, gradient in zip(v, gradients)]
        bases, c, b = (value - lr * velocity for value, velocity in zip((bases, c, b), v))
    for ours, expected in zip([*rbm.params, *velocities], [bases, c, b, *v], strict=True):
        np.testing.assert_allclose(ours.get_value(), expected.reshape(ours.get_value().shape), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("cls", KINDS)
def test_gradient_of_the_free_energy_by_differences_in_every_direction(cls):
    rbm = make(cls, n_visible=3, pool=3)
    v = np.random.default_rng(3).random((5, 8, 3))
    assert_gradient_is_that_of_differences(rbm, rbm.mean_free_energy(rbm.input), v)


# ------------------------------------------------------------------------------------------------ edges and extremes

@pytest.mark.parametrize("cls", KINDS)
def test_extreme_inputs_give_finite_numbers_and_samples_of_at_most_one_a_block(cls):
    """In single precision, whose exp overflows at 89; frames that are alike make inputs that are alike."""
    rbm = make(cls, pool=3, dtype="float32")
    v = pt.tensor3(dtype="float32")
    _, mean, sample = rbm.sample_h_given_v(v)
    outputs = [rbm.free_energy(v), mean, rbm.pool_given_v(v), pt.grad(rbm.mean_free_energy(v), rbm.W), sample]
    x = np.concatenate([1e4 * np.random.default_rng(0).normal(size=(20, 10, N_VISIBLE)), np.zeros((1, 10, N_VISIBLE)),
                        *(np.full((1, 10, N_VISIBLE), value) for value in (1e4, -1e4))]).astype(np.float32)
    free_energy, mean, pooled, gradient, sample = evaluate([v], outputs, x)
    assert all(np.isfinite(each).all() for each in (free_energy, mean, pooled, gradient))
    assert mean.min() >= 0 and mean.max() <= 1 and pooled.max() <= 1
    sums = mean.reshape(len(x), -1, 3, N_HIDDEN).sum(axis=2)
    np.testing.assert_allclose(sums, pooled, atol=1e-6)
    on = sample.reshape(len(x), -1, 3, N_HIDDEN).sum(axis=2)
    assert set(np.unique(sample)) == {0, 1} and on.max() == 1
    np.testing.assert_array_equal(on[pooled == 1], 1)
    inputs = evaluate([v], rbm.propup(v)[0], x).astype(np.float64)
    np.testing.assert_allclose(mean, block_means(inputs, 3), atol=2e-3)  # inputs of 1e4 have three digits behind


def test_shapes_at_every_length():
    rbm = make(ConvolutionalRBM, n_visible=3, n_hidden=5, width=3, pool=4)
    h = rbm.propup(rbm.input)[1]
    outputs = [rbm.free_energy(rbm.input), h, rbm.pool_given_v(rbm.input), rbm.propdown(h)[1], rbm.covered(rbm.input)]
    run = pytensor.function([rbm.input], outputs, mode=QUICK)
    for n_frames, n_blocks in ((6, 1), (7, 1), (9, 1), (10, 2), (41, 9)):
        shapes = [value.shape for value in run(np.ones((2, n_frames, 3)))]
        covered = (2, 4 * n_blocks + 2, 3)
        assert shapes == [(2,), (2, 4 * n_blocks, 5), (2, n_blocks, 5), covered, covered]
    for n_frames in (0, 2, 5):
        with pytest.raises(ValueError, match="at least 6 frames: give longer ones"):
            run(np.ones((2, n_frames, 3)))


@pytest.mark.parametrize("options, message", [
    ({"width": 0}, "width is 0: give a whole number of at least 1"),
    ({"pool": 2.0}, "pool is 2.0: give a whole number of at least 1"),
    ({"input": pt.vector()}, "the input has 1 axes: give a piece"),
    ({"W": np.zeros((5, 2))}, r"W has the shape \(5, 2\): bases of 3 frames of 2 values take .* here \(6, 2\)"),
])
def test_bad_arguments_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        ConvolutionalRBM(**{"n_visible": 2, "n_hidden": 2, "width": 3} | options)


def test_initial_weights_are_small_and_follow_the_generator():
    first, second = (ConvolutionalRBM(numpy_rng=np.random.default_rng(5)).W.get_value() for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert first.shape == (480, 300) and first.std() == pytest.approx(0.01, rel=0.01)


@pytest.mark.parametrize("partition", [log_partition, annealed_importance_sampling])
def test_likelihoods_of_plain_rbms_refuse_it(partition):
    with pytest.raises(ValueError, match="give a plain RBM"):
        partition(make(ConvolutionalRBM))
