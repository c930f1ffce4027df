"""Autotagging: noise stays at chance, a planted tag rises, artists do not leak; draws by their properties."""
import csv
import itertools
import os
from collections import Counter

import numpy as np
import pytest

from dbn.errors import DBNError
from dbn.evaluation import autotag
from dbn.evaluation.autotag import evaluate_tags, group_folds
from dbn.evaluation.svm import RBFSVM
from small_tags import noise, small

POPULARITY = (1095, 883, 684, 615, 605, 488, 474, 433, 416, 347, 315, 243, 191, 180, 173, 170, 167, 163, 160, 159, 111,
              98, 80, 70, 64)  # clips of each of MajorMiner's 25 most popular tags


def synthetic_tags():
    """As many clips, tags of the same popularity, and artists of 1 to 29 clips, as MajorMiner has; drawn at random."""
    rng = np.random.default_rng(0)
    tags = np.array([rng.permutation(2359) < n for n in POPULARITY]).T
    sizes = np.resize([1, 1, 1, 1, 2, 3, 4, 6, 13], 672)
    groups = [f"artist {i}" for i in np.repeat(np.arange(672), sizes)]
    return tags, rng.permutation(groups)[:2359]


def majorminer_tags():
    """The tags of the real list of clips, tab-separated: clip, title, artist, album, offset, tag, players."""
    path = os.environ.get("MAJORMINER_TAGS")
    if not path:
        pytest.skip("no real tags: set MAJORMINER_TAGS to MajorMiner's list of clips, clips.tsv")
    with open(path, encoding="utf-8", newline="") as file:
        rows = [row for row in csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE) if int(row[-1]) >= 2]
    popular = [tag for tag, _ in Counter(row[5] for row in rows).most_common(25)]
    clips = list(dict.fromkeys(row[0] for row in rows))
    tagged = {(row[0], row[5]) for row in rows}
    artists = {row[0]: row[2] for row in rows}
    return np.array([[(clip, tag) in tagged for tag in popular] for clip in clips]), [artists[clip] for clip in clips]


@pytest.fixture(scope="module", params=[synthetic_tags, majorminer_tags])
def full_size(request):
    tags, groups = request.param()
    assert tags.shape == (2359, 25) and tuple(tags.sum(axis=0)) == POPULARITY
    return tags, groups


def numbered(n_clips):
    """One to three windows a clip: the clip's number, and noise."""
    rng = np.random.default_rng(5)
    return [np.column_stack([np.full(n, clip), rng.normal(size=n)]) for clip, n in
            enumerate(rng.integers(1, 4, size=n_clips))]


class Recorder:
    """Stands for RBFSVM with features of :func:`numbered`: notes the clips, decides by the noise."""

    log = []

    def __init__(self, C, gamma, parts=None):
        self.point = C, gamma

    def fit(self, x, y):
        self.x, self.y = x.copy(), y.copy()
        return self

    def decision_values(self, x):
        self.log.append((self, x[:, 0].astype(int)))
        return -x[:, 1:]  # positive for the first class, which is False


@pytest.fixture
def recorded(monkeypatch):
    """The (Recorder, tested clip of each window) of every SVM of an evaluation in this process."""
    monkeypatch.setattr(autotag, "RBFSVM", Recorder)
    monkeypatch.setattr(Recorder, "log", [])
    return Recorder.log


# the proofs

def test_noise_stays_at_chance_for_every_tag(full_size):
    tags, groups = full_size
    results = evaluate_tags(noise(2359), tags, groups, progress=False)
    assert len(results.scores) == 25 and not results.left_out
    for score in results.scores:
        assert abs(score.accuracy - 0.5) < 4 * np.sqrt(0.25 / score.n_test), score.name
    assert abs(results.mean - 0.5) < 0.02
    assert 0 < results.standard_error < 0.02


def test_a_planted_signal_lifts_its_tag_alone():
    tags, groups = small()
    features = [clip[:, 1:] + noise(len(clip), 3, seed=number) for number, clip in enumerate(numbered(240))]
    for clip in np.flatnonzero(tags[:, 2]):
        features[clip][:, 0] -= 4
    results = evaluate_tags(features, tags, groups, progress=False)
    accuracies = [score.accuracy for score in results.scores]
    assert accuracies[2] > 0.85
    for tag in (0, 1, 3):
        assert abs(accuracies[tag] - 0.5) < 4 * np.sqrt(0.25 / results.scores[tag].n_test)


