"""The loops around the network: greedy pre-training, fine-tuning, early stopping (paper §4.1).

Both work on frame sets of any size: what does not fit into memory is used
shard by shard, in an order that depends on the seed alone.
"""
from contextlib import closing

import numpy as np

from dbn.audio.frames import FrameSet
from dbn.dbn import DBN
from dbn.system.files import open_rows, release_pages, write_rows
from dbn.trained.forward import class_activations, hidden_activations
from dbn.training.epochs import Graph, compiled_epoch
from dbn.training.monitor import gap_measure
from dbn.training.running import (DROPOUT, SAMPLING, SHUFFLING, WEIGHTS, TrainingResult, begin_finetuning, begun_run,
                                  carried_variables, check_sets, epochs_bar, finetune_epochs, finite_values, lent,
                                  run_in_calls)
from dbn.training.settings import TrainingSettings

FRAMES_PER_CALL = 32768  # a compiled call of a fraction of a second


def build_dbn(settings, n_ins, n_outs, dtype="float32"):
    """The untrained network of `settings`, its weights drawn from the seed; see :class:`dbn.dbn.DBN`."""
    settings.require_size(n_ins, n_outs)
    return DBN(np.random.default_rng([settings.seed, WEIGHTS]), n_ins=n_ins, n_outs=n_outs,
               hidden_layers_sizes=settings.hidden_layers_sizes, visible=settings.visible, output=settings.output,
               dtype=dtype, activation=settings.activation, dropout=settings.dropout or None)


def train(train_set, valid_set, n_outs, settings=TrainingSettings(), directory=None, data_key="", progress=True,
          max_epoch=None, pretrain_set=None):
    """Pre-train and fine-tune a network.

    Parameters
    ----------
    train_set, valid_set : dbn.audio.frames.FrameSet
        Scaled frames with labels. Early stopping looks at the second.
    n_outs : int
        Number of classes; 0 for no fine-tuning: then no label is looked at, and `valid_set` is None.
    settings : TrainingSettings
        All choices.
    directory : path, optional
        Where the checkpoint and the history are kept. The same call with the same folder goes on where a killed one
        stopped, and ends with the same bits; while another process is at it, it waits.
    data_key : str
        Names the data. A checkpoint of other data is refused, whose key, labels or sampled frames are others.
    progress : bool
        Whether to show progress bars where standard error is a terminal.
    max_epoch : int, optional
        Pause after this epoch of fine-tuning. The same call with a later one goes on, as if there had been no pause.
    pretrain_set : dbn.audio.frames.FrameSet, optional
        Scaled frames to pre-train on instead of the training frames; it needs no labels.

    Returns
    -------
    TrainingResult

    Raises
    ------
    DivergedError
        A cost or a parameter is no longer a finite number.
    TrainingError
        Sets that do not fit each other, or a checkpoint that cannot be used.
    """
    if n_outs:
        check_sets(train_set, valid_set, n_outs)
    dbn = build_dbn(settings, train_set.n_features, n_outs)
    sets = {"training": train_set, "validation": valid_set, "pretraining": pretrain_set}
    with begun_run(dbn, sets, n_outs, settings, directory, data_key, settings.shard_frames) as (folder, state, sets):
        train_set, valid_set = sets["training"], sets.get("validation")
        pretrain(dbn, sets.get("pretraining", train_set), settings, state, folder, progress, valid_set)
        stopped = None
        if n_outs:
            stopped = finetune(dbn, train_set, valid_set, settings, state, progress, max_epoch)
            dbn.set_values(state.best_values)
    return TrainingResult.of(dbn, state, stopped)


