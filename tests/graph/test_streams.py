"""Draws as Theano made them: anew in every call and every step of a scan, in whatever function they stand."""
import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest
from scipy import stats

from dbn.dbn import DBN
from dbn.graph.compile import epoch_function, function
from dbn.graph.streams import PyTensorStreams, RandomStreams, as_streams
from dbn.rbm import RBM, GaussianRBM

QUICK = "FAST_COMPILE"
pytestmark = pytest.mark.filterwarnings("ignore:Scan return signature:DeprecationWarning",
                                        "ignore:RandomStream is deprecated:FutureWarning")


def coins(n=16, seed=1, cls=RBM, **options):
    """An RBM whose units are flipped coins, whatever the others are."""
    options = {"theano_rng": RandomStreams(seed)} | options
    return cls(n_visible=n, n_hidden=n, W=np.zeros((n, n)), dtype="float64", **options)


def distinct(states):
    return len(np.unique(np.reshape(states, (len(states), -1)), axis=0))


# the state is one of 2^16, so that chance gives 992.4 distinct ones in 1,000, and fewer than 980 once in 10,000 runs
LEAST_OF_1000 = 980


def users_scan(rbm, n_steps=1000):
    """The tutorial's sampling: the user's own scan, with the updates that it returns, from a chain that goes on."""
    chain = pytensor.shared(np.zeros((1, rbm.n_visible)))
    outputs, updates = pytensor.scan(rbm.gibbs_vhv, outputs_info=[None] * 5 + [chain], n_steps=n_steps)
    updates[chain] = outputs[-1][-1]
    return pytensor.function([], [outputs[2], outputs[5]], updates=updates)


def test_every_step_of_a_users_scan_draws_anew():
    sample = users_scan(coins())
    first, second = sample(), sample()
    for hidden, visible in (first, second):
        assert distinct(hidden) > LEAST_OF_1000 and distinct(visible) > LEAST_OF_1000
    assert distinct(np.concatenate([*first, *second])) > 3_835  # of 3,881; layers and calls share no numbers
    again = users_scan(coins())
    for values in (first, second):
        np.testing.assert_array_equal(again(), values)
    assert distinct(np.concatenate([first[1], users_scan(coins(seed=2))()[1]])) > 1_945


def test_every_call_draws_anew_where_nothing_is_collected():
    rbm = coins()
    [_, _, sample] = rbm.sample_h_given_v(rbm.input)
    v, index = pt.dmatrix(), pt.lscalar()
    rows = pytensor.shared(np.ones((20, 16)))
    by_givens = pytensor.function([index], sample, givens={rbm.input: rows[index:index + 1]})
    for draw, given in ((pytensor.function([rbm.input], sample), np.ones((1, 16))), (by_givens, 3),
                        (function([v], rbm.sample_v_given_h(v)[2]), np.ones((1, 16)))):
        assert distinct([draw(given) for _ in range(200)]) > 190


def test_every_step_of_nested_scans_draws_anew():
    rbm = coins()

    def outer(v):
        outputs, updates = pytensor.scan(rbm.gibbs_vhv, outputs_info=[None] * 5 + [v], n_steps=10)
        return [outputs[5], outputs[5][-1]], updates

    (inner, _), updates = pytensor.scan(outer, outputs_info=[None, pt.zeros((1, 16))], n_steps=100)
    sample = pytensor.function([], inner, updates=updates)
    visited = np.concatenate([sample(), sample()]).reshape(-1, 16)
    assert len(visited) == 2000 and distinct(visited) > 1_945


def test_a_scan_of_one_step_draws_anew():
    """PyTensor makes no scan of it."""
    sample = users_scan(coins(), n_steps=1)
    assert distinct([sample()[1] for _ in range(200)]) > 190


def test_draws_in_an_epoch_of_minibatches():
    """A Gibbs step for each minibatch, whose samples the epoch adds up bit by bit into one number a unit."""
    rbm, seen = coins(20), pytensor.shared(np.zeros((1, 20)))
    x, lr = pytensor.shared(np.ones((30, 20))), pt.dscalar()
    sample = rbm.gibbs_vhv(rbm.input)[5]
    run = epoch_function(lr * sample.mean(), {seen: 2 * seen + sample}, {rbm.input: x}, lr)
    run(np.arange(30), 1, 0.0)
    bits = (seen.get_value().astype(int).T >> np.arange(30)) & 1
    assert distinct(bits.T) == 30
    run(np.arange(30), 1, 0.0)
    assert seen.get_value().max() > 2**30  # the states go on in the next call: other bits follow
    assert ((seen.get_value().astype(int).T >> np.arange(30) & 1) != bits).any()