def test_features_of_the_artist_help_only_where_artists_are_on_both_sides():
    rng = np.random.default_rng(3)
    artist = rng.integers(60, size=600)
    tags = (rng.random((60, 3)) < 0.3)[artist]
    features = rng.normal(size=(60, 8))[artist] + 0.01 * rng.normal(size=(600, 8))
    by_artist = evaluate_tags(features, tags, artist, C=100.0, progress=False)
    by_clip = evaluate_tags(features, tags, None, C=100.0, progress=False)
    assert by_clip.mean > 0.9
    assert by_artist.mean < 0.65


# folds

@pytest.mark.parametrize("n_folds", [2, 3, 5])
def test_folds_share_no_group_and_are_of_about_the_same_size(n_folds):
    for seed in range(5):
        _, groups = small(seed)
        folds = group_folds(groups, n_folds, seed)
        assert all(len(set(folds[groups == group])) == 1 for group in set(groups))
        sizes = np.bincount(folds, minlength=n_folds)
        assert sizes.min() > 0 and np.ptp(sizes) <= max(Counter(groups).values())


def test_folds_of_the_whole_list_differ_by_a_clip_at_most(full_size):
    assert np.ptp(np.bincount(group_folds(full_size[1], 3, 0))) <= 1


def test_unknown_artists_are_different_ones():
    folds = group_folds(["", "a", "a", None] + [""] * 96, 3, 0)
    assert np.ptp(np.bincount(folds)) <= 1 and folds[1] == folds[2]


def test_folds_depend_on_the_seed_alone():
    _, groups = small()
    np.testing.assert_array_equal(group_folds(groups, 3, 1), group_folds(list(groups), 3, 1))
    assert (group_folds(groups, 3, 1) != group_folds(groups, 3, 2)).any()


# draws

def test_draws_are_balanced_complete_and_share_no_group(recorded):
    tags, groups = small()
    results = evaluate_tags(numbered(240), tags, groups, progress=False)
    assert len(recorded) == 12
    for (tag, fold), (model, tested) in zip(itertools.product(range(4), range(3)), recorded):
        train, test = np.unique(model.x[:, 0].astype(int)), np.unique(tested)
        assert not set(groups[train]) & set(groups[test])
        for clips in (train, test):
            assert 2 * tags[clips, tag].sum() == len(clips) > 0
        used = np.r_[train, test][tags[np.r_[train, test], tag]]
        np.testing.assert_array_equal(np.sort(used), np.flatnonzero(tags[:, tag]))  # no clip with the tag is lost
        np.testing.assert_array_equal(model.y, tags[model.x[:, 0].astype(int), tag])
    for score in results.scores:
        assert len(set(score.clips)) == len(score.clips) == score.n_test == 2 * score.n_positive


def test_a_tag_of_most_clips_is_balanced_by_those_without(recorded):
    tags, groups = small()
    score = evaluate_tags(numbered(240), ~tags[:, :1], groups, progress=False).scores[0]
    assert score.n_positive == (~tags[:, 0]).sum() and score.n_test == 2 * tags[:, 0].sum()
    assert set(np.flatnonzero(tags[:, 0])) <= set(score.clips)


def test_clips_without_the_tag_are_drawn_from_all_of_them(recorded):
    tags, groups = small()
    drawn = [set(evaluate_tags(numbered(240), tags[:, :1], groups, seed=seed, progress=False).scores[0].clips)
             for seed in range(40)]
    assert len(set(map(frozenset, drawn))) == 40
    assert set.union(*drawn) == set(range(240))


def test_all_windows_of_a_clip_are_used_and_its_label_is_that_of_their_mean(recorded):
    tags, groups = small()
    features = numbered(240)
    results = evaluate_tags(features, tags, groups, progress=False)
    for model, tested in recorded:
        clips = np.r_[model.x[:, 0].astype(int), tested]
        assert all(count == len(features[clip]) for clip, count in Counter(clips.tolist()).items())
    for tag, score in enumerate(results.scores):
        expected = [(features[clip][:, 1].mean() > 0) == tags[clip, tag] for clip in score.clips]
        assert list(score.correct) == expected
        folds = np.split(np.array(expected), np.flatnonzero(np.diff(score.clips) < 0) + 1)
        assert score.accuracy == pytest.approx(np.mean(expected))
        assert score.fold_accuracies == pytest.approx([fold.mean() for fold in folds])
        assert score.fold_error == pytest.approx(np.std(score.fold_accuracies, ddof=1) / np.sqrt(3))


def test_the_seed_draws_the_folds_too():
    tags, groups = small(n_tags=1)
    first_folds = []
    for seed in range(5):
        clips = evaluate_tags(noise(240), tags, groups, seed=seed, progress=False).scores[0].clips
        folds = np.split(np.array(clips), np.flatnonzero(np.diff(clips) < 0) + 1)
        first_folds.append(frozenset(folds[0][tags[folds[0], 0]]))  # with the tag: all of them, however it is drawn
    assert len(set(first_folds)) == 5


