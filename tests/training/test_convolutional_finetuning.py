"""A convolutional DBN on labels: gradients by differences, early stopping, resuming; its features by frame."""
import numpy as np
import pytensor
import pytest

from dbn.audio.frames import FrameSet
from dbn.audio.scaling import Scaling
from dbn.cdbn import ConvolutionalDBN
from dbn.errors import DBNError, ModelFileError, TrainingError
from dbn.trained.convolutional import BLOCKS, ConvolutionalModel, frames_of_blocks
from dbn.trained.model import load_model, save_model
from dbn.training.convolutional import train_convolutional
from dbn.training.settings import ConvolutionalSettings
from dbn.training.state import RunState
from ramps import ramps
from small_network import leave_uncompiled

SETTINGS = {"hidden_layers_sizes": (12, 6), "widths": (3, 2), "pools": (2, 2), "visible": "bernoulli",
            "pretrain_lr": 0.3, "pretrain_epochs": 1, "piece_blocks": 4, "finetune_blocks": 2, "finetune_lr": 0.5,
            "finetune_epochs": 6, "batch_size": 4, "momentum": 0.0, "weight_decay": 0.0, "sparsity_cost": 0.0}


def settings(**changes):
    return ConvolutionalSettings(**SETTINGS | changes)


@pytest.fixture
def quick(monkeypatch):
    leave_uncompiled(monkeypatch)


def song_set(n_songs, seed):
    """Songs of 48 frames that rise or fall, with their labels."""
    songs, labels = ramps(n_songs, n_rounds=6, seed=seed)
    stops = np.arange(n_songs + 1) * len(songs[0])
    return FrameSet(np.concatenate(songs), list(zip(stops, stops[1:])), labels)


# ------------------------------------------------------------------------------------------------ one step

@pytest.fixture(scope="module", params=["softmax", "sigmoid"])
def small(request):
    """A network in double precision, of which every parameter is a number of its own."""
    cdbn = ConvolutionalDBN(np.random.default_rng(0), n_ins=3, hidden_layers_sizes=(4, 3), widths=(2, 3), pools=(2, 2),
                            dtype="float64", n_outs=3, output=request.param)
    rng = np.random.default_rng(1)
    cdbn.set_values([rng.normal(size=value.shape) for value in cdbn.get_values()])
    return cdbn


def forward(values, x, widths, pools):
    """The top features [n_blocks, n_hidden] of one piece, block by block and unit by unit."""
    for (W, bias), width, pool in zip(zip(values[::2], values[1::2]), widths, pools):
        n_blocks = (len(x) - width + 1) // pool
        inputs = [[x[t:t + width].ravel() @ W + bias for t in range(b * pool, (b + 1) * pool)] for b in range(n_blocks)]
        sums = np.exp(inputs).sum(axis=1)
        x = sums / (1 + sums)
    return x


def cost_of(values, pieces, labels, output):
    """Mean over all blocks of all pieces."""
    costs = []
    for x, label in zip(pieces, labels):
        a = forward(values[:4], x, (2, 3), (2, 2)) @ values[4] + values[5]
        if output == "softmax":
            costs.append(np.log(np.exp(a).sum(axis=1)) - a[:, label])
        else:
            costs.append(np.log1p(np.exp(a)).sum(axis=1) - a[:, label])
    return np.concatenate(costs).mean()


def test_an_epoch_of_finetuning_is_gradient_descent_by_differences(small):
    """Against central differences of a cost that is written out by hand; 10 frames a piece have two blocks on top."""
    rng = np.random.default_rng(2)
    data, starts, labels = rng.normal(size=(40, 3)), np.array([0, 11, 25]), np.array([2, 0, 1], dtype=np.int32)
    values = small.get_values()
    cost = cost_of(values, [data[s:s + 11] for s in starts], labels, small.logLayer.output)
    expected = []
    for number, value in enumerate(values[:6]):
        gradient = np.empty_like(value)
        for place in np.ndindex(value.shape):
            costs = []
            for step in (1e-5, -1e-5):
                moved = [each.copy() for each in values]
                moved[number][place] += step
                costs.append(cost_of(moved, [data[s:s + 11] for s in starts], labels, small.logLayer.output))
            gradient[place] = (costs[0] - costs[1]) / 2e-5
        expected.append(value - 0.1 * gradient)
    shared = [pytensor.shared(each) for each in (data, labels, starts)]
    run = small.finetuning_epoch(*shared, 11)
    ours = run(np.arange(3), 3, 0.1)
    assert ours == pytest.approx(cost, rel=1e-10)
    for param, value in zip(small.params, expected, strict=True):
        np.testing.assert_allclose(param.get_value(), value, atol=1e-8)
    for rbm, value in zip(small.rbm_layers, values[6:], strict=True):
        np.testing.assert_array_equal(rbm.vbias.get_value(), value)
    small.set_values(values)


