"""Pre-training of a convolutional DBN on songs: pieces, resuming, divergence; and the model file that comes of it."""
import os

import numpy as np
import pytensor
import pytest
from sklearn.linear_model import LogisticRegression

import dbn.training.epochs
from dbn.audio.frames import FrameSet
from dbn.audio.scaling import Scaling
from dbn.cdbn import ConvolutionalDBN
from dbn.errors import DBNError, DivergedError, ModelFileError, TrainingError
from dbn.graph.streams import RandomStreams
from dbn.trained.convolutional import BLOCKS, ConvolutionalModel
from dbn.trained.model import load_model, save_model
from dbn.training.convolutional import piece_starts, train_convolutional
from dbn.training.epochs import CompiledPieces
from dbn.training.settings import ConvolutionalSettings
from dbn.training.state import RunState
from ramps import N_BINS, ramps
from small_network import forget_compiled, leave_uncompiled

SETTINGS = {"hidden_layers_sizes": (16, 6), "widths": (3, 3), "pools": (2, 2), "visible": "bernoulli",
            "pretrain_lr": 0.5, "pretrain_epochs": 3, "piece_blocks": 4, "batch_size": 10, "momentum": 0.9,
            "weight_decay": 0.0, "sparsity_cost": 0.1, "sparsity_target": 0.1}


def settings(**changes):
    return ConvolutionalSettings(**SETTINGS | changes)


def song_set(songs):
    stops = np.cumsum([0] + [len(song) for song in songs])
    return FrameSet(np.concatenate(songs), list(zip(stops, stops[1:])))


@pytest.fixture
def quick(monkeypatch):
    leave_uncompiled(monkeypatch)


@pytest.fixture(scope="module")
def songs():
    """Of different lengths; the last one is shorter than a piece."""
    whole, _ = ramps(20, n_rounds=6, seed=0)
    return [*(song[:len(song) - i % 7] for i, song in enumerate(whole)), np.ones((9, N_BINS))]


# ------------------------------------------------------------------------------------------------ pieces

def test_pieces_cross_no_end_of_a_song_and_share_no_position():
    bounds, step, overlap = np.cumsum([0, 25, 3, 0, 11, 12, 10]), 4, 2
    seen = set()
    for seed in range(50):
        starts = piece_starts(bounds, step, overlap, np.random.default_rng(seed))
        song = np.searchsorted(bounds, starts, side="right") - 1
        assert (starts + step + overlap <= bounds[song + 1]).all()
        assert np.bincount(song, minlength=6).tolist() == [5, 0, 0, 2, 2, 2]
        assert (np.diff(starts)[np.diff(song) == 0] == step).all()
        seen.update(starts - bounds[song])
    assert {0, 1, 2, 3} <= seen and piece_starts(np.array([0, 3]), 4, 2, np.random.default_rng(0)).size == 0


# ------------------------------------------------------------------------------------------------ the loop

def values_of(result):
    return [value.tobytes() for value in result.dbn.get_values()]


def test_a_run_that_was_killed_ends_with_the_same_bits(songs, quick, tmp_path, monkeypatch):
    whole = train_convolutional(song_set(songs), None, 0, settings(), progress=False)
    assert [(record["layer"], record["epoch"]) for record in whole.history] == [
        (1, 1), (1, 2), (1, 3), (2, 1), (2, 2), (2, 3)]
    costs = [record["cost"] for record in whole.history]
    assert costs[2] > costs[0] and costs[5] > costs[3]
    finish_epoch, finished = RunState.finish_epoch, []

    def killed(self, *arguments, **record):
        finish_epoch(self, *arguments, **record)
        self.save()
        finished.append(record)
        if len(finished) in (2, 4):
            raise KeyboardInterrupt

    monkeypatch.setattr(RunState, "finish_epoch", killed)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            train_convolutional(song_set(songs), None, 0, settings(), tmp_path, "ramps", progress=False)
    for _ in range(2):  # the second finds all done
        resumed = train_convolutional(song_set(songs), None, 0, settings(), tmp_path, "ramps", progress=False)
        assert values_of(resumed) == values_of(whole)
        assert [record["cost"] for record in resumed.history] == costs
    assert len(finished) == 6 and {"checkpoint.npz", "history.jsonl"} <= set(os.listdir(tmp_path))
    for other in (song_set(songs[:-1]), song_set([np.concatenate(songs[:2]), *songs[2:]])):
        with pytest.raises(TrainingError, match="other settings or other data"):
            train_convolutional(other, None, 0, settings(), tmp_path, "ramps", progress=False)


