"""Two feature sets compared over the tags: exact tests and intervals against enumeration and resampling."""
import itertools

import numpy as np
import pytest
from scipy.stats import wilcoxon

from dbn.errors import DBNError
from dbn.evaluation.autotag import TagResults, TagScore, compare_tags, difference_interval, evaluate_tags
from small_tags import noise, small


def results_of(*accuracies, clips=(0, 1)):
    return TagResults(tuple(TagScore(str(tag), accuracy, (), 0.0, 1, 2, (), clips, (True, False))
                            for tag, accuracy in enumerate(accuracies)), ())


def test_comparison_agrees_with_enumeration_of_every_sign():
    differences = np.array([0.11, -0.02, 0.05, 0.07, 0.03, -0.01, 0.2])
    ranks = np.argsort(np.argsort(np.abs(differences))) + 1
    sums = np.array([np.dot(ranks, signs) for signs in itertools.product((0, 1), repeat=7)])
    observed = ranks[differences > 0].sum()
    expected = np.mean(np.abs(sums - 14) >= abs(observed - 14))
    a, b = results_of(*(0.6 + differences)), results_of(*[0.6] * 7)
    assert compare_tags(a, b) == compare_tags(b, a) == pytest.approx(expected)


def test_equal_differences_of_fractions_share_a_rank():
    a, b = np.array([5, 8, 3, 7, 6, 2, 4, 8, 5]), np.array([2, 7, 7, 7, 3, 2, 8, 2, 5])
    assert compare_tags(results_of(*a / 10), results_of(*b / 10)) == pytest.approx(wilcoxon(a - b).pvalue)
    assert compare_tags(results_of(*a / 10), results_of(*a / 10)) == 1


def test_a_better_feature_set_is_found_better():
    tags, groups = small(n_tags=8)
    informative = np.column_stack([tags, noise(240)])
    good = evaluate_tags(informative, tags, groups, progress=False)
    bad = evaluate_tags(noise(240), tags, groups, progress=False)
    assert good.mean > bad.mean + 0.2 and compare_tags(good, bad) == pytest.approx(2 / 2 ** 8)


def test_difference_interval_agrees_with_resampled_artists():
    """Artists drawn with replacement by a loop, each tag's accuracy counted anew; unknown artists are one a clip."""
    rng = np.random.default_rng(0)
    artists = np.array([f"artist {i}" for i in rng.integers(0, 40, 200)], dtype=object)
    artists[:10] = ""
    clips = [tuple(rng.choice(200, n, replace=False).tolist()) for n in (60, 90, 120)]
    taste = dict(zip(sorted(set(artists)), rng.normal(0, 0.2, 41)))  # artists whose clips one of the two knows better

    def results(sign):
        return TagResults(tuple(
            TagScore(str(tag), float(np.mean(correct)), (), 0.0, 1, len(of_tag), (), of_tag, tuple(correct))
            for tag, of_tag in enumerate(clips)
            for correct in [[bool(rng.random() < 0.7 + sign * taste[artists[clip]]) for clip in of_tag]]), ())

    a, b = results(1), results(-1)
    keys = np.array([artist or f"clip {i}" for i, artist in enumerate(artists)])
    names = sorted(set(keys[np.concatenate(clips)]))
    differences = []
    for _ in range(2000):
        times = dict(zip(names, np.bincount(rng.integers(0, len(names), len(names)), minlength=len(names))))
        differences.append(np.mean([np.average(np.array(x.correct, float) - np.array(y.correct),
                                               weights=[times[keys[clip]] for clip in x.clips])
                                    for x, y in zip(a.scores, b.scores)]))
    low, high = difference_interval(a, b, artists)
    assert (low, high) == pytest.approx(np.quantile(differences, [0.025, 0.975]), abs=0.015)
    assert low < a.mean - b.mean < high
    as_if_each_clip_were_an_artists = difference_interval(a, b, [""] * 200)
    assert np.ptp(as_if_each_clip_were_an_artists) < 0.9 * (high - low)
    assert difference_interval(b, a, artists) == pytest.approx((-high, -low), abs=0.01)


def test_results_on_other_tags_or_clips_are_not_compared():
    for other in (results_of(0.5), results_of(0.5, 0.5, clips=(0, 2))):
        with pytest.raises(DBNError, match="same tags and test clips"):
            compare_tags(results_of(0.5, 0.6), other)
        with pytest.raises(DBNError, match="same tags and test clips"):
            difference_interval(results_of(0.5, 0.6), other, ["a", "b", "c"])
    tags, groups = small()
    one, other = (evaluate_tags(noise(240), tags, groups, seed=seed, progress=False) for seed in (0, 1))
    with pytest.raises(DBNError, match="seed"):
        compare_tags(one, other)