# ------------------------------------------------------------------------------------------------ the loop

def test_finetuning_learns_what_single_frames_cannot_say(quick):
    """And what is kept are the parameters of the lowest error on the validation songs."""
    train, valid, test = (song_set(n, seed) for n, seed in ((60, 0), (20, 1), (40, 2)))
    chosen = settings(hidden_layers_sizes=(16,), widths=(3,), pools=(2,), pretrain_epochs=3, finetune_lr=2.0,
                      finetune_epochs=15)
    result = train_convolutional(train, valid, 2, chosen, progress=False)
    errors = [record["valid_error"] for record in result.history if record["stage"] == "finetune"]
    assert result.best_error == min(errors) < 0.1 and result.best_epoch == 1 + errors.index(min(errors))
    model = ConvolutionalModel.from_dbn(result.dbn, Scaling("none").fit([train.rows]), ("falls", "rises"))
    wrong = [model.predict_proba(x).argmax(axis=1) != test.segment_labels[index] for index, x in test.songs()]
    assert np.mean(wrong) < 0.15
    # the error that was reported is that of the parameters that were kept
    valid_wrong = [model.predict_proba(x).argmax(axis=1) != valid.segment_labels[i] for i, x in valid.songs()]
    assert np.mean(valid_wrong) == result.best_error


def test_patience_ends_it_and_no_label_is_asked_for_without_classes(quick):
    train, valid = song_set(12, 0), song_set(6, 1)
    result = train_convolutional(train, valid, 2, settings(finetune_epochs=50, patience=2, finetune_lr=1e-6),
                                 progress=False)
    assert result.stopped == "patience" and len(result.history) == 2 + result.best_epoch + 2
    alone = train_convolutional(train, None, 0, settings(), progress=False)
    assert (alone.best_epoch, alone.best_error, alone.stopped) == (None, None, None)
    pretrained = train_convolutional(train, valid, 2, settings(finetune_epochs=0), progress=False)
    for rbm, same in zip(alone.dbn.rbm_layers, pretrained.dbn.rbm_layers, strict=True):
        np.testing.assert_array_equal(rbm.W.get_value(), same.W.get_value())
    assert pretrained.best_epoch == result.best_epoch == 0
    # what fine-tuning has changed since the best epoch is taken back
    for ours, expected in zip(result.dbn.get_values(), pretrained.dbn.get_values(), strict=True):
        np.testing.assert_array_equal(ours, expected)


def test_other_songs_to_pretrain_on_are_seen_and_theirs_alone(quick):
    train, valid, others = song_set(12, 0), song_set(6, 1), song_set(12, 5)
    first, second = (train_convolutional(each, valid, 2, settings(finetune_epochs=0), progress=False,
                                         pretrain_set=others) for each in (train, song_set(12, 9)))
    plain = train_convolutional(train, valid, 2, settings(finetune_epochs=0), progress=False)
    W, same, other = (each.dbn.rbm_layers[0].W.get_value() for each in (first, second, plain))
    np.testing.assert_array_equal(W, same)
    assert (W != other).any()