def test_a_subclass_draws_by_theanos_arguments():
    class Noisy(RBM):
        def sample_h_given_v(self, v):
            pre, mean = self.propup(v)
            noise = self.theano_rng.normal(size=mean.shape, avg=0.0, std=0.1, dtype=self.dtype)
            noise += self.theano_rng.uniform(size=mean.shape, low=-0.1, high=0.1, dtype=self.dtype)
            sample = self.theano_rng.binomial(size=mean.shape, n=1, p=pt.clip(mean + noise, 0, 1), dtype=self.dtype)
            return [pre, mean, sample]

    hidden, visible = users_scan(coins(cls=Noisy))()
    assert distinct(hidden) > LEAST_OF_1000 and distinct(visible) > LEAST_OF_1000


@pytest.mark.parametrize("draw, exact", [
    (lambda rng, size: rng.binomial(size=size, n=1, p=0.3, dtype="float64"), stats.bernoulli(0.3)),
    (lambda rng, size: rng.normal(size=size, avg=2.0, std=3.0, dtype="float64"), stats.norm(2, 3)),
    (lambda rng, size: rng.normal(size, dtype="float64"), stats.norm()),
    (lambda rng, size: rng.uniform(size=size, low=-1.0, high=3.0, dtype="float64"), stats.uniform(-1, 4)),
])
def test_distributions_and_sizes(draw, exact):
    for size in ((100, 200), pt.as_tensor([100, 200])):
        drawn = pytensor.function([], draw(RandomStreams(5), size), mode=QUICK)()
        assert drawn.shape == (100, 200)
        assert abs(drawn.mean() - exact.mean()) < 4 * exact.std() / np.sqrt(drawn.size)
        if isinstance(exact.dist, stats.rv_continuous):
            assert stats.kstest(drawn.ravel(), exact.cdf).pvalue > 1e-3


def test_parameters_are_broadcast_to_the_size_or_give_it():
    rng, p, std = RandomStreams(1), pt.dvector(), pt.dmatrix()
    graphs = [rng.binomial(p=p), rng.binomial(size=(2, 3), p=p), rng.binomial(p=1), rng.normal(std=std, avg=p),
              rng.uniform(low=p, high=p + 1), rng.uniform(), rng.normal(size=(4,))]
    values = pytensor.function([p, std], graphs, mode=QUICK)(np.array([0.0, 1, 1]), np.zeros((5, 3)))
    assert [value.shape for value in values] == [(3,), (2, 3), (), (5, 3), (3,), (), (4,)]
    assert [value.dtype.name for value in values[:3]] == ["int64"] * 3
    assert {value.dtype.name for value in values[3:]} == {pytensor.config.floatX}
    np.testing.assert_array_equal(values[1], [[0, 1, 1]] * 2)
    np.testing.assert_array_equal(values[3], [[0, 1, 1]] * 5)
    with pytest.raises(ValueError, match="only n = 1"):
        rng.binomial(n=2, p=p)


def test_a_seed_starts_all_draws_anew_those_to_come_as_well():
    def draw(rng):
        return pytensor.function([], rng.uniform(size=(9,)), mode=QUICK)

    rng, other = RandomStreams(1), RandomStreams([2, 3])
    first = draw(rng)
    before = first()
    rng.seed([2, 3])
    np.testing.assert_array_equal([first(), draw(rng)()], [draw(other)(), draw(other)()])
    rng.seed(1)
    np.testing.assert_array_equal(first(), before)


def test_updates_for_functions_without_default_ones():
    rng = RandomStreams(1)
    number = rng.uniform()
    same = pytensor.function([], number, no_default_updates=True, mode=QUICK)
    assert same() == same()
    anew = pytensor.function([], number, no_default_updates=True, updates=rng.updates(), mode=QUICK)
    assert anew() != anew()


def test_no_two_draws_have_a_key_in_common():
    """Within a network, whose layers draw from one stream, and between networks of other seeds."""
    keys = []
    for seed in range(20):
        streams = RandomStreams(seed)
        if seed == 0:
            for layer in DBN(np.random.default_rng(0), streams, n_ins=8, hidden_layers_sizes=(6, 5)).rbm_layers:
                layer.get_cost_updates(k=2)
        for _ in range(100):
            streams.uniform()
        keys += [tuple(state.get_value()[:2]) for state, _ in streams.state_updates]
    assert len(keys) == len(set(keys)) == 20 * 100 + 2 * 3


