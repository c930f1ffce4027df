"""The loops of training: determinism, shards, early stopping, and the errors that a user can put right."""
import json

import numpy as np
import pytensor
import pytest
from scipy import special

import dbn.graph.streams
import dbn.system.files
import dbn.training.loops
from dbn.audio.frames import FrameSet
from dbn.audio.scaling import Scaling
from dbn.dbn import DBN
from dbn.errors import DBNError, DivergedError, TrainingError
from dbn.rbm import RBM, GaussianRBM
from dbn.training.loops import _EpochRunner, build_dbn, frame_error, train
from dbn.training.state import RunState
from small_network import N_OUTS, examples, forget_compiled, replace_compiled, settings, training_sets

PER_EPOCH = 12  # minibatches


def run(options=None, sets=None, **more):
    return train(*(sets or training_sets()), N_OUTS, settings(**(options or {})), progress=False, **more)


def values_of(result):
    return result.dbn.get_values()


def assert_same_bits(a, b):
    for left, right in zip(a, b, strict=True):
        np.testing.assert_array_equal(left, right)


@pytest.fixture(scope="module")
def result():
    """A run with the small settings."""
    return run()


def test_another_seed_gives_another_network(result):
    for a, b in zip(values_of(result), values_of(run({"seed": 1}))):
        assert (a != b).any()


def test_the_seeds_of_weights_orders_samples_and_dropout_are_all_different(monkeypatch, quick):
    """By what they make of a generator: trailing zeros, which a seed may have, make no difference there."""
    entropies = []
    default_rng, seed_again = np.random.default_rng, dbn.graph.streams.RandomStreams.seed
    sets = training_sets()
    with monkeypatch.context() as patch:
        patch.setattr(np.random, "default_rng", lambda seed: (
            entropies.append(seed) if isinstance(seed, list) else None, default_rng(seed))[1])
        patch.setattr(dbn.graph.streams.RandomStreams, "seed",
                      lambda self, seed: (entropies.append(seed), seed_again(self, seed)))
        run({"dropout": 0.5}, sets=sets)
    states = {tuple(np.random.SeedSequence(entropy).generate_state(4)) for entropy in entropies}
    assert len(entropies) == 1 + (2 * 3 + 6) + 2 * 3 + 6  # of weights, of orders, of samples and of what is left out
    assert len(states) == len(entropies)


def test_the_second_layer_is_trained_on_the_means_of_the_first(monkeypatch, quick):
    """As they are: not rounded, not drawn from."""
    [(x, _)] = training_sets()[0].blocks()
    seen = []
    pretrain_layer = dbn.training.loops._pretrain_layer

    def note_inputs(network, layer, inputs, *others):
        W, b = (param.get_value() for param in network.rbm_layers[0].params[:2])
        seen.append((np.array(inputs.rows), special.expit(x.astype(float) @ W + b)))
        pretrain_layer(network, layer, inputs, *others)

    monkeypatch.setattr(dbn.training.loops, "_pretrain_layer", note_inputs)
    run()
    (first, _), (second, means) = seen
    np.testing.assert_array_equal(first, x)
    np.testing.assert_allclose(second, means, rtol=1e-5)
    assert len(np.unique(means.round(4))) > 100  # so that rounding would be seen


def test_every_kind_of_draw_depends_on_the_seed_and_epoch(monkeypatch, quick):
    """Weights, samples and order of the rows: no two epochs, layers or stages see the same permutation or draws."""
    orders, seeds = [], []
    original = dbn.graph.streams.RandomStreams.seed

    run_shard = _EpochRunner._run_shard
    monkeypatch.setattr(_EpochRunner, "_run_shard", lambda self, order, *arguments: (
        orders.append(tuple(order)), run_shard(self, order, *arguments))[1])
    monkeypatch.setattr(dbn.graph.streams.RandomStreams, "seed",
                        lambda self, seed: (seeds.append(tuple(seed)), original(self, seed)))
    run({"dropout": 0.5})
    run({"dropout": 0.5, "seed": 1})
    assert len(orders) == len(set(orders)) == 2 * (2 * 3 + 6)
    assert len(seeds) == len(set(seeds)) == 2 * (2 * 3 + 6)


