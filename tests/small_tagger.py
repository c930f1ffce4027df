"""A tagger of a few numbers, and the clips that it was trained on, the same in several test files."""
import numpy as np

from dbn.audio.scaling import Scaling
from dbn.evaluation.autotag import train_tags
from dbn.trained.model import Model
from dbn.trained.tagger import Tagger, TagMeasure, shared_windows

FRAMES = {"sample_rate": 22050, "frame_length": 64, "hop_length": 32, "window": None}
SIZES = (33, 5, 4, 3)
D = 2 * (5 + 4)
NAMES = ("loud", "ü\nslow", "third")
GRID = {"C": [1.0, 10.0], "gamma": [0.3 / D, 1 / D]}


def model():
    """A network of random weights for short frames."""
    rng = np.random.default_rng(7)
    return Model(weights=[rng.normal(size=shape).astype("f4") for shape in zip(SIZES, SIZES[1:])],
                 biases=[rng.normal(size=n).astype("f4") for n in SIZES[1:]],
                 visible_biases=[np.zeros(n, dtype="f4") for n in SIZES[:-2]], visible="bernoulli", output="softmax",
                 scaling=Scaling("max").fit([np.full((1, 33), 8, dtype="f4")]), classes=("a", "b", "c"),
                 frame_settings=FRAMES, about={"dataset": "noise", "synthetic": False})


def clips(n=40):
    """Features, a list of float32 [1 to 3 windows, D], in which the tags show, and tags bool [n, 3]."""
    rng = np.random.default_rng(11)
    tags = rng.random((n, 3)) < [0.3, 0.5, 0.7]
    shifts = 0.3 * rng.normal(size=(3, D))
    return [(rng.normal(0.5, 0.3, size=(rng.integers(1, 4), D)) + has @ shifts).astype("f4") for has in tags], tags


def tagger(**about):
    """A tagger of the three tags."""
    features, tags = clips()
    windows, svms = shared_windows(np.concatenate(features), train_tags(features, tags, **GRID))
    measures = (TagMeasure(0.9, 24), TagMeasure(0.6, 40), TagMeasure(0.75, 20))
    return Tagger(model(), windows, NAMES, svms, measures, 0.5, 0.25, about)