def test_a_million_flips_are_even_and_know_nothing_of_their_neighbours():
    """Chi-square of single flips and of pairs: side by side, in the next step of a chain, in the other layer."""
    [hidden, visible] = users_scan(coins(1000))()
    hidden, visible = hidden[:, 0], visible[:, 0]
    assert hidden.size == 10**6
    pairs = [(visible[:, :-1], visible[:, 1:]), (visible[:-1], visible[1:]), (visible, hidden),
             (visible[:, :500], visible[:, 500:]), (hidden[:-1], visible[1:])]
    for flips in (hidden, visible):
        assert stats.chisquare(np.bincount(flips.ravel().astype(int), minlength=2)).pvalue > 1e-3
    for a, b in pairs:
        counts = np.bincount((2 * a + b).ravel().astype(int), minlength=4)
        assert stats.chisquare(counts).pvalue > 1e-3
    for of_one_axis in (visible.sum(axis=0), visible.sum(axis=1), hidden.sum(axis=0), hidden.sum(axis=1)):
        assert stats.kstest((of_one_axis - 500) / np.sqrt(250), "norm").pvalue > 1e-4


# What else is taken as theano_rng


def pytensors(seed):
    return pt.random.utils.RandomStream(seed)


@pytest.mark.parametrize("cls", [RBM, GaussianRBM])
def test_pytensors_own_stream_draws_anew_as_well(cls):
    samples = []
    for _ in range(2):
        rbm = coins(cls=cls, theano_rng=pytensors(7))
        [_, _, sample] = rbm.sample_v_given_h(rbm.input)
        draw = pytensor.function([rbm.input], sample, mode=QUICK)
        samples.append([draw(np.ones((1, 16))) for _ in range(50)])
        assert distinct(samples[-1]) > 48 and sample.dtype == "float64"
    np.testing.assert_array_equal(*samples)
    assert distinct(users_scan(coins(cls=cls, theano_rng=pytensors(7)), 100)()[1]) > 98


def test_pytensors_own_stream_in_an_epoch():
    rbm = coins(theano_rng=pytensors(7))
    cost, updates = rbm.get_cost_updates(lr := pt.dscalar())
    run = epoch_function(cost, updates, {rbm.input: pytensor.shared(np.ones((30, 16)))}, lr)
    before = rbm.vbias.get_value()
    run(np.arange(30), 10, 0.1)
    moved = rbm.vbias.get_value()
    rbm.vbias.set_value(before)
    run(np.arange(30), 10, 0.1)
    assert np.isfinite(moved).all() and (moved != before).all() and (rbm.vbias.get_value() != moved).any()


@pytest.mark.parametrize("n", [1, 3])
def test_pytensors_stream_by_theanos_arguments(n):
    streams = as_streams(pytensors(1), None)
    assert isinstance(streams, PyTensorStreams)
    graphs = [streams.binomial(size=(4000,), n=n, p=0.5), streams.normal((4000,), avg=1.0, std=2.0),
              streams.uniform(size=(4000,), low=1.0, high=2.0, dtype="float32")]
    binomial, normal, uniform = pytensor.function([], graphs, mode=QUICK)()
    assert binomial.dtype == np.int64 and set(binomial) == set(range(n + 1))
    assert normal.mean() == pytest.approx(1, abs=0.15) and normal.std() == pytest.approx(2, abs=0.1)
    assert uniform.dtype == np.float32 and 1 <= uniform.min() < 1.1 and 1.9 < uniform.max() <= 2


def test_numpys_generators_give_a_seed_and_others_are_refused_in_words():
    for make in (np.random.default_rng, np.random.RandomState):
        rbm = coins(theano_rng=make(3))
        assert rbm.theano_rng.sequence.entropy == as_streams(None, make(3)).sequence.entropy < 2**30
    for other in (17, pytensor.shared(np.random.default_rng(1))):
        with pytest.raises(TypeError, match="give dbn.graph.RandomStreams"):
            coins(theano_rng=other)
        with pytest.raises(TypeError, match="give dbn.graph.RandomStreams"):
            DBN(np.random.default_rng(0), other)
