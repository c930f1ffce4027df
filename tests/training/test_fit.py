"""What the network says of songs: the class that is the most probable on average over all their frames (§4.1)."""
from dataclasses import asdict
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.special import expit, softmax

from dbn.audio.frames import FrameSet, Song
from dbn.audio.scaling import Scaling
from dbn.datasets.splits import Split
from dbn.trained.model import Model
from dbn.training import fit
from dbn.training.fit import label_songs
from dbn.training.settings import ConvolutionalSettings, TrainingSettings

N_INS, N_CLASSES, LENGTHS = 4, 3, np.arange(1, 201)


@pytest.fixture(scope="module")
def songs():
    """200 songs of frames of no class, so that a few of them decide; and the network's outputs."""
    rng = np.random.default_rng(0)
    frames = rng.random((LENGTHS.sum(), N_INS)).astype(np.float32)
    W, V = (rng.normal(scale=3, size=shape).astype(np.float32) for shape in ((N_INS, 5), (5, N_CLASSES)))
    hidden = expit(frames.astype(float) @ W)
    probabilities = softmax(hidden @ V - (hidden @ V).mean(axis=0), axis=1)
    model = Model([W, V], [np.zeros(5, np.float32), -(hidden @ V).mean(axis=0).astype(np.float32)],
                  [np.zeros(N_INS, np.float32)], "bernoulli", "softmax", Scaling("none").fit([frames]),
                  ("a", "b", "c"), {})
    stops = np.cumsum(LENGTHS)
    labels = rng.integers(N_CLASSES, size=len(LENGTHS))
    frame_set = FrameSet(frames, list(zip(stops - LENGTHS, stops)), labels, names=[str(n) for n in LENGTHS])
    return model, frame_set, labels, np.split(probabilities, stops[:-1])


def test_every_frame_of_a_song_counts(songs):
    model, frame_set, labels, probabilities = songs
    expected = [p.mean(axis=0).argmax() for p in probabilities]
    found = label_songs(model, frame_set)
    np.testing.assert_array_equal(found["predicted"], expected)
    np.testing.assert_array_equal(found["true"], labels)
    assert found["names"] == [str(n) for n in LENGTHS] and found["n_frames"] == LENGTHS.sum()
    assert found["frame_errors"] == sum((p.argmax(axis=1) != label).sum() for p, label in zip(probabilities, labels))
    others = {"every second": [p[::2] for p in probabilities], "but the first": [p[1:] for p in probabilities[1:]],
              "but the last": [p[:-1] for p in probabilities[1:]],
              "votes": [np.eye(N_CLASSES)[p.argmax(axis=1)] for p in probabilities],
              "logarithms": [np.log(p) for p in probabilities]}
    for name, each in others.items():  # the songs are such that other ways are seen
        assert [p.mean(axis=0).argmax() for p in each] != expected[-len(each):], name


@pytest.mark.parametrize("settings, train", [(TrainingSettings(), "train"),
                                             (ConvolutionalSettings(visible_std=2.0), "train_convolutional")])
def test_either_network_learns_from_the_training_songs_alone(monkeypatch, settings, train):
    """What the loops are given: which songs, scaled by what; and that the model says what they have found."""
    rng, given = np.random.default_rng(0), {}
    songs = [Song(name, number % 2, 10 * number, 10 * number + 10) for number, name in enumerate("abcdef")]
    store = SimpleNamespace(frames=rng.random((60, 4)).astype(np.float32), songs=songs, skipped_names=(),
                            classes=("x", "y"), settings={"sample_rate": 22050}, versions={})
    split = Split(("a", "b"), ("c", "f"), ("d", "e"))

    def taken(train_set, valid_set, *arguments, **options):
        given.update(train=train_set, valid=valid_set, **options)
        return SimpleNamespace(dbn="dbn", best_epoch=3, best_error=0.25, stopped="patience", versions={}, history=[1],
                               seconds=lambda stage: 1.0)

    monkeypatch.setattr(fit, train, taken)
    monkeypatch.setattr(fit.Model, "from_dbn", lambda *arguments: arguments)
    monkeypatch.setattr(fit.ConvolutionalModel, "from_dbn", lambda *arguments: arguments)
    others = FrameSet(rng.random((10, 4)), [(0, 10)])
    for pretrain_set in (None, others):
        dbn, scaling, classes, frame_settings, history, about = fit.fit_model(
            store, split, "standardize", settings, None, "key", {"dataset": "d"}, pretrain_set=pretrain_set)
        assert given["train"].names == ("a", "b") and given["valid"].names == ("c", "f")
        seen = store.frames[:20] if pretrain_set is None else others.read(np.arange(10))
        expected = (seen - seen.mean(axis=0)) / seen.std(axis=0) / (2 if train == "train_convolutional" else 1)
        np.testing.assert_allclose(scaling.transform(seen), expected, atol=1e-5)
        assert given["train"].scaling is given["valid"].scaling is scaling
        assert given["pretrain_set"] is None if pretrain_set is None else given["pretrain_set"].scaling is scaling
    assert (dbn, classes, frame_settings, history) == ("dbn", ("x", "y"), {"sample_rate": 22050}, [1])
    assert about["dataset"] == "d" and (about["best_epoch"], about["best_error"]) == (3, 0.25)
    assert about["n_frames"] == {"pretrain": 10, "train": 20, "valid": 20} and about["settings"] == asdict(settings)
