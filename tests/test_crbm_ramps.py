"""What a base of several frames learns and the frame-level RBM cannot: whether a tone rises or falls."""
import numpy as np
import pytensor
import pytest
from sklearn.linear_model import LogisticRegression

from dbn.crbm import ConvolutionalRBM
from dbn.graph.streams import RandomStreams
from ramps import N_BINS, ramps

QUICK, N_BASES = "FAST_COMPILE", 16


def learned_features(width, pool, songs, n_train, n_steps=300):
    """Train on the first `n_train` of `songs` [n_songs, n_frames, N_BINS].

    Returns
    -------
    features : float64 [n_songs, N_BASES]
        Means of the pooling units over each song.
    costs : list of float
        Of reconstruction, in nats a frame, of every step.
    """
    rng = np.random.default_rng(0)
    rbm = ConvolutionalRBM(n_visible=N_BINS, n_hidden=N_BASES, width=width, pool=pool, dtype="float64",
                           W=0.3 * rng.normal(size=(width * N_BINS, N_BASES)), hbias=np.full(N_BASES, -2.0),
                           theano_rng=RandomStreams(0))
    velocities = [pytensor.shared(np.zeros_like(param.get_value())) for param in rbm.params]
    cost, updates = rbm.get_cost_updates(0.5, sparsity=(0.1, 0.1), momentum=0.9, velocities=velocities)
    step = pytensor.function([rbm.input], cost, updates=updates, mode=QUICK)
    costs = [step(songs[rng.integers(n_train, size=20)]) for _ in range(n_steps)]
    return pytensor.function([rbm.input], rbm.pool_given_v(rbm.input).mean(axis=1), mode=QUICK)(songs), costs


@pytest.mark.parametrize("width, pool, tells", [(3, 2, True), (1, 1, False)])
def test_only_bases_of_several_frames_tell_a_rise_from_a_fall(width, pool, tells):
    songs, labels = ramps(300, n_rounds=3, seed=1)
    features, costs = learned_features(width, pool, np.array(songs, dtype=float), n_train=200)
    assert np.mean(costs[-20:]) > -2  # from -5 to -6 nats: both learn what a frame looks like
    classifier = LogisticRegression(C=1e4, max_iter=1000).fit(features[:200], labels[:200])
    accuracy = classifier.score(features[200:], labels[200:])
    assert accuracy > 0.95 if tells else 0.35 < accuracy < 0.65


def test_the_frames_of_both_kinds_are_alike():
    songs, labels = ramps(2000, n_rounds=1, seed=2)
    means = [np.mean([song.mean(axis=0) for song, label in zip(songs, labels) if label == kind], axis=0)
             for kind in (0, 1)]
    np.testing.assert_allclose(*means, atol=0.02)
