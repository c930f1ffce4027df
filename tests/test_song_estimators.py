"""The convolutional DBN by scikit-learn's interface."""
import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from dbn.errors import DBNError
from dbn.song_estimators import ConvolutionalDBNFeatures
from ramps import N_BINS, ramps
from small_network import leave_uncompiled


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    leave_uncompiled(monkeypatch)


def features(**changes):
    return ConvolutionalDBNFeatures(**{
        "hidden_layers_sizes": (12, 5), "widths": (3, 2), "pools": (2, 2), "visible": "bernoulli", "scaling": "none",
        "pretrain_lr": 0.5, "pretrain_epochs": 4, "piece_blocks": 3, "momentum": 0.9, "weight_decay": 0.0,
        "sparsity_cost": 0.1, "sparsity_target": 0.1, "random_state": 0} | changes)


def test_songs_of_a_list_are_told_apart_in_a_pipeline():
    songs, labels = ramps(120, n_rounds=3, seed=3)
    pipeline = make_pipeline(features(), LogisticRegression(C=1e4, max_iter=1000)).fit(songs[:80], labels[:80])
    assert pipeline.score(songs[80:], labels[80:]) > 0.8
    fitted = pipeline[0]
    rows = fitted.transform(songs[:3])
    assert rows.shape == (3, 17) and rows.dtype == np.float32 and fitted.n_features_in_ == N_BINS
    assert fitted.get_feature_names_out().tolist()[11:13] == ["layer1_unit11", "layer2_unit0"]
    first, second = fitted.features([songs[0][:20]])[0]
    assert first.shape == (9, 12) and second.shape == (4, 5) and [len(fitted.history_)] == [8]
    copied = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(copied.transform(songs[:3]), rows)
    again = clone(fitted).set_params(layers=[2]).fit(songs[:80])
    np.testing.assert_array_equal(again.transform(songs[:3]), rows[:, 12:])
    with pytest.raises(DBNError, match="song 1 .* is too short for layer 2"):
        fitted.transform([songs[0], songs[1][:5]])
    with pytest.raises(DBNError, match=r"song 0 .* has the shape \(24, 7\): .* of 8 features"):
        fitted.features([songs[0][:, :7]])


def test_gaussian_units_of_another_deviation_are_scaled_inputs():
    rng = np.random.default_rng(0)
    songs = [rng.normal(size=(40, 6)).astype(np.float32) for _ in range(4)]
    options = {"visible": "gaussian", "pretrain_epochs": 1, "pretrain_lr": 0.01}
    one = features(scaling="none", visible_std=0.5, **options).fit(songs)
    other = features(scaling="none", **options).fit([2 * song for song in songs])
    np.testing.assert_array_equal(one.transform(songs), other.transform([2 * song for song in songs]))


@pytest.mark.parametrize("changes, songs, message", [
    ({}, [], "X has no songs"),
    ({}, [np.ones((40, 8)), np.ones(40)], "song 1 .* has the shape"),
    ({}, [np.full((40, 8), np.nan)], "song 0"),
    ({"layers": [3]}, [np.ones((40, 8))], "layers is"),
    ({"widths": (3,)}, [np.ones((40, 8))], "widths is"),
    ({"visible_std": 0.2}, [np.ones((40, 8))], "visible_std is 0.2"),
    ({"visible_std": 0.0, "visible": "gaussian"}, [np.ones((40, 8))], "visible_std is 0.0"),
    ({"visible_std": 0.2, "visible": "gaussian", "scaling": "max"}, [np.ones((40, 8))], "clips to .* standardize"),
    ({"scaling": "loud"}, [np.ones((40, 8))], "scaling 'loud' is unknown"),
])
def test_what_cannot_be_used_is_refused(changes, songs, message):
    with pytest.raises(DBNError, match=message):
        features(**changes).fit(songs)