def test_same_seed_same_bits_and_a_record_of_each_epoch(result, tmp_path):
    again = run(directory=tmp_path)
    assert_same_bits(values_of(result), values_of(again))
    assert [r["cost"] for r in result.history] == [r["cost"] for r in again.history]
    records = [json.loads(line) for line in (tmp_path / "history.jsonl").read_text().splitlines()]
    assert records == again.history
    steps = [(r["stage"], r.get("layer"), r["epoch"]) for r in records]
    assert steps == ([("pretrain", layer, epoch) for layer in (1, 2) for epoch in (1, 2, 3)]
                     + [("finetune", None, epoch) for epoch in range(1, 7)])
    assert all(np.isfinite(r["cost"]) and r["seconds"] >= 0 for r in records)
    assert all(("valid_error" in r) == (r["stage"] == "finetune") for r in records)
    assert again.seconds("pretrain") == pytest.approx(sum(r["seconds"] for r in records[:6]))
    assert again.seconds("finetune") == pytest.approx(sum(r["seconds"] for r in records[6:]))
    assert sorted(path.name for path in tmp_path.iterdir()) == [".lock", "checkpoint.npz", "history.jsonl"]


def test_it_learns(result):
    """The reconstruction gets better (higher) in each layer, and the cost of fine-tuning falls."""
    costs = {layer: [r["cost"] for r in result.history if r.get("layer") == layer] for layer in (1, 2, None)}
    assert costs[1] == sorted(costs[1]) and costs[2] == sorted(costs[2])
    assert costs[None][1:] == sorted(costs[None][1:], reverse=True)
    assert result.best_error < 0.1


# Rows, shards and calls


