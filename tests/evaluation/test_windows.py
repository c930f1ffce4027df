"""Windows of learned features and of MFCCs, and the SVMs on them, beside the functions that they are made of."""
import numpy as np
import pytest
import soundfile

import dbn.evaluation.windows as windows
from dbn.audio import FrameStore, load_audio
from dbn.audio.scaling import Scaling
from dbn.datasets.corpus import Corpus, Track
from dbn.datasets.splits import Split
from dbn.evaluation.svm import vote
from dbn.features.aggregate import aggregate
from dbn.features.mfcc import mfcc
from dbn.trained.model import Model

SETTINGS = {"sample_rate": 8000, "frame_length": 64, "hop_length": 32, "window": None}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    root = tmp_path_factory.mktemp("windows")
    rng = np.random.default_rng(0)
    for name in "abc":
        soundfile.write(root / f"{name}.wav", rng.uniform(-0.5, 0.5, 8000), 8000)
    tracks = tuple(Track(name, root / f"{name}.wav", "x") for name in "abc")
    return FrameStore.build(Corpus("folder", ("x",), tracks), root / "frames", **SETTINGS)


def test_windows_of_the_layers(store):
    rng = np.random.default_rng(1)
    sizes = (33, 5, 4, 2)
    model = Model([rng.normal(size=shape).astype("f4") for shape in zip(sizes, sizes[1:])],
                  [rng.normal(size=n).astype("f4") for n in sizes[1:]], [np.zeros(n, "f4") for n in sizes[:2]],
                  "bernoulli", "softmax", Scaling("max").fit([store.frames]), ("x", "y"), SETTINGS)
    found = windows.learned_windows(model, store, 0.5, 0.25)
    assert list(found) == ["a", "b", "c"]
    for song in store.songs:
        layers = np.hstack(model.activations(store.frames[song.start:song.stop]))
        np.testing.assert_allclose(found[song.name], aggregate(layers, 250, 0.5, 0.25), atol=1e-6)


@pytest.mark.parametrize("jobs", [1, 2])
def test_windows_of_mfccs(store, jobs):
    paths = {name: store.path.parents[1] / f"{name}.wav" for name in "abc"}
    found = windows.mfcc_windows(paths, jobs, 0.5, 0.25)
    for name, path in paths.items():
        np.testing.assert_array_equal(found[name], aggregate(mfcc(load_audio(path)), 22050 / 512, 0.5, 0.25))


def of_songs(rng, n_songs, shift, n=4):
    """Windows of songs of two classes, "0" and "1", and the class of each."""
    labels = {f"song {i}": str(i % 2) for i in range(n_songs)}
    return {name: rng.normal(size=(n, 3)) + shift * int(label) for name, label in labels.items()}, labels


def test_c_and_gamma_come_from_the_validation_songs_and_no_test_song():
    rng = np.random.default_rng(0)
    x, labels = of_songs(rng, 24, 3.0)
    names = list(x)
    split = Split(tuple(names[:12]), tuple(names[12:18]), tuple(names[18:]))
    _, other = of_songs(rng, 24, 0.0)
    answers = windows.test_answers({"clear": x, "noise": {name: rng.normal(size=(4, 3)) for name in x}}, labels, split)
    assert answers["clear"].all() and answers["clear"].dtype == bool and len(answers["noise"]) == 6
    svm, accuracy = windows.chosen_svm(x, labels, split)
    assert accuracy == 1
    garbled = x | {name: x[name] * 100 for name in split.test}
    again, _ = windows.chosen_svm(garbled, labels, split)
    assert (again.C, again.gamma) == (svm.C, svm.gamma)
    np.testing.assert_array_equal(again.decision_values(x[names[0]]), svm.decision_values(x[names[0]]))


def test_an_svm_learns_from_training_songs_and_is_chosen_on_validation_songs(monkeypatch):
    """What is handed to `select`, of songs of several lengths, in an order that is not theirs."""
    rng, seen = np.random.default_rng(0), []
    labels = {f"song {i}": str(i % 2) for i in range(12)}
    x = {name: rng.normal(size=(rng.integers(2, 6), 3)) for name in labels}
    names = list(rng.permutation(list(labels)))
    split = Split(tuple(names[:6]), tuple(names[6:10]), tuple(names[10:]))

    def select(train_x, train_y, valid_songs, valid_labels, grid, jobs):
        seen.append((train_x, train_y, valid_songs, valid_labels, grid))
        return select_really(train_x, train_y, valid_songs, valid_labels, grid, jobs)

    select_really = windows.select
    monkeypatch.setattr(windows, "select", select)
    svm, _ = windows.chosen_svm(x, labels, split)
    answers = windows.test_answers({"some": x}, labels, split)
    for train_x, train_y, valid_songs, valid_labels, grid in seen:
        np.testing.assert_array_equal(train_x, np.concatenate([x[name] for name in split.train]))
        assert list(train_y) == [labels[name] for name in split.train for _ in x[name]]
        for song, name in zip(valid_songs, split.valid, strict=True):
            np.testing.assert_array_equal(song, x[name])
        assert list(valid_labels) == [labels[name] for name in split.valid] and grid is windows.GRID
    assert len(seen) == 2
    assert answers["some"].tolist() == [vote(svm.predict(x[name])) == labels[name] for name in split.test]


def test_many_windows_are_taken_evenly(monkeypatch):
    x, labels = of_songs(np.random.default_rng(0), 24, 3.0, n=50)
    names, taken = list(x), []
    monkeypatch.setattr(windows, "MOST_WINDOWS", 100)
    monkeypatch.setattr(windows, "select", lambda train_x, train_y, *_: (taken.append((train_x, train_y)), [
        {"song_accuracy": 1.0}]))
    windows.chosen_svm(x, labels, Split(tuple(names[:12]), tuple(names[12:18]), tuple(names[18:])))
    [(train_x, train_y)] = taken
    assert len(train_x) == 100 and np.bincount(train_y.astype(int)).tolist() == [50, 50]