def test_every_epoch_cuts_the_songs_orders_the_pieces_and_draws_anew(songs, quick, monkeypatch):
    cuts, orders, seeds = [], [], []
    run, set_pieces, seed = CompiledPieces.run, CompiledPieces.set_pieces, RandomStreams.seed
    monkeypatch.setattr(RandomStreams, "seed", lambda self, given: (seeds.append(tuple(given)), seed(self, given))[1])
    monkeypatch.setattr(CompiledPieces, "set_pieces", lambda self, starts, labels: (
        cuts.append(tuple(starts)), set_pieces(self, starts, labels))[1])
    monkeypatch.setattr(CompiledPieces, "run", lambda self, order, *more: (
        orders.append(tuple(order)), run(self, order, *more))[1])
    chosen = settings(hidden_layers_sizes=(4,), widths=(3,), pools=(2,))
    train_convolutional(song_set(songs), None, 0, chosen, progress=False)
    assert len(set(cuts)) == len(set(orders)) == len(set(seeds)) == 3
    assert all(sorted(order) == list(range(len(cuts[0]))) for order in orders)


def test_compiled_epochs_give_the_same_numbers(songs, monkeypatch):
    """As users have them; both layers have the same graph, which is compiled once."""
    def trained():
        plain = settings(pretrain_epochs=1, momentum=0.0, sparsity_cost=0.0)
        return train_convolutional(song_set(songs), None, 0, plain, progress=False)

    forget_compiled(monkeypatch)
    compiled = trained()
    assert len(dbn.training.epochs._made.__dict__) == 1
    leave_uncompiled(monkeypatch)
    for ours, expected in zip(compiled.dbn.get_values(), trained().dbn.get_values()):
        np.testing.assert_allclose(ours, expected, atol=2e-3)  # a draw in a thousand may fall on the other side


def test_what_cannot_be_trained_is_refused(songs, quick):
    with pytest.raises(TrainingError, match="no song has 42 frames of the inputs of layer 1.* piece_blocks below 20"):
        train_convolutional(song_set([song[:40] for song in songs]), None, 0, settings(piece_blocks=20), progress=False)
    with pytest.raises(TrainingError, match="inputs of layer 2"):
        train_convolutional(song_set([song[:12] for song in songs]), None, 0, settings(pretrain_epochs=1),
                            progress=False)
    with pytest.raises(DivergedError, match=r"pre-training of layer 1, epoch 1: .* lower pretrain_lr \(now 1e\+30\)"):
        train_convolutional(song_set(songs), None, 0, settings(pretrain_lr=1e30), progress=False)


@pytest.mark.parametrize("changes, message", [
    ({"hidden_layers_sizes": ()}, "hidden_layers_sizes"), ({"widths": (3,)}, "widths is .* each of the 2 layers"),
    ({"pools": (2, 0)}, "pools is"), ({"visible": "relu"}, "visible is 'relu': choose one of"),
    ({"piece_blocks": 0}, "piece_blocks is 0"), ({"momentum": 1}, "momentum is 1"), ({"pretrain_lr": 0}, "pretrain_lr"),
])
def test_wrong_settings_are_refused(changes, message):
    with pytest.raises(TrainingError, match=message):
        settings(**changes)


def test_a_network_larger_than_a_model_may_be_is_refused():
    with pytest.raises(TrainingError, match="give fewer or shorter bases"):
        settings(hidden_layers_sizes=(10**6, 1), widths=(100, 1)).require_size(80)
    with pytest.raises(TrainingError, match="give shorter bases or blocks"):
        settings(widths=(1000, 1), pools=(1000, 1)).require_size(80)


@pytest.mark.parametrize("options, message", [({"visible": "relu"}, "visible is"), ({"widths": (6,)}, "one of each"),
                                              ({"hidden_layers_sizes": (), "widths": (), "pools": ()}, "at least one")])
def test_a_network_of_wrong_parts_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        ConvolutionalDBN(np.random.default_rng(0), **options)


# ------------------------------------------------------------------------------------------------ what is learned

def song_means(model, songs, layer):
    return np.array([model.features(song)[layer].mean(axis=0) for song in songs])