@pytest.mark.parametrize("shard_frames", [1000, 120, 50, 7])
def test_an_epoch_uses_every_row_once_with_its_label(shard_frames):
    train_set, _ = training_sets()
    rows, labels = next(train_set.blocks())
    seen = []

    class Epoch:
        """In the place of a compiled one: it notes what it would train on, and makes a parameter one larger."""

        params = [pytensor.shared(0.0)]
        data_x, data_y = pytensor.shared(rows[:0]), pytensor.shared(labels[:0])

        def set_numbers(self, settings):
            """It has none."""

        def run(self, order, batch_size, lr):
            x, y = self.data_x.get_value()[order], self.data_y.get_value()[order]
            seen.append(np.column_stack([x, y]))
            self.params[0].set_value(self.params[0].get_value() + 1)
            return x[:, 0].mean()

    param = pytensor.shared(100.0)
    runner = _EpochRunner(train_set, settings(shard_frames=shard_frames), Epoch(), [param])
    assert runner.compiled.data_x.get_value(borrow=True) is train_set.rows  # no copy

    class Bar:
        total = 0

        def update(self, n):
            self.total += n

    orders = []
    for stage, epoch in ((0, 0), (0, 1), (1, 1), (0, 0)):
        seen.clear()
        bar = Bar()
        param.set_value(100.0)
        mean = runner.run(0.1, stage, epoch, bar)
        assert param.get_value() == 100 + len(seen)
        assert mean == pytest.approx(rows[:, 0].mean(), rel=1e-5)
        assert bar.total == 120
        assert len(seen) == -(-120 // shard_frames) and max(map(len, seen)) <= shard_frames
        orders.append(np.concatenate(seen))
        expected = np.column_stack([rows, labels])
        np.testing.assert_array_equal(np.unique(orders[-1], axis=0), np.unique(expected, axis=0))
        assert len(orders[-1]) == len(np.unique(expected, axis=0)) == 120
    assert (orders[0] != orders[1]).any() and (orders[1] != orders[2]).any()
    np.testing.assert_array_equal(orders[0], orders[3])  # what is in a shard and its order: from the epoch's seed


def test_shards_train_deterministically(result, monkeypatch):
    sharded = run({"shard_frames": 50})
    assert [r["epoch"] for r in sharded.history] == [r["epoch"] for r in result.history]
    assert (values_of(sharded)[0] != values_of(result)[0]).any()
    assert sharded.best_error < 0.1
    replace_compiled(monkeypatch)
    assert_same_bits(values_of(run({"shard_frames": 50})), values_of(run({"shard_frames": 50})))


def scaled_sets():
    """Sets that have to be stored before they can be trained on."""
    return [frames.with_scaling(Scaling("max").fit([np.full((1, 8), 2.0)])) for frames in training_sets()]


def test_sets_in_files_train_as_those_in_memory_do(tmp_path, monkeypatch):
    """Scaled frames of more than one shard lie in files while they are needed, and what lay there is not read."""
    name = "training-inputs.npy"
    in_memory = run({"shard_frames": 50}, [frames.stored() for frames in scaled_sets()])
    np.save(tmp_path / name, np.zeros((120, 8), dtype=np.float32))
    files = set()
    finish_epoch = RunState.finish_epoch

    def note_files(self, *arguments, **record):
        files.update(path.name for path in tmp_path.iterdir())
        finish_epoch(self, *arguments, **record)

    monkeypatch.setattr(RunState, "finish_epoch", note_files)
    mapped = run({"shard_frames": 50}, scaled_sets(), directory=tmp_path)
    assert_same_bits(values_of(in_memory), values_of(mapped))
    assert {name, "validation-inputs.npy", "hidden-means-0.npy"} <= files
    assert sorted(path.name for path in tmp_path.iterdir()) == [".lock", "checkpoint.npz", "history.jsonl"]
    monkeypatch.setattr(RunState, "finish_epoch", None)  # a failure leaves nothing that is not a run's either
    with pytest.raises(TypeError):
        run({"shard_frames": 50, "seed": 5}, scaled_sets(), directory=tmp_path / "other")
    assert not list((tmp_path / "other").glob("*-inputs.npy"))


def test_sets_of_one_shard_stay_in_memory(quick, monkeypatch):
    monkeypatch.setattr(dbn.system.files, "open_rows", None)  # which maps a file
    run({"pretrain_epochs": 0}, scaled_sets())
    with pytest.raises(TypeError):
        run({"pretrain_epochs": 0, "shard_frames": 119}, scaled_sets())


def test_calls_of_few_minibatches_give_the_same_bits(quick, monkeypatch):
    """An epoch is cut into calls so that it can be interrupted; nothing else changes."""
    whole = run()
    monkeypatch.setattr(dbn.training.loops, "FRAMES_PER_CALL", 35)
    assert_same_bits(values_of(whole), values_of(run()))


@pytest.mark.parametrize("has_labels", [True, False])
def test_other_frames_to_pretrain_on_are_seen_with_and_without_labels(quick, has_labels):
    train_set, valid_set = training_sets()
    sets = (train_set, valid_set, N_OUTS) if has_labels else (train_set, None, 0)
    others = FrameSet.from_arrays(examples(90, seed=7)[0])
    plain, changed, expected = (
        train(*those, settings(finetune_epochs=0), progress=False, pretrain_set=pretrain_set).dbn.rbm_layers[0]
        for those, pretrain_set in ((sets, None), (sets, others), ((others, None, 0), None)))
    np.testing.assert_array_equal(changed.W.get_value(), expected.W.get_value())
    assert (plain.W.get_value() != expected.W.get_value()).any()


def test_no_pretraining(quick):
    alone = run({"pretrain_epochs": 0})
    assert {r["stage"] for r in alone.history} == {"finetune"}
    for vbias in values_of(alone)[-2:]:
        assert not vbias.any()  # only pre-training changes the visible biases
    assert all(vbias.any() for vbias in values_of(run())[-2:])


def test_options_of_the_network_reach_it(monkeypatch):
    chosen = settings(visible="gaussian", output="sigmoid", k=3)
    network = build_dbn(chosen, 8, N_OUTS)
    assert [type(rbm) for rbm in network.rbm_layers] == [GaussianRBM, RBM]
    assert network.logLayer.output == "sigmoid"
    compiled = []
    forget_compiled(monkeypatch)
    monkeypatch.setattr(DBN, "pretraining_epoch", lambda self, layer, data, k, persistent=None: compiled.append(
        (type(self.rbm_layers[layer]), k)) or (lambda order, batch_size, lr: float(batch_size == 10 and lr == 0.05)))
    monkeypatch.setattr(DBN, "finetuning_epoch", lambda self, x, y: compiled.append(
        (self.n_layers, self.logLayer.output)) or (lambda order, batch_size, lr: float(batch_size == 10 and lr == 1.0)))
    history = run({"k": 3, "visible": "gaussian", "output": "sigmoid"}).history
    assert compiled == [(GaussianRBM, 3), (RBM, 3), (2, "sigmoid")]
    assert [r["cost"] for r in history] == [1.0] * 12


def test_pcd_watches_the_pseudo_likelihood_and_begins_each_layer_with_chains_at_zeros(monkeypatch):
    """Of networks that stand still: the same number as the sum over all units of exact conditionals, near enough."""
    begun = []
    runner_run = _EpochRunner.run
    monkeypatch.setattr(_EpochRunner, "run", lambda self, *arguments: (
        begun.append([param.get_value() for param in self.params[3:]]), runner_run(self, *arguments))[1])
    result = run({"persistent": True, "pretrain_lr": 1e-30, "pretrain_epochs": 2, "finetune_epochs": 0, "k": 2})
    x = training_sets()[0].rows.astype(float)
    layers = [(layer.W.get_value().astype(float), layer.b.get_value()) for layer in result.dbn.sigmoid_layers]
    for layer, ((W, b), rbm) in enumerate(zip(layers, result.dbn.rbm_layers)):
        assert [chains.shape for chains, _ in begun[2 * layer:2 * layer + 2]] == [(10, rbm.n_hidden)] * 2
        (first, unit), (second, next_unit) = begun[2 * layer:2 * layer + 2]
        assert not first.any() and set(np.unique(second)) == {0, 1}
        assert unit == 0 and next_unit == PER_EPOCH % rbm.n_visible
        v = x.round()
        expected = 0.0
        for i in range(rbm.n_visible):
            flipped = v.copy()
            flipped[:, i] = 1 - flipped[:, i]
            energies = [-np.logaddexp(0, each @ W + b).sum(axis=1) for each in (v, flipped)]
            expected += special.log_expit(energies[1] - energies[0]).mean()
        cost = np.mean([record["cost"] for record in result.history[2 * layer:2 * layer + 2]])
        assert cost == pytest.approx(expected, rel=0.15)
        x = special.expit(x @ W + b)


# Early stopping


def script_errors(monkeypatch, errors):
    """Validation errors that come from a list, the first being that of the network before fine-tuning."""
    errors = iter(errors)
    monkeypatch.setattr(dbn.training.loops, "frame_error", lambda predict, frames: next(errors))


def stop_after(monkeypatch, errors, **options):
    script_errors(monkeypatch, errors)
    result = run({"pretrain_epochs": 0} | options)
    return len(result.history), result.best_epoch, result.best_error, result.stopped


def test_it_ends_after_so_many_epochs_without_a_lower_error(quick, monkeypatch):
    errors = [0.9, 0.5, 0.6, 0.7, 0.0]
    assert stop_after(monkeypatch, errors, patience=2) == (3, 1, 0.5, "patience")


def test_a_slightly_lower_error_begins_the_wait_anew(quick, monkeypatch):
    errors = [0.9, 0.5, 0.6, 0.4999, 0.6, 0.6, 0.0]
    assert stop_after(monkeypatch, errors, patience=2) == (5, 3, 0.4999, "patience")


def test_an_equal_error_is_none_that_is_lower(quick, monkeypatch):
    assert stop_after(monkeypatch, [0.9, 0.5, 0.5, 0.5, 0.0], patience=2) == (3, 1, 0.5, "patience")


def test_nothing_better_than_the_start(quick, monkeypatch):
    assert stop_after(monkeypatch, [0.3, 0.4, 0.3, 0.0], patience=2) == (2, 0, 0.3, "patience")


def test_the_most_epochs(quick, monkeypatch):
    errors = [0.9 ** i for i in range(7)]
    assert stop_after(monkeypatch, errors) == (6, 6, 0.9**6, "epochs")
    assert stop_after(monkeypatch, [0.9], finetune_epochs=0) == (0, 0, 0.9, "epochs")


def test_the_best_parameters_are_returned_not_the_last(quick, monkeypatch):
    script_errors(monkeypatch, [0.9, 0.5, 0.2, 0.4, 0.3, 0.3, 0.3])
    long = run()
    script_errors(monkeypatch, [0.9, 0.5, 0.2])
    assert long.best_epoch == 2 and len(long.history) == 6 + 6
    assert_same_bits(values_of(long), values_of(run({"finetune_epochs": 2})))


def test_early_stopping_looks_at_the_validation_set():
    """Whose labels are all wrong here: what is learnt from the training set makes its error rise."""
    x, y = examples(60, seed=2)
    wrong = FrameSet.from_arrays(x, (y + 1) % N_OUTS, segment_length=20)
    errors = [record["valid_error"] for record in run(sets=(training_sets()[0], wrong)).history
              if record["stage"] == "finetune"]
    assert errors[-1] > 0.9


def test_best_error_is_that_of_the_returned_network(result):
    _, valid_set = training_sets()
    errors = [r["valid_error"] for r in result.history if r["stage"] == "finetune"]
    assert result.best_error == min(errors) == errors[result.best_epoch - 1]
    predict = result.dbn.prediction_function()
    assert frame_error(predict, valid_set) == result.best_error
    x, y = next(valid_set.blocks())
    assert result.best_error == np.mean(predict(x).argmax(axis=1) != y)


# What a user can put right


@pytest.mark.parametrize("option", ["pretrain_lr", "finetune_lr"])
def test_divergence_names_the_learning_rate(option):
    with pytest.raises(TrainingError, match=f"lower {option} .now 1e.38"):
        run({option: 1e38, "pretrain_epochs": int(option == "pretrain_lr")})


def test_divergence_tells_the_epochs_before_it(quick, monkeypatch):
    costs = iter([1.0, 2.0, np.nan])
    monkeypatch.setattr(_EpochRunner, "run", lambda *_: next(costs))
    with pytest.raises(DivergedError, match="fine-tuning, epoch 3") as caught:
        run({"pretrain_epochs": 0})
    assert [record["cost"] for record in caught.value.history] == [1.0, 2.0]


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan, -1e20])
def test_a_parameter_that_is_no_number_is_found_though_the_cost_is_one(quick, monkeypatch, value):
    """Or one that will make the next product none."""
    def spoil(self, *_):
        self.params[-1].set_value(np.full_like(self.params[-1].get_value(), value))
        return 1.0

    monkeypatch.setattr(_EpochRunner, "run", spoil)
    with pytest.raises(DivergedError, match="pre-training of layer 1, epoch 1"):
        run()


