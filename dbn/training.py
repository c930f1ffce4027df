"""The loops around the network: greedy pre-training, fine-tuning, early stopping (paper §4.1).

Both work on frame sets of any size: what does not fit into memory is read
shard by shard, in an order that depends on the seed alone.
"""
import hashlib
import json
import tempfile
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pytensor
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from dbn.checkpoint import Checkpoint
from dbn.dbn import DBN
from dbn.errors import TrainingError
from dbn.frames import FrameSet, write_rows
from dbn.graphs import n_minibatches
from dbn.settings import TrainingSettings

# what the seeds of the different draws begin with, so that no two of them are the same
WEIGHTS, SHUFFLING, SAMPLING = range(3)

FRAMES_PER_CALL = 32768  # a compiled call of a fraction of a second, so that the bar moves and Ctrl-C is heard


@dataclass(frozen=True)
class TrainingResult:
    """A trained network and how it came about.

    Attributes
    ----------
    dbn : DBN
        With the parameters of the best validation error.
    history : list of dict
        One record an epoch: ``stage`` ("pretrain" or "finetune"), ``layer`` (pre-training), ``epoch`` (from 1),
        ``cost`` (mean over the epoch), ``seconds`` (since the record before), and for fine-tuning ``valid_error``.
    best_epoch : int
        Epoch of fine-tuning whose parameters were kept; 0 is before the first.
    best_error : float
        Its frame error on the validation set.
    stopped : str
        Why fine-tuning ended: "patience" or "epochs".
    """

    dbn: DBN
    history: list
    best_epoch: int
    best_error: float
    stopped: str

    def seconds(self, stage):
        """Wall-clock time of "pretrain" or "finetune", over all starts of the run."""
        return sum(record["seconds"] for record in self.history if record["stage"] == stage)


def build_dbn(settings, n_ins, n_outs, dtype="float32"):
    """The untrained network of `settings`, its weights drawn from the seed; see :class:`dbn.dbn.DBN`."""
    return DBN(np.random.default_rng([settings.seed, WEIGHTS]), n_ins=n_ins, n_outs=n_outs,
               hidden_layers_sizes=settings.hidden_layers_sizes, visible=settings.visible, output=settings.output,
               dtype=dtype)


def train(train_set, valid_set, n_outs, settings=TrainingSettings(), directory=None, data_key="", progress=True):
    """Pre-train and fine-tune a network.

    Parameters
    ----------
    train_set, valid_set : dbn.frames.FrameSet
        Scaled frames with labels. Early stopping looks at the second.
    n_outs : int
        Number of classes.
    settings : TrainingSettings
        All choices.
    directory : path, optional
        Where the checkpoint and the history are kept. The same call with the same folder goes on where a killed one
        stopped, and ends with the same bits.
    data_key : str
        Names the data; a checkpoint of other data is refused.
    progress : bool
        Whether to show progress bars where standard error is a terminal.

    Returns
    -------
    TrainingResult

    Raises
    ------
    TrainingError
        Sets that do not fit each other, a cost that is no longer a number, or a checkpoint that cannot be used.
    """
    _check_sets(train_set, valid_set, n_outs)
    fingerprint = hashlib.sha256(json.dumps([asdict(settings), train_set.n_frames, train_set.n_features,
                                             valid_set.n_frames, n_outs, data_key]).encode()).hexdigest()
    checkpoint = Checkpoint(directory, fingerprint)
    dbn = build_dbn(settings, train_set.n_features, n_outs)
    if checkpoint.values:
        dbn.set_values(checkpoint.values)
    with threadpool_limits(limits=1, user_api="blas"):
        pretrain(dbn, train_set, settings, checkpoint, progress)
        finetune(dbn, train_set, valid_set, settings, checkpoint, progress)
    dbn.set_values(checkpoint.best_values)
    numbers = checkpoint.numbers
    return TrainingResult(dbn, checkpoint.history, numbers["best_epoch"], numbers["best_error"], numbers["stopped"])


def _check_sets(train_set, valid_set, n_outs):
    for name, frames in (("training", train_set), ("validation", valid_set)):
        if frames.n_frames == 0:
            raise TrainingError(f"the {name} set has no frames: the split gives it no song that could be read")
        if frames.labels is None:
            raise TrainingError(f"the {name} set has no labels")
        if frames.labels.min() < 0 or frames.labels.max() >= n_outs:
            raise TrainingError(f"the {name} set has labels outside 0 to {n_outs - 1}")
    if train_set.n_features != valid_set.n_features:
        raise TrainingError(f"training frames have {train_set.n_features} values, validation frames "
                            f"{valid_set.n_features}: build both with the same options")