def test_draws_do_not_depend_on_features_nor_on_later_tags():
    tags, groups = small()
    a = evaluate_tags(noise(240), tags, groups, progress=False)
    b = evaluate_tags(numbered(240), tags[:, :2], groups, C=10.0, gamma=0.3, progress=False)
    assert [score.clips for score in a.scores][:2] == [score.clips for score in b.scores]


def test_training_draws_do_not_depend_on_features_nor_on_the_choice_of_parameters(recorded):
    tags, groups = small()
    evaluate_tags(numbered(240), tags, groups, progress=False)
    plain = [np.unique(model.x[:, 0]) for model, _ in recorded]
    recorded.clear()
    evaluate_tags([np.repeat(clip, 2, axis=0) for clip in numbered(240)], tags, groups, C=(1.0, 2.0), progress=False)
    chosen = [np.unique(model.x[:, 0]) for model, _ in recorded[6::7]]  # after 3 inner folds of 2 points
    for one, other in zip(plain, chosen, strict=True):
        np.testing.assert_array_equal(one, other)


# the same numbers again

def test_same_seed_same_numbers_whatever_the_number_of_processes():
    tags, groups = small()
    features = np.random.default_rng(1).normal(size=(240, 3, 400)).astype(np.float32)  # large enough to be mapped
    alone = evaluate_tags(features, tags, groups, C=(1.0, 5.0), jobs=1, progress=False)
    assert alone == evaluate_tags(list(features), tags, groups, C=[5.0, 1.0], jobs=2, progress=False)
    assert alone != evaluate_tags(features, tags, groups, C=(1.0, 5.0), seed=1, progress=False)


def test_scale_and_offset_of_the_features_change_nothing():
    tags, groups = small()
    features = noise(240).astype(np.float64)
    plain = evaluate_tags(features, tags, groups, progress=False)
    scaled = evaluate_tags(features * [1000, 1, 0.01, 8] + 5, tags, groups, progress=False)
    assert [score.correct for score in plain.scores] == [score.correct for score in scaled.scores]


# C and gamma

def test_default_gamma_is_one_over_the_number_of_features():
    tags, groups = small()
    results = evaluate_tags(noise(240, 5), tags, groups, progress=False)
    assert {score.parameters for score in results.scores} == {((1.0, 0.2),) * 3}
    assert results == evaluate_tags(noise(240, 5), tags, groups, gamma=[0.2], progress=False)


def test_inner_validation_finds_the_gamma_that_works():
    tags, groups = small(n_clips=600)
    features = noise(600, 2)
    ring = 1 + 2 * tags[:, :1]  # tagged clips lie around the others: no line tells them apart
    features *= ring / np.linalg.norm(features, axis=1, keepdims=True)
    results = evaluate_tags(features, tags[:, :1], groups, C=(1e-3, 1.0), gamma=(1e-7, 1.0, 1e7), progress=False)
    assert results.scores[0].parameters == ((1.0, 1.0),) * 3
    assert results.mean > 0.95
    fixed = evaluate_tags(features, tags[:, :1], groups, C=1.0, gamma=1.0, progress=False)
    assert results.scores[0].correct == fixed.scores[0].correct


def test_inner_validation_stays_in_the_training_draw_and_shares_no_group(recorded):
    tags, groups = small()
    evaluate_tags(numbered(240), tags, groups, C=(2.0, 1.0), gamma=(0.5, 0.1), progress=False)
    runs = [recorded[start:start + 13] for start in range(0, len(recorded), 13)]  # 4 points in 3 inner folds, the SVM
    assert len(runs) == 12
    for *inner, (final, _) in runs:
        draw = set(final.x[:, 0].astype(int))
        assert final.point == (1.0, 0.1)  # all were equal
        for at in range(0, 12, 3):
            parts = [(set(model.x[:, 0].astype(int)), set(tested)) for model, tested in inner[at:at + 3]]
            for train, test in parts:
                assert train | test == draw and not train & test
                assert not set(groups[list(train)]) & set(groups[list(test)])
            assert sum(len(test) for _, test in parts) == len(draw)


# tags left out, and bad input