def test_a_killed_finetuning_ends_with_the_same_bits(quick, tmp_path, monkeypatch):
    train, valid = song_set(12, 0), song_set(6, 1)
    whole = train_convolutional(train, valid, 2, settings(), progress=False)
    finish_epoch, finished = RunState.finish_epoch, []

    def killed(self, *arguments, **record):
        finish_epoch(self, *arguments, **record)
        self.save()
        finished.append(record)
        if len(finished) in (1, 4, 6):
            raise KeyboardInterrupt

    monkeypatch.setattr(RunState, "finish_epoch", killed)
    for _ in range(3):
        with pytest.raises(KeyboardInterrupt):
            train_convolutional(train, valid, 2, settings(), tmp_path, "ramps", progress=False)
    for _ in range(2):  # the second finds all done
        again = train_convolutional(train, valid, 2, settings(), tmp_path, "ramps", progress=False)
        for ours, expected in zip(again.dbn.get_values(), whole.dbn.get_values(), strict=True):
            np.testing.assert_array_equal(ours, expected)
        assert (again.best_error, again.best_epoch, again.stopped) == (whole.best_error, whole.best_epoch, "epochs")
    assert len(finished) == 8
    with pytest.raises(TrainingError, match="other settings or other data"):
        train_convolutional(train, song_set(6, 2), 2, settings(), tmp_path, "ramps", progress=False)


def test_sets_that_do_not_fit_are_refused(quick):
    train = song_set(12, 0)
    unlabelled = FrameSet(train.rows, list(zip(train.bounds[:-1], train.bounds[1:])))
    with pytest.raises(TrainingError, match="the validation set has no labels"):
        train_convolutional(train, unlabelled, 2, settings(), progress=False)
    with pytest.raises(TrainingError, match="labels outside 0 to 0"):
        train_convolutional(train, train, 1, settings(), progress=False)
    with pytest.raises(TrainingError, match="84 frames of the inputs of layer 1, .* finetune_blocks below 20"):
        train_convolutional(train, train, 2, settings(finetune_blocks=20, pretrain_epochs=0), progress=False)


def test_too_short_a_validation_song_is_named_before_the_first_epoch(quick, tmp_path):
    train, valid = song_set(12, 0), song_set(3, 1)
    for names, called in ((("a", "brief", "c"), "brief"), ((), "number 2")):
        short = FrameSet(valid.rows, [(0, 8), (8, 15), (15, 60)], valid.segment_labels, names=names)
        with pytest.raises(TrainingError, match=f"validation song {called}: has 7 frames, .* takes 8 at least"):
            train_convolutional(train, short, 2, settings(), tmp_path, progress=False)
    assert not [*tmp_path.iterdir()]


def test_songs_of_another_width_to_pretrain_on_are_refused(quick):
    train, valid = song_set(12, 0), song_set(6, 1)
    others = FrameSet(train.rows[:, 1:], list(zip(train.bounds[:-1], train.bounds[1:])))
    n_bins = train.n_features
    with pytest.raises(TrainingError, match=f"training frames have {n_bins} values, pretraining frames {n_bins - 1}"):
        train_convolutional(train, valid, 2, settings(), progress=False, pretrain_set=others)


# ------------------------------------------------------------------------------------------------ by frame

@pytest.fixture(scope="module")
def model():
    """Untrained, of large random weights: blocks of 2, 4 and 12 frames that see 4, 8 and 20."""
    cdbn = ConvolutionalDBN(np.random.default_rng(0), n_ins=5, hidden_layers_sizes=(7, 4, 3), widths=(3, 2, 1),
                            pools=(2, 2, 3), dtype="float32", n_outs=3)
    rng = np.random.default_rng(1)
    cdbn.set_values([rng.normal(size=value.shape) for value in cdbn.get_values()])
    return ConvolutionalModel.from_dbn(cdbn, Scaling("none").fit([np.zeros((1, 5), np.float32)]), "abc")


def test_a_frame_takes_the_block_in_whose_middle_it_lies(model):
    """Said once more: of the blocks that see frame t, that whose own frames, with equal margins, hold it."""
    frames = np.random.default_rng(2).normal(size=(77, 5)).astype(np.float32)
    blocks, by_frame = model.features(frames), model.activations(frames)
    for n_layers, (of_blocks, of_frames) in enumerate(zip(blocks, by_frame), start=1):
        widths, pools = model.widths[:n_layers], model.pools[:n_layers]
        stride, seen = np.prod(pools), frames_of_blocks(1, widths, pools)
        margin = (seen - stride) // 2
        assert of_frames.shape == (77, of_blocks.shape[1])
        for block, values in enumerate(of_blocks):
            own = slice(block * stride + margin, (block + 1) * stride + margin)
            np.testing.assert_array_equal(of_frames[own], np.tile(values, (stride, 1)))
        np.testing.assert_array_equal(of_frames[:margin], np.tile(of_blocks[0], (margin, 1)))
        last = len(of_blocks) * stride + margin
        np.testing.assert_array_equal(of_frames[last:], np.tile(of_blocks[-1], (77 - last, 1)))
    assert (frames_of_blocks(1, (3, 2, 1), (2, 2, 3)), model.min_frames) == (16, 16)