class _EpochRunner:
    """Runs a compiled epoch over a frame set, shard by shard.

    A set that fits into one shard is read and scaled once; a larger one is read anew every epoch, in an order drawn
    from the epoch's seed.
    """

    def __init__(self, frames, settings, dtype):
        self.frames = frames
        self.settings = settings
        self.data_x = pytensor.shared(np.zeros((0, frames.n_features), dtype=dtype), name="data_x")
        self.data_y = pytensor.shared(np.zeros(0, dtype=np.int32), name="data_y")
        self.loaded = False

    def run(self, epoch_function, lr, stage, epoch, bar):
        """One epoch; `stage` and `epoch` seed its shuffling. Gives the mean cost over the frames."""
        rng = np.random.default_rng([self.settings.seed, SHUFFLING, stage, epoch])
        total = 0.0
        for _ in self._shards(rng):
            order = rng.permutation(self.data_x.get_value(borrow=True).shape[0])
            frames_per_call = self.settings.batch_size * max(1, FRAMES_PER_CALL // self.settings.batch_size)
            for start in range(0, len(order), frames_per_call):
                rows = order[start:start + frames_per_call]
                total += float(epoch_function(rows, self.settings.batch_size, lr)) * len(rows)
                bar.update(len(rows))
        return total / self.frames.n_frames

    def close(self):
        """Let go of the data, which the compiled function would hold until the garbage collector finds its graph."""
        self.data_x.set_value(np.zeros((0, self.frames.n_features), dtype=self.data_x.type.dtype), borrow=True)

    def _shards(self, rng):
        if self.loaded:
            yield
            return
        for x, y in self.frames.shards(rng, self.settings.shard_frames):
            self.data_x.set_value(x, borrow=True)
            self.data_y.set_value(y, borrow=True)
            self.loaded = len(x) == self.frames.n_frames
            del x, y
            yield
            if not self.loaded:
                self.close()  # before the next shard is read, so that there is never more than one


def pretrain(dbn, frames, settings, checkpoint, progress=True):
    """Greedy layer-wise pre-training by CD-k (paper §3): each RBM on the hidden means of the one below.

    The means are computed once and stored, beside the checkpoint or in a temporary folder, not propagated through the
    stack at every minibatch.

    Parameters
    ----------
    dbn : DBN
        Changed in place.
    frames : dbn.frames.FrameSet
        Scaled training frames.
    settings : TrainingSettings
        The choices.
    checkpoint : dbn.checkpoint.Checkpoint
        Where to begin; kept up to date.
    progress : bool
        Whether to show a bar a layer.

    Raises
    ------
    TrainingError
        The cost or a parameter is no longer a number.
    """
    if settings.pretrain_epochs == 0:
        checkpoint.stage = max(checkpoint.stage, dbn.n_layers)
    with ExitStack() as stack:
        folder = checkpoint.directory or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        for layer in range(checkpoint.stage, dbn.n_layers):
            _pretrain_layer(dbn, layer, _layer_inputs(dbn, layer, frames, folder), settings, checkpoint, progress)
            # means that lie there already are of other parameters: of a run that was killed, its checkpoint deleted
            _means_path(folder, layer).unlink(missing_ok=True)
            checkpoint.next_stage()
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
        propup = dbn.propup_function(layer - 1)
        n_units = dbn.rbm_layers[layer].n_visible
        write_rows(path, frames.n_frames, n_units, (propup(x) for x, _ in below.blocks()))
    return FrameSet.from_arrays(np.load(path, mmap_mode="r"))


def _pretrain_layer(dbn, layer, inputs, settings, checkpoint, progress):
    total = settings.pretrain_epochs * inputs.n_frames
    with closing(_EpochRunner(inputs, settings, dbn.dtype)) as runner, \
            _bar(f"pre-training layer {layer + 1}", total, checkpoint.epoch * inputs.n_frames, progress) as bar:
        run_epoch = dbn.pretraining_epoch(layer, runner.data_x, settings.k)
        for epoch in range(checkpoint.epoch, settings.pretrain_epochs):
            dbn.theano_rng.reseed([settings.seed, SAMPLING, layer, epoch])
            cost = runner.run(run_epoch, settings.pretrain_lr, layer, epoch, bar)
            values = _finite_values(dbn, cost, f"pre-training of layer {layer + 1}, epoch {epoch + 1}", "pretrain_lr",
                                    settings.pretrain_lr)
            bar.set_postfix(reconstruction=f"{cost:.3f}")
            checkpoint.finish_epoch(values, stage="pretrain", layer=layer + 1, epoch=epoch + 1, cost=cost)


def finetune(dbn, train_set, valid_set, settings, checkpoint, progress=True):
    """Gradient descent on the labels with early stopping (paper §4.1).

    After every epoch the share of wrong frames of the validation set is measured; the parameters of the lowest are
    kept in ``checkpoint.best_values``. Training ends when the patience is used up, see :class:`TrainingSettings`.

    Parameters
    ----------
    dbn : DBN
        Changed in place; left with the last parameters, not the best.
    train_set, valid_set : dbn.frames.FrameSet
        Scaled frames with labels.
    settings : TrainingSettings
        The choices.
    checkpoint : dbn.checkpoint.Checkpoint
        Where to begin; kept up to date.
    progress : bool
        Whether to show a bar.

    Raises
    ------
    TrainingError
        The cost or a parameter is no longer a number.
    """
    numbers = checkpoint.numbers
    if checkpoint.stage > dbn.n_layers:
        return
    predict = dbn.prediction_function()
    per_epoch = n_minibatches(train_set.n_frames, settings.batch_size)
    if not checkpoint.best_values:
        checkpoint.values = checkpoint.best_values = dbn.get_values()
        numbers.update(best_error=frame_error(predict, valid_set), best_epoch=0, stopped="epochs",
                       patience=10 * per_epoch if settings.patience is None else settings.patience)
    total = settings.finetune_epochs * train_set.n_frames
    with closing(_EpochRunner(train_set, settings, dbn.dtype)) as runner, \
            _bar("fine-tuning", total, checkpoint.epoch * train_set.n_frames, progress) as bar:
        run_epoch = dbn.finetuning_epoch(runner.data_x, runner.data_y)
        while checkpoint.epoch < settings.finetune_epochs and numbers["stopped"] != "patience":
            epoch = checkpoint.epoch
            cost = runner.run(run_epoch, settings.finetune_lr, dbn.n_layers, epoch, bar)
            values = _finite_values(dbn, cost, f"fine-tuning, epoch {epoch + 1}", "finetune_lr",
                                    settings.finetune_lr)
            error = frame_error(predict, valid_set)
            _early_stopping(checkpoint, error, values, (epoch + 1) * per_epoch, settings)
            bar.set_postfix(cost=f"{cost:.3f}", valid=f"{error:.4f}", best=f"{numbers['best_error']:.4f}")
            checkpoint.finish_epoch(values, stage="finetune", epoch=epoch + 1, cost=cost, valid_error=error)
    checkpoint.next_stage()


def _early_stopping(checkpoint, error, values, n_updates, settings):
    """The tutorial's rule, but for the parameters being kept: any new best is, a clear one also earns patience."""
    numbers = checkpoint.numbers
    if error < numbers["best_error"]:
        if error < numbers["best_error"] * settings.improvement_threshold:
            numbers["patience"] = max(numbers["patience"], int(n_updates * settings.patience_increase))
        numbers.update(best_error=error, best_epoch=checkpoint.epoch + 1)
        checkpoint.best_values = values
    if numbers["patience"] <= n_updates:
        numbers["stopped"] = "patience"


def frame_error(predict, frames):
    """Share of wrong frames.

    Parameters
    ----------
    predict : callable
        Class probabilities [m, n_outs] of scaled frames [m, n_ins].
    frames : dbn.frames.FrameSet
        With labels.

    Returns
    -------
    float
        Between 0 and 1, over every frame of the set.
    """
    wrong = sum(int((predict(x).argmax(axis=1) != y).sum()) for x, y in frames.blocks())
    return wrong / frames.n_frames


def _finite_values(dbn, cost, where, option, lr):
    """Copies of the parameters, once it is sure that they are still numbers."""
    values = dbn.get_values()
    if not np.isfinite(cost) or not all(np.isfinite(value).all() for value in values):
        raise TrainingError(f"{where}: the cost is no longer a finite number; lower {option} (now {lr:g})")
    return values


def _bar(description, total, initial, progress):
    return tqdm(desc=description, total=total, initial=initial, unit=" frames", unit_scale=True, smoothing=0.1,
                disable=None if progress else True)