class _EpochRunner:
    """Runs a compiled epoch over a frame set, shard by shard.

    Parameters
    ----------
    frames : dbn.audio.frames.FrameSet
        With :attr:`~dbn.audio.frames.FrameSet.rows`.
    settings : TrainingSettings
        The choices.
    compiled : dbn.training.epochs.CompiledEpoch
        What is run; the runner lends it the frames and the network's parameters.
    params : list of shared variables
        The network's, in the order of ``compiled.params``.
    """

    def __init__(self, frames, settings, compiled, params):
        self.frames = frames
        self.rows = frames.rows  # to find out that it can be used as it is takes as long as a look at every number
        self.settings = settings
        self.compiled = compiled
        self.params = params
        compiled.set_numbers(settings)
        compiled.data_x.set_value(self.rows, borrow=True)
        if frames.labels is not None:
            compiled.data_y.set_value(frames.labels, borrow=True)

    def run(self, lr, stage, epoch, bar):
        """One epoch; `stage` and `epoch` seed its shuffling. Gives the mean cost over the frames."""
        rng = np.random.default_rng([self.settings.seed, SHUFFLING, stage, epoch])
        total = 0.0
        shards = self.frames.shards(rng, self.settings.shard_frames)
        with lent(self.params, self.compiled):
            for shard in shards:
                total += self._run_shard(rng.permutation(shard), lr, bar)
                if len(shards) > 1:
                    release_pages(self.rows)
        return total / self.frames.n_frames

    def _run_shard(self, order, lr, bar):
        """Sum of the costs of the frames in the order given."""
        return run_in_calls(self.compiled, order, self.settings.batch_size, lr, bar, FRAMES_PER_CALL)

    def close(self):
        """Let go of the frames, which the compiled epoch would hold until its next use."""
        self.compiled.release_data()


def pretrain(dbn, frames, settings, state, folder, progress=True, valid_set=None):
    """Greedy layer-wise pre-training by CD-k or PCD-k (paper §3): each RBM on the hidden means of the one below.

    The means are computed once and stored, not propagated through the stack at every minibatch.

    Parameters
    ----------
    dbn : DBN
        Changed in place.
    frames : dbn.audio.frames.FrameSet
        Training frames, scaled and stored.
    settings : TrainingSettings
        The choices.
    state : dbn.training.state.RunState
        Where to begin; kept up to date.
    folder : path
        Where the means lie meanwhile, and none of another run's.
    progress : bool
        Whether to show a bar a layer.
    valid_set : dbn.audio.frames.FrameSet, optional
        Scaled frames for the free-energy gap, which is not measured without them; nothing is learned from them.

    Raises
    ------
    DivergedError
        The cost or a parameter is no longer a number.
    """
    if settings.pretrain_epochs == 0:
        state.stage = max(state.stage, dbn.n_layers)
    for layer in range(state.stage, dbn.n_layers):
        sets = () if valid_set is None else (frames, valid_set)
        _pretrain_layer(dbn, layer, _layer_inputs(dbn, layer, frames, folder), settings, state, progress, sets)
        state.next_stage()
    for layer in range(dbn.n_layers):
        _means_path(folder, layer).unlink(missing_ok=True)


def _means_path(folder, layer):
    return folder / f"hidden-means-{layer}.npy"


def _layer_inputs(dbn, layer, frames, folder):
    """What a layer is pre-trained on, made on disk if it is not there yet."""
    if layer == 0:
        return frames
    path = _means_path(folder, layer - 1)
    if not path.exists():
        below = _layer_inputs(dbn, layer - 1, frames, folder)
        weights = [_layers(dbn)[layer - 1]]
        n_units = dbn.rbm_layers[layer].n_visible
        # in small blocks: a wide layer's activations of many frames would be most of a worker's memory
        write_rows(path, frames.n_frames, n_units, (hidden_activations(x, weights)[0] for x, _ in below.blocks(8192)))
    return FrameSet.from_arrays(open_rows(path))


def _layers(dbn):
    """The pairs (W, b) of :mod:`dbn.trained.forward`, from the bottom to the output layer."""
    values = [param.get_value(borrow=True) for param in dbn.params]
    return list(zip(values[::2], values[1::2]))


