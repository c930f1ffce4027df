"""The fast SVM against scikit-learn's, its rounding bound against double precision, votes and model selection."""
import itertools

import numpy as np
import pytest
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from dbn.errors import DBNError
from dbn.evaluation import svm
from dbn.evaluation.svm import RBFSVM, select, vote


def blobs(n_classes, n, d, seed=0, spread=1.5):
    """Overlapping Gaussian classes: float32 examples [n, d] of scale and offset that differ by feature, and labels."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(99).normal(size=(n_classes, d))
    y = np.arange(n) % n_classes
    x = centres[y] + spread * rng.normal(size=(n, d))
    return (x * np.geomspace(0.1, 10, d) + np.arange(d)).astype(np.float32), y


def reference(C, gamma, x, y):
    """A plain SVC with its standardisation, as functions of raw examples."""
    scaler = StandardScaler().fit(x.astype(np.float64))
    plain = SVC(C=C, gamma=gamma, kernel="rbf", decision_function_shape="ovo")
    plain.fit(scaler.transform(x.astype(np.float64)), y)
    return plain, lambda examples: scaler.transform(np.asarray(examples, np.float64))


@pytest.mark.parametrize("n_classes", [2, 3, 10])
@pytest.mark.parametrize("C, multiple", [(0.1, 1), (10, 0.1), (1000, 1), (10, 10)])
def test_labels_and_decision_values_are_those_of_svc(n_classes, C, multiple):
    x, y = blobs(n_classes, 400, 12)
    tests = np.concatenate([blobs(n_classes, 2500, 12, seed=1)[0], x, x[:100] * 30])
    plain, scaled = reference(C, multiple / 12, x, y)
    model = RBFSVM(C, multiple / 12).fit(x, y)
    np.testing.assert_array_equal(model.predict(tests), plain.predict(scaled(tests)))
    expected = plain.decision_function(scaled(tests)).reshape(len(tests), -1)
    values = model.decision_values(tests)
    assert values.shape == (len(tests), n_classes * (n_classes - 1) // 2)
    # scikit-learn counts two classes the other way round
    np.testing.assert_allclose(values, -expected if n_classes == 2 else expected, rtol=0, atol=1e-5)


def test_parts_of_one_length():
    """Beside a plain SVC on examples whose two parts were brought to the lengths √5 and √7 by a loop."""
    (x, y), (tests, _) = blobs(3, 200, 12), blobs(3, 500, 12, seed=1)
    scaler = StandardScaler().fit(x.astype(float))

    def scaled(examples):
        return np.array([np.r_[z[:5] * np.sqrt(5) / np.linalg.norm(z[:5]), z[5:] * np.sqrt(7) / np.linalg.norm(z[5:])]
                         for z in scaler.transform(examples.astype(float))])

    model = RBFSVM(10, 0.1, parts=(5, 7)).fit(x, y)
    plain = SVC(C=10, gamma=0.1).fit(scaled(x), y)
    np.testing.assert_array_equal(model.predict(tests), plain.predict(scaled(tests)))
    assert (model.predict(tests) != RBFSVM(10, 0.1).fit(x, y).predict(tests)).any()
    middle = np.tile(model.mean_, (2, 1))  # a part of zeros has no length to change
    assert np.isfinite(model.decision_values(middle)).all()
    with pytest.raises(DBNError, match="do not add up to the 12 features"):
        RBFSVM(10, 0.1, parts=(5, 6)).fit(x, y)


@pytest.mark.parametrize("n_classes", [2, 3, 4, 6])
def test_every_pair_decides_with_the_right_sign(n_classes):
    """One tight cluster a class: at a class's centre each of its pairs must favour it."""
    x = np.repeat(5 * np.eye(n_classes), 10, axis=0) + 0.1 * np.random.default_rng(0).normal(
        size=(10 * n_classes, n_classes))
    model = RBFSVM(10, 0.5).fit(x, np.repeat(np.arange(n_classes), 10))
    values = model.decision_values(5 * np.eye(n_classes))
    for number, (i, j) in enumerate(itertools.combinations(range(n_classes), 2)):
        assert values[i, number] > 0.5 and values[j, number] < -0.5