def test_features_tell_a_rise_from_a_fall_and_those_of_single_frames_do_not(quick):
    songs, labels = ramps(300, n_rounds=3, seed=1)
    for width, pool, tells in ((3, 2, True), (1, 1, False)):
        chosen = settings(hidden_layers_sizes=(16,), widths=(width,), pools=(pool,), pretrain_epochs=12,
                          piece_blocks=20 // pool // 2)
        result = train_convolutional(song_set(songs[:200]), None, 0, chosen, progress=False)
        model = ConvolutionalModel.from_dbn(result.dbn, Scaling("none").fit([songs[0]]))
        features = song_means(model, songs, 0)
        classifier = LogisticRegression(C=1e4, max_iter=1000).fit(features[:200], labels[:200])
        accuracy = classifier.score(features[200:], labels[200:])
        assert accuracy > 0.9 if tells else 0.35 < accuracy < 0.65, (width, accuracy)


# ------------------------------------------------------------------------------------------------ without a compiler

@pytest.fixture(scope="module")
def stack():
    """An untrained network of large random weights, and its model with principal components."""
    cdbn = ConvolutionalDBN(np.random.default_rng(0), n_ins=5, hidden_layers_sizes=(7, 4), widths=(4, 3), pools=(3, 2),
                            dtype="float32")
    rng = np.random.default_rng(1)
    cdbn.set_values([rng.normal(size=value.shape) for value in cdbn.get_values()])
    scaling = Scaling("whitened-pca-5").fit([rng.normal(size=(500, 9)).astype(np.float32)])
    return cdbn, ConvolutionalModel.from_dbn(cdbn, scaling, (), {"sample_rate": 22050}, [{"epoch": 1}], {"seed": 3})


def test_numpy_has_the_graphs_features(stack):
    cdbn, model = stack
    frames = np.random.default_rng(2).normal(size=(800, 9)).astype(np.float32)
    graph = pytensor.function([cdbn.x], cdbn.features(), mode="FAST_COMPILE")
    expected = graph(model.scaling.transform(frames)[None])
    features = model.features(frames)
    assert [each.shape for each in features] == [(265, 7), (131, 4)]
    for ours, theirs in zip(features, expected):
        assert ours.dtype == np.float32
        np.testing.assert_allclose(ours, theirs[0], atol=2e-5)


@pytest.mark.parametrize("n_frames", [0, 5, 6, 12, 30, 200, 201, 1500])
def test_a_song_in_parts_has_the_bits_of_the_whole(stack, n_frames):
    _, model = stack
    assert n_frames != 1500 or n_frames > 2 * BLOCKS * 3 * 2  # several products of the second layer too
    frames = np.random.default_rng(3).normal(size=(n_frames, 9)).astype(np.float32)
    whole = model.features(frames)
    first = max(n_frames - 3, 0) // 3
    assert [len(each) for each in whole] == [first, max(first - 2, 0) // 2]
    for size in (1, 7, 64, 500):
        parts = [frames[start:start + size] for start in range(0, n_frames, size)]
        for ours, expected in zip(zip(*model.stream(parts)), whole, strict=True):
            np.testing.assert_array_equal(np.concatenate(ours), expected)


def test_extreme_frames_give_probabilities(stack):
    _, model = stack
    for features in model.features(np.full((100, 9), 1e6, dtype=np.float32)):
        assert np.isfinite(features).all() and features.min() >= 0 and features.max() <= 1


def test_frames_of_another_width_are_refused(stack):
    for shape in ((10, 8), (10,)):
        with pytest.raises(DBNError, match=r"frames of shape .* the model takes \[n_frames, 9\]"):
            stack[1].features(np.ones(shape))


def test_a_model_file_gives_the_model_back(stack, tmp_path):
    _, model = stack
    for name in ("one.npz", "two.npz"):
        save_model(tmp_path / name, model)
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()
    read = load_model(tmp_path / "one.npz")
    frames = np.random.default_rng(4).normal(size=(50, 9)).astype(np.float32)
    for ours, expected in zip(read.features(frames), model.features(frames), strict=True):
        np.testing.assert_array_equal(ours, expected)
    for name in ("widths", "pools", "visible", "frame_settings", "history", "about", "n_layers"):
        assert getattr(read, name) == getattr(model, name)
    for ours, expected in zip(read.visible_biases, model.visible_biases):
        np.testing.assert_array_equal(ours, expected)


@pytest.mark.parametrize("changes", [
    {"widths": (4,)}, {"widths": (2, 3)}, {"pools": (0, 2)}, {"pools": (3, True)}, {"visible": "relu"},
    {"biases": [np.zeros(7, np.float32), np.zeros(5, np.float32)]}, {"widths": (), "pools": ()},
    {"weights": [np.full((20, 7), np.nan, np.float32), np.zeros((21, 4), np.float32)]},
])
def test_damaged_files_are_refused(stack, tmp_path, changes):
    _, model = stack
    path = tmp_path / "model.npz"
    save_model(path, ConvolutionalModel(**model.__dict__ | changes))
    with pytest.raises(ModelFileError, match="model.npz: .*damaged"):
        load_model(path)