def _pretrain_layer(dbn, layer, inputs, settings, state, progress, compared):
    total = settings.pretrain_epochs * inputs.n_frames
    rbm, visible = dbn.rbm_layers[layer], dbn.visible if layer == 0 else "bernoulli"
    gap = gap_measure(rbm, visible, _layers(dbn)[:layer], *compared) if compared else None
    graph = Graph.of_pretraining(settings, visible)
    carried = carried_variables(graph, rbm.params, rbm, settings, state)
    compiled = compiled_epoch(graph, dbn.dtype)
    with closing(_EpochRunner(inputs, settings, compiled, [*rbm.params, *carried])) as runner, \
            epochs_bar(f"pre-training layer {layer + 1}", total, state.epoch * inputs.n_frames, progress) as bar:
        for epoch in range(state.epoch, settings.pretrain_epochs):
            compiled.streams.seed([settings.seed, SAMPLING, layer, epoch])
            cost = runner.run(settings.pretrain_lr, layer, epoch, bar)
            values = finite_values(dbn, cost, f"pre-training of layer {layer + 1}, epoch {epoch + 1}", "pretrain_lr",
                                   settings.pretrain_lr, state)
            gaps = {"free_energy_gap": gap()} if compared else {}
            bar.set_postfix(cost=f"{cost:.3f}", **{name: f"{value:+.3f}" for name, value in gaps.items()})
            state.carried = [variable.get_value() for variable in carried]
            state.finish_epoch(values, stage="pretrain", layer=layer + 1, epoch=epoch + 1, cost=cost, **gaps)


def finetune(dbn, train_set, valid_set, settings, state, progress=True, max_epoch=None):
    """Gradient descent on the labels with early stopping (paper §4.1).

    After every epoch the share of wrong frames of the validation set is measured; the parameters of the lowest are
    kept in ``state.best_values``. Training ends after ``settings.patience`` epochs in a row without a lower one.

    The tutorial's rule is another one: it ends after four epochs, or after twice the epochs until the last clear
    improvement (by 0.5 % of the error) if that is more. As it counts minibatches from 0, it then ends one minibatch
    before the last epoch does, and leaves that epoch unmeasured. What either rule loses of accuracy, and what it saves
    of the time, ``python -m experiments.bench.stopping`` measures.

    Parameters
    ----------
    dbn : DBN
        Changed in place; left with the last parameters, not the best.
    train_set, valid_set : dbn.audio.frames.FrameSet
        Frames with labels, scaled and stored.
    settings : TrainingSettings
        The choices.
    state : dbn.training.state.RunState
        Where to begin; kept up to date.
    progress : bool
        Whether to show a bar.
    max_epoch : int, optional
        Pause after this epoch.

    Returns
    -------
    str
        Why it ended, see :class:`TrainingResult`.

    Raises
    ------
    DivergedError
        The cost or a parameter is no longer a number.
    """
    numbers = state.numbers
    if state.stage > dbn.n_layers:
        return numbers["stopped"]
    last_epoch = min(settings.finetune_epochs, settings.finetune_epochs if max_epoch is None else max_epoch)

    def error_of():
        return frame_error(lambda x: class_activations(x, _layers(dbn), activation=settings.activation), valid_set)

    begin_finetuning(dbn, error_of, state)
    total = last_epoch * train_set.n_frames
    graph = Graph.of_finetuning(settings)
    carried = carried_variables(graph, dbn.params, None, settings, state)
    compiled = compiled_epoch(graph, dbn.dtype)
    with closing(_EpochRunner(train_set, settings, compiled, [*dbn.params, *carried])) as runner, \
            epochs_bar("fine-tuning", total, state.epoch * train_set.n_frames, progress) as bar:

        def run_epoch(epoch):
            if settings.dropout:
                compiled.streams.seed([settings.seed, DROPOUT, epoch])
            return runner.run(settings.finetune_lr, dbn.n_layers, epoch, bar)

        finetune_epochs(dbn, run_epoch, error_of, carried, settings, state, bar, last_epoch)
    if last_epoch < settings.finetune_epochs and numbers["stopped"] != "patience":
        state.save()
        return "paused"
    state.next_stage()
    return numbers["stopped"]


def frame_error(predict, frames):
    """Share of wrong frames.

    Parameters
    ----------
    predict : callable
        Class probabilities of scaled frames [m, n_ins], or the activations that they are made of: [m, n_outs].
    frames : dbn.audio.frames.FrameSet
        With labels.

    Returns
    -------
    float
        Between 0 and 1, over every frame of the set.
    """
    rows = frames.rows
    blocks = frames.blocks() if rows is None else _views(rows, frames.labels)
    wrong = sum(int((predict(x).argmax(axis=1) != y).sum()) for x, y in blocks)
    return wrong / frames.n_frames


def _views(rows, labels, max_frames=65536):
    """The blocks of a stored set without a copy."""
    for start in range(0, len(rows), max_frames):
        yield rows[start:start + max_frames], labels[start:start + max_frames]
        release_pages(rows)