def test_probabilities_are_the_output_layers_of_the_top_features(model):
    frames = np.random.default_rng(3).normal(size=(90, 5)).astype(np.float32)
    a = model.activations(frames)[-1] @ model.weights[-1] + model.biases[-1]
    expected = np.exp(a) / np.exp(a).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(model.predict_proba(frames), expected, atol=1e-6)
    by_sigmoids = ConvolutionalModel(**model.__dict__ | {"output": "sigmoid"})
    np.testing.assert_allclose(by_sigmoids.predict_proba(frames), 1 / (1 + np.exp(-a)), atol=1e-6)


@pytest.mark.parametrize("output", ["softmax", "sigmoid"])
def test_without_classes_there_are_no_probabilities(model, output):
    last = {"weights": [*model.weights[:-1], np.zeros((3, 0), np.float32)],
            "biases": [*model.biases[:-1], np.zeros(0, np.float32)], "classes": (), "output": output}
    unlabelled = ConvolutionalModel(**model.__dict__ | last)
    with pytest.raises(DBNError, match="has no classes: use activations"):
        unlabelled.predict_proba(np.zeros((20, 5), np.float32))


@pytest.mark.parametrize("n_frames", [16, 17, 200, 12 * BLOCKS + 7, 3 * 12 * BLOCKS])
def test_by_frame_a_song_in_parts_has_the_bits_of_the_whole(model, n_frames):
    frames = np.random.default_rng(n_frames).normal(size=(n_frames, 5)).astype(np.float32)
    whole, probabilities = model.activations(frames), model.predict_proba(frames)
    for size in (1, 50, 512):
        if size == 1 and n_frames > 300:
            continue
        parts = [frames[start:start + size] for start in range(0, n_frames, size)]
        for ours, expected in zip(zip(*model.activation_blocks(parts)), whole, strict=True):
            np.testing.assert_array_equal(np.concatenate(ours), expected)
        in_parts = list(model.probability_blocks(parts))
        np.testing.assert_array_equal(np.concatenate(in_parts), probabilities)
        assert [len(part) for part in in_parts] == [len(part[0]) for part in model.activation_blocks(parts)]


def test_no_more_waits_than_two_products(model):
    """An hour in parts takes no more memory than a piece."""
    parts, waiting = np.zeros((40, 200, 5), dtype=np.float32), 0
    given = (len(part) for part in model.probability_blocks(iter(parts)))
    for n_seen, n_given in zip(range(200, 8001, 200), np.cumsum(list(given))):
        waiting = max(waiting, n_seen - n_given)
    assert 0 < waiting < 3 * 12 * BLOCKS


def test_too_short_a_song_is_refused(model):
    with pytest.raises(DBNError, match="a song of 15 frames: the network takes 16 at least"):
        model.activations(np.zeros((15, 5), np.float32))
    with pytest.raises(DBNError, match="takes 16 at least"):
        model.predict_proba(np.zeros((0, 5), np.float32))


def test_a_file_keeps_the_classes_and_damaged_ones_are_refused(model, tmp_path):
    save_model(tmp_path / "model.npz", model)
    read = load_model(tmp_path / "model.npz")
    assert (read.classes, read.output) == (("a", "b", "c"), "softmax")
    frames = np.random.default_rng(4).normal(size=(50, 5)).astype(np.float32)
    np.testing.assert_array_equal(read.predict_proba(frames), model.predict_proba(frames))
    for changes in ({"classes": ("a", "b")}, {"classes": ("a", "b", 3)}, {"output": "tanh"},
                    {"biases": model.biases[:-1] + [np.zeros(4, np.float32)]}):
        save_model(tmp_path / "damaged.npz", ConvolutionalModel(**model.__dict__ | changes))
        with pytest.raises(ModelFileError, match="damaged.npz: damaged"):
            load_model(tmp_path / "damaged.npz")