def test_labels_agree_at_exact_ties():
    """Classes at the corners of a regular figure, tested on every axis of symmetry, where decision values vanish."""
    for n_classes in (2, 3, 4, 8):
        angles = 2 * np.pi * np.arange(n_classes) / n_classes
        corners = np.column_stack([np.cos(angles), np.sin(angles)])
        x, y = np.repeat(corners, 3, axis=0), np.repeat(np.arange(n_classes), 3)
        bisectors = np.arange(2 * n_classes) * np.pi / n_classes
        rays = np.column_stack([np.cos(bisectors), np.sin(bisectors)])
        tests = np.concatenate([radius * rays for radius in (0, 1e-9, 0.3, 1, 4)])
        model = RBFSVM(10, 0.5).fit(x, y)
        np.testing.assert_array_equal(model.predict(tests), model.svc_.predict(model._standardise(tests)))


def test_labels_agree_where_decision_values_are_near_zero():
    """Points bisected down to the border between two classes, to within single and then double precision."""
    x, y = blobs(3, 300, 5)
    model = RBFSVM(10, 0.2).fit(x, y)
    near, far = x[y == 0][:60].astype(float), x[y == 1][:60].astype(float)
    home = model.predict(near)
    points = []
    for _ in range(60):
        middle = (near + far) / 2
        same = model.svc_.predict(model._standardise(middle)) == home
        near, far = np.where(same[:, None], middle, near), np.where(same[:, None], far, middle)
        points += [near, far]
    points = np.concatenate(points)
    np.testing.assert_array_equal(model.predict(points), model.svc_.predict(model._standardise(points)))


def test_contradicting_duplicates_leave_an_intercept_and_nothing_else():
    """The same examples under every label: coefficients cancel and all decision values are zero up to rounding."""
    x = np.tile(np.random.default_rng(0).normal(size=(20, 3)), (4, 1))
    model = RBFSVM(1, 0.3).fit(x, np.repeat(np.arange(4), 20))
    tests = np.concatenate([x[:20], x[:20] + 0.5])
    np.testing.assert_array_equal(model.predict(tests), model.svc_.predict(model._standardise(tests)))


@pytest.mark.parametrize("d", [1, 40, 300])
@pytest.mark.parametrize("multiple", [0.01, 1, 30])
def test_rounding_bound_holds_with_a_margin(d, multiple):
    x, y = blobs(5, 400, d)
    model = RBFSVM(100, multiple / d).fit(x, y)
    z = model._standardise(np.concatenate([x, blobs(5, 400, d, seed=3)[0], x * 3]))
    single, double = model._expansions
    values, errors = single(z)
    assert np.all(np.abs(values - double(z)[0]) <= errors / 4)


def test_election_is_settled_only_if_no_doubtful_sign_can_turn_it():
    rng = np.random.default_rng(0)
    n_classes, pairs = 4, list(itertools.combinations(range(4), 2))

    def winner(signs):
        votes = [0] * n_classes
        for positive, (i, j) in zip(signs, pairs):
            votes[i if positive else j] += 1
        return votes.index(max(votes))

    values = rng.normal(size=(300, 6))
    errors = np.where(rng.random((300, 6)) < 0.3, 10.0, 0.0)
    values[0] = np.nan
    winners, settled = svm._elect(values, errors, n_classes)
    assert not settled[0] and settled[1:].any() and not settled[1:].all()
    for row in range(1, 300):
        assert winners[row] == winner(values[row] > 0)
        choices = [(True, False) if e else (v > 0,) for v, e in zip(values[row], errors[row])]
        assert settled[row] or errors[row].any()
        if settled[row]:
            assert {winner(signs) for signs in itertools.product(*choices)} == {winners[row]}


def test_blocks_and_kinds_of_labels_do_not_matter(monkeypatch):
    x, y = blobs(3, 200, 4)
    labels, values = RBFSVM(1, 0.25).fit(x, y).predict(x), RBFSVM(1, 0.25).fit(x, y).decision_values(x)
    monkeypatch.setattr(svm, "ROWS", 7)
    monkeypatch.setattr(svm, "COLUMNS", 5)
    named = RBFSVM(1, 0.25).fit(x, np.array(["blues", "jazz", "rock"])[y])
    np.testing.assert_array_equal(named.predict(x), np.array(["blues", "jazz", "rock"])[labels])
    np.testing.assert_allclose(named.decision_values(x), values, atol=1e-10)