def sets_with(**changes):
    x, y = examples(40)
    return FrameSet.from_arrays(changes.get("x", x), changes.get("y", y))


@pytest.mark.parametrize("changes, message", [
    ({"y": np.full(40, N_OUTS)}, "labels outside 0 to 2"),
    ({"y": np.full(40, -1)}, "labels outside 0 to 2"),
    ({"y": None}, "has no labels"),
])
def test_labels_that_do_not_fit(changes, message):
    good = training_sets()
    for position, name in enumerate(("training", "validation")):
        sets = list(good)
        sets[position] = sets_with(**changes)
        with pytest.raises(TrainingError, match=f"the {name} set.*{message}"):
            run(sets=sets)


def test_features_that_do_not_fit():
    narrow = sets_with(x=np.zeros((40, 7), dtype=np.float32))
    for name, options in (("validation", {"sets": [training_sets()[0], narrow]}),
                          ("pretraining", {"pretrain_set": narrow})):
        with pytest.raises(TrainingError, match=f"training frames have 8 values, {name} frames 7"):
            run(**options)


def test_a_set_without_frames():
    with pytest.raises(DBNError, match="no frames"):
        FrameSet.from_arrays(np.zeros((0, 8), dtype=np.float32), np.zeros(0, dtype=np.int32))
