"""A tagger from clips and what was measured of their tags."""
import numpy as np
import pytest

from dbn.errors import DBNError
from dbn.evaluation.autotag import TagScore, train_tags
from dbn.evaluation.tagging import trained_tagger
from small_tagger import GRID, NAMES, clips, model


def score(name, accuracy, n_test):
    return TagScore(name, accuracy, (accuracy,), 0.0, 12, n_test, ((1.0, 1.0),), (), ())


SCORES = [score(name, accuracy, n_test) for name, accuracy, n_test in zip(NAMES, (0.9, 0.6, 0.75), (24, 40, 20))]


def test_a_tag_that_cannot_be_trained_is_left_out_of_all():
    """The tag in the middle holds for the clips of one artist alone; the others keep their SVMs and their numbers."""
    features, tags = clips()
    tags[:, 1] = np.arange(len(tags)) == 3
    groups = [f"artist {number // 2}" for number in range(len(tags))]
    made = trained_tagger(model(), features, tags, groups, SCORES, 0.5, 0.25, {"dataset": "noise"}, GRID, seed=5)
    assert made.names == (NAMES[0], NAMES[2])
    assert [(measure.accuracy, measure.n_test) for measure in made.measures] == [(0.9, 24), (0.75, 20)]
    assert (made.window_seconds, made.window_hop, made.about) == (0.5, 0.25, {"dataset": "noise"})
    first, none, third = train_tags(features, tags, groups, seed=5, **GRID)
    assert none is None
    for ours, expected in zip(made.svms, (first, third), strict=True):
        np.testing.assert_array_equal(made.windows[ours.support], np.concatenate(features)[expected.support])
        np.testing.assert_array_equal(ours.coefficients, expected.coefficients)


def test_without_any_tag_there_is_no_tagger():
    features, tags = clips()
    with pytest.raises(DBNError, match="the clips of no tag come from enough artists"):
        trained_tagger(model(), features, tags, ["one artist"] * len(tags), SCORES, 0.5, 0.25, {}, GRID)