def test_scale_offset_and_constant_features_change_nothing():
    x, y = blobs(3, 200, 4)
    tests = blobs(3, 300, 4, seed=1)[0]
    changed = np.column_stack([x * 7 + 3, np.full(200, 0.1, np.float32)])
    tests_changed = np.column_stack([tests * 7 + 3, np.full(300, 0.1, np.float32)])
    plain, other = RBFSVM(1, 0.25).fit(x, y), RBFSVM(1, 0.25).fit(changed, y)
    assert other.scale_[-1] == 1
    np.testing.assert_allclose(other.decision_values(tests_changed), plain.decision_values(tests), atol=1e-4)


def test_labels_agree_where_the_kernel_all_but_vanishes_in_single_precision():
    """Two classes that mirror each other (intercept 0), tested so far off that their kernel values are subnormal."""
    rng = np.random.default_rng(22)
    half = np.round(64 * rng.normal(size=(4, 2))) / 64
    model = RBFSVM(0.3, 0.5).fit(np.concatenate([half, -half]), np.repeat([0, 1], 4))
    assert model.svc_.intercept_ == 0
    angles = rng.uniform(0, 2 * np.pi, 40_000)
    far = np.column_stack([np.cos(angles), np.sin(angles)]) * rng.uniform(12, 17, (40_000, 1)) * model.scale_
    np.testing.assert_array_equal(model.predict(far), model.svc_.predict(model._standardise(far)))


def test_examples_far_beyond_single_precision_get_libsvm_s_label():
    x, y = blobs(3, 100, 4)
    model = RBFSVM(1, 0.25).fit(x, y)
    far = np.array([[1e30, 0, 0, 0], [1e200, -1e200, 0, 0]])
    np.testing.assert_array_equal(model.predict(far), model.svc_.predict(model._standardise(far)))


def test_vote():
    assert vote([2, 0, 0, 1]) == 0
    assert vote(["rock", "jazz", "rock"]) == "rock"
    assert vote([5]) == 5


def test_equal_votes_go_to_the_class_that_got_there_first_whatever_its_number():
    song = np.array([3, 1, 1, 3, 0])
    assert vote(song) == 1
    for numbers in itertools.permutations(range(4)):
        assert vote(np.array(numbers)[song]) == numbers[1]


def test_predict_songs_is_the_vote_of_each_song():
    x, y = blobs(3, 200, 4)
    model = RBFSVM(1, 0.25).fit(x, y)
    songs = [x[y == 2][:9], x[:1], x[y == 0][:30]]
    assert list(model.predict_songs(songs, progress=False)) == [vote(model.predict(song)) for song in songs]
    assert list(model.predict_songs(songs[::2], progress=False)) == [2, 0]


GRID = {"C": (0.01, 1, 100), "gamma_times_features": (0.1, 1, 50)}


@pytest.fixture(scope="module")
def choice():
    """Training examples, validation songs of 4 to 9 examples, and their labels."""
    x, y = blobs(3, 150, 6, spread=2.5)
    numbers = np.arange(30) % 3
    songs = [blobs(3, 300, 6, seed=s + 10, spread=2.5)[0][c::3][:4 + s % 6] for s, c in enumerate(numbers)]
    return x, y, songs, numbers


def without_seconds(log):
    return [{name: value for name, value in row.items() if name != "seconds"} for row in log]


