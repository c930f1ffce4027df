"""What the network says of songs: the class that is the most probable on average over all their frames (§4.1)."""
import numpy as np
import pytest
from scipy.special import expit, softmax

from dbn.audio.frames import FrameSet
from dbn.audio.scaling import Scaling
from dbn.trained.model import Model
from dbn.training.fit import label_songs

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