def test_tags_that_cannot_be_evaluated_are_named_and_not_in_the_mean():
    tags, groups = small(n_tags=2)
    groups = groups.astype(object)
    few = np.arange(240) % 26 == 0  # ten
    groups[100:112] = "prolific"
    one_artist = groups == "prolific"
    columns = np.column_stack([tags[:, 0], np.zeros(240, bool), np.ones(240, bool), few, ~few, one_artist, tags[:, 1]])
    names = ["rock", "none", "all", "few", "not few", "one artist", "jazz"]
    results = evaluate_tags(noise(240), columns, groups, names=names, min_clips=11, progress=False)
    enough = evaluate_tags(noise(240), columns, groups, names=names, min_clips=10, progress=False)
    assert [score.name for score in enough.scores] == ["rock", "few", "not few", "jazz"]
    assert [score.name for score in results.scores] == ["rock", "jazz"]
    reasons = dict(results.left_out)
    assert list(reasons) == ["none", "all", "few", "not few", "one artist"]
    assert reasons["none"].startswith("0 clips with the tag") and reasons["all"].startswith("0 clips without")
    assert reasons["few"].startswith("10 clips with the") and reasons["not few"].startswith("10 clips without the")
    assert "too few groups" in reasons["one artist"]
    accuracies = [score.accuracy for score in results.scores]
    assert results.mean == pytest.approx(sum(accuracies) / 2)
    assert results.standard_error == pytest.approx(abs(accuracies[0] - accuracies[1]) / 2)


def test_a_tag_whose_training_clips_cannot_be_divided_by_group_is_left_out():
    groups = np.repeat(list("abcdefgh"), 20)
    tags = np.column_stack([np.isin(groups, list("abc")), np.arange(160) % 3 == 0])
    assert not evaluate_tags(noise(160), tags, groups, n_folds=2, seed=2, progress=False).left_out
    (name, why), = evaluate_tags(noise(160), tags, groups, n_folds=2, seed=2, C=(1, 2), progress=False).left_out
    assert name == "0" and "to choose C and gamma" in why


def test_one_tag_has_no_standard_error():
    tags, groups = small(n_tags=1)
    assert np.isnan(evaluate_tags(noise(240), tags, groups, progress=False).standard_error)


@pytest.mark.parametrize("change, message", [
    ({"features": np.full((30, 2), np.nan)}, r"clip 0 \(of 30.* NaN"),
    ({"features": [np.zeros((2, 2))] * 29 + [np.full((1, 2), np.inf)]}, "clip 29 .* infinite"),
    ({"features": [np.zeros((2, 2))] * 29 + [np.zeros((0, 2))]}, "clip 29 .* are empty"),
    ({"features": [np.zeros((2, 2))] * 29 + [np.zeros((2, 3))]}, "clip 29 .* one d for all clips"),
    ({"features": [np.zeros(2)] * 30}, r"clip 0 .* must be \[n_windows, d\]"),
    ({"features": []}, "no clips"), ({"features": np.zeros((0, 2))}, "no clips"),
    ({"features": np.zeros((29, 2))}, "29 clips"),
    ({"tags": np.zeros((30, 2))}, "float64"), ({"tags": np.zeros(30, bool)}, "true or false for 30 clips"),
    ({"tags": np.zeros((30, 2), bool)}, "no tag can be evaluated.*0 clips with the tag"),
    ({"tags": np.zeros((30, 0), bool)}, "there are no tags"),
    ({"groups": ["a"] * 29}, "30 clips need as many groups, not 29"),
    ({"groups": ["a"] * 29 + ["b"]}, "2 groups .* n_folds=3"), ({"n_folds": 31}, "n_folds=31"),
    ({"n_folds": 1}, "n_folds"), ({"n_folds": 2.0}, "n_folds"), ({"names": ["rock"]}, "2 tags need as many names"),
    ({"seed": -1}, "seed"), ({"min_clips": 0}, "min_clips"), ({"jobs": 0}, "jobs"), ({"C": ()}, r"C is \(\)"),
    ({"C": 0.0}, "C is 0.0"), ({"gamma": [0.1, -1.0]}, "gamma is -1.0"), ({"gamma": "scale"}, "gamma 'scale'"),
    ({"C": float("nan")}, "C is nan")])
def test_refuses_before_anything_is_trained(monkeypatch, change, message):
    arguments = {"features": noise(30, 2), "tags": np.arange(60).reshape(30, 2) % 3 == 0, "min_clips": 3,
                 "progress": False}
    assert len(evaluate_tags(**arguments).scores) == 2
    monkeypatch.setattr(autotag, "_score_draw", None)
    with pytest.raises(DBNError, match=message):
        evaluate_tags(**{**arguments, **change})


def test_recorder_has_the_face_of_the_real_svm():
    x, y = np.array([[0.0, 1.0], [1.0, -1.0]]), np.array([True, False])
    for model in (Recorder(1.0, 1.0), RBFSVM(1.0, 1.0)):
        values = model.fit(x, y).decision_values(x)
        assert values.shape == (2, 1) and values[0] < 0 < values[1]