def test_select_takes_the_best_point_and_logs_every_one(choice):
    x, y, songs, labels = choice
    model, log = select(x, y, songs, labels, GRID, progress=False)
    assert [(row["C"], row["gamma"]) for row in log] == [
        (C, pytest.approx(g / 6)) for C, g in itertools.product(GRID["C"], GRID["gamma_times_features"])]
    ranks = []
    for row in log:
        plain, scaled = reference(row["C"], row["gamma"], x, y)
        predictions = [plain.predict(scaled(song)) for song in songs]
        votes = np.array([vote(p) for p in predictions])
        assert row["song_accuracy"] == pytest.approx(np.mean(votes == labels))
        truth = np.repeat(labels, [len(song) for song in songs])
        assert row["example_accuracy"] == pytest.approx(np.mean(np.concatenate(predictions) == truth))
        assert row["n_support"] == len(plain.support_) and row["seconds"] >= 0
        ranks.append((row["song_accuracy"], row["example_accuracy"], -row["C"], -row["gamma"]))
    assert len({rank[0] for rank in ranks}) > 1
    best = log[ranks.index(max(ranks))]
    assert (model.C, model.gamma) == (best["C"], best["gamma"])
    assert model.svc_.n_support_.sum() == best["n_support"]
    np.testing.assert_allclose(model.mean_, x.mean(axis=0), rtol=1e-5)


def test_select_prefers_the_smaller_c_and_gamma_of_equals():
    x, y = blobs(2, 60, 3, spread=0.01)
    model, log = select(x, y, [x[y == 0], x[y == 1]], [0, 1], {"C": (9, 3), "gamma_times_features": (0.6, 0.3)},
                        progress=False)
    assert {row["song_accuracy"] for row in log} == {row["example_accuracy"] for row in log} == {1.0}
    assert (model.C, model.gamma) == (3, pytest.approx(0.1))


def test_select_does_not_depend_on_the_number_of_workers(choice):
    alone, log = select(*choice, GRID, jobs=1, progress=False)
    together, same_log = select(*choice, GRID, jobs=2, progress=False)
    assert without_seconds(log) == without_seconds(same_log)
    np.testing.assert_array_equal(alone.decision_values(choice[0]), together.decision_values(choice[0]))


@pytest.mark.parametrize("change, message", [
    ({"valid_songs": [], "valid_labels": []}, "no songs"),
    ({"valid_songs": [np.zeros((3, 2)), np.zeros((0, 2))]}, r"song 1 \(of 2"),
    ({"valid_songs": [np.zeros((3, 2)), np.full((2, 2), np.nan)]}, "song 1 hold NaN"),
    ({"valid_songs": [np.zeros((3, 2)), np.zeros((3, 5))]}, r"song 1 must be \[n, 2\]"),
    ({"valid_labels": [0]}, "2 validation songs need as many labels"),
    ({"valid_labels": [0, 7]}, "class 7 has validation songs but no training example"),
    ({"train_x": np.full((4, 2), np.inf)}, "training examples hold NaN or infinite"),
    ({"train_x": np.zeros(4)}, "training examples must be"),
    ({"train_y": [0, 1]}, "4 training examples need as many labels"),
    ({"train_y": [0, 0, 0, 0], "valid_labels": [0, 0]}, "two classes"),
    ({"grid": {"C": []}}, "C and gamma_times_features"),
    ({"grid": {"C": [], "gamma_times_features": [1]}}, "C and gamma_times_features"),
    ({"grid": {"C": [-1.0], "gamma_times_features": [1]}}, "C is -1.0"),
    ({"grid": {"C": [1.0], "gamma_times_features": [0]}}, "gamma is 0"),
    ({"jobs": 0}, "jobs is 0")])
def test_select_refuses(change, message):
    arguments = {"train_x": np.arange(8.0).reshape(4, 2), "train_y": [0, 1, 0, 1],
                 "valid_songs": [np.zeros((3, 2))] * 2, "valid_labels": [0, 1],
                 "grid": {"C": [1], "gamma_times_features": [1]}, "progress": False}
    with pytest.raises(DBNError, match=message):
        select(**{**arguments, **change})


def test_predict_refuses():
    model = RBFSVM(1, 1).fit(np.arange(8.0).reshape(4, 2), [0, 1, 0, 1])
    with pytest.raises(DBNError, match=r"must be \[n, 2\], not shape \(5, 3\)"):
        model.predict(np.zeros((5, 3)))
    with pytest.raises(DBNError, match="NaN"):
        model.decision_values(np.full((1, 2), np.nan))
    with pytest.raises(DBNError, match="song 0 .* has no frames"):
        model.predict_songs([np.zeros((0, 2))])
    with pytest.raises(DBNError, match="without frames"):
        vote([])
    assert model.predict(np.zeros((0, 2))).shape == (0,)
