"""What the loops share: how a run begins, epochs in calls that can be watched and stopped, what follows each."""
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from dbn.errors import DivergedError, TrainingError
from dbn.layers import Parameters
from dbn.system.blas import one_blas_thread
from dbn.system.progress import progress_bar
from dbn.training.epochs import carried_state
from dbn.training.settings import checked_scaling
from dbn.training.state import ADVICE, RunState, alike, fingerprint, run_folder

# what the seeds of the different draws begin with, so that no two of them are the same
WEIGHTS, SHUFFLING, SAMPLING, DROPOUT = range(4)


@dataclass(frozen=True)
class TrainingResult:
    """A trained network and how it came about.

    Attributes
    ----------
    dbn : dbn.dbn.DBN or dbn.cdbn.ConvolutionalDBN
        With the parameters of the best validation error.
    history : list of dict
        One record an epoch: ``stage`` ("pretrain" or "finetune"), ``layer`` (pre-training), ``epoch`` (from 1),
        ``cost`` (mean over the epoch; of pre-training see :meth:`dbn.rbm.RBM.get_cost_updates`), ``seconds`` (since the
        record before), for fine-tuning ``valid_error``, and for pre-training of a DBN with validation frames
        ``free_energy_gap``, see :mod:`dbn.training.monitor`.
    best_epoch : int or None
        Epoch of fine-tuning whose parameters were kept; 0 is before the first. None without fine-tuning, as the next.
    best_error : float or None
        Its frame error on the validation set.
    stopped : str or None
        Why fine-tuning ended: "patience" or "epochs"; "paused" if it was not to go on to its end.
    versions : dict
        Of what computed it, over all starts of the run; see :func:`dbn.system.versions.joined`.
    """

    dbn: Parameters
    history: list
    best_epoch: int
    best_error: float
    stopped: str
    versions: dict

    @classmethod
    def of(cls, dbn, state, stopped):
        """That of a run's last :class:`dbn.training.state.RunState`."""
        numbers = state.numbers
        return cls(dbn, state.history, numbers.get("best_epoch"), numbers.get("best_error"), stopped, state.versions)

    def seconds(self, stage):
        """Wall-clock time of "pretrain" or "finetune", over all starts of the run."""
        return sum(record["seconds"] for record in self.history if record["stage"] == stage)


@contextmanager
def begun_run(network, sets, n_outs, settings, directory, data_key, most_in_memory):
    """Begin a run of training, or go on with the one whose checkpoint is there; with one BLAS thread until it ends.

    Parameters
    ----------
    network : dbn.layers.Parameters
        Untrained; takes the parameters of the checkpoint's last epoch, if there is one.
    sets : dict of str to (dbn.audio.frames.FrameSet or None)
        Scaled frames "training", "validation" and "pretraining", in this order; None where there are none of a kind.
    n_outs : int
        Number of classes.
    settings : dbn.training.settings.TrainingSettings or dbn.training.settings.ConvolutionalSettings
    directory : path or None
        Of the checkpoint and the history, see :func:`dbn.training.state.run_folder`.
    data_key : str, or list of what JSON knows
        What else than the sets' frames and labels names the data.
    most_in_memory : int
        Frames; a set of more is in a file that is mapped.

    Yields
    ------
    folder : pathlib.Path
        For files of this run.
    state : dbn.training.state.RunState
        Where to begin.
    sets : dict of str to dbn.audio.frames.FrameSet
        Those given, their frames ready for use.

    Raises
    ------
    TrainingError
        Frames of different widths, or a checkpoint that cannot be read, or that belongs to other settings or data.
    """
    sets = {name: frames for name, frames in sets.items() if frames is not None}
    width = sets["training"].n_features
    for name, frames in sets.items():
        if frames.n_features != width:
            raise TrainingError(f"training frames have {width} values, {name} frames {frames.n_features}: build both "
                                "with the same options")
    with run_folder(directory) as folder, one_blas_thread:
        of_run = None if directory is None else fingerprint(settings, list(sets.values()), n_outs, data_key)
        state = RunState(directory, of_run)
        if state.history:
            state.require_fit(network.get_values(), settings)
            network.set_values(state.values)
        yield folder, state, {name: _stored(frames, folder / f"{name}-inputs.npy", most_in_memory)
                              for name, frames in sets.items()}


def _stored(frames, path, most):
    """The set with its frames ready for use: in memory if they are at most so many, else in a file."""
    if frames.rows is not None:
        return frames
    return frames.stored(None if frames.n_frames <= most else path)


def fitted_scaling(frames, settings, kind):
    """The scaling of a network's inputs, which divides by the deviation of its visible units as well.

    Parameters
    ----------
    frames : dbn.audio.frames.FrameSet
        Unscaled; what the scaling is fitted to.
    settings, kind
        See :func:`dbn.training.settings.checked_scaling`, whose errors are raised as well.

    Returns
    -------
    dbn.audio.scaling.Scaling

    Raises
    ------
    DBNError
        As :meth:`dbn.audio.scaling.Scaling.fit`.
    """
    scaling = checked_scaling(kind, settings).fit(x for x, _ in frames.blocks())
    scaling.gain = scaling.gain / np.float32(getattr(settings, "visible_std", 1))
    return scaling


@contextmanager
def lent(params, compiled):
    """Lend the values of a network's `params` to a compiled epoch, and take back what becomes of them.

    Parameters
    ----------
    params : list of shared variables
        In the order of ``compiled.params``.
    compiled : dbn.training.epochs.CompiledEpoch
    """
    for ours, its in zip(params, compiled.params, strict=True):
        its.set_value(ours.get_value(borrow=True))
    yield
    for ours, its in zip(params, compiled.params):
        ours.set_value(its.get_value())


def run_in_calls(compiled, order, batch_size, lr, bar, per_call):
    """Sum of the costs of an epoch's examples in the order given, `per_call` or less in a call.

    Parameters
    ----------
    compiled : dbn.training.epochs.CompiledEpoch
    order : int64 array [n]
    batch_size : int
        Examples of a minibatch, all of one call.
    lr : float
    bar : tqdm.tqdm
        Told of every call.
    per_call : int
        Of examples: their computation takes a fraction of a second, so that the bar moves and Ctrl-C is heard.

    Returns
    -------
    float
    """
    total, per_call = 0.0, batch_size * max(1, per_call // batch_size)
    for start in range(0, len(order), per_call):
        rows = order[start:start + per_call]
        total += float(compiled.run(rows, batch_size, lr)) * len(rows)
        bar.update(len(rows))
    return total


def carried_variables(graph, params, rbm, settings, state):
    """What epochs hand on beside the parameters, as the last epoch of this stage left it, if there was one."""
    carried = [each for of_kind in carried_state(graph, params, rbm, settings.batch_size) for each in of_kind]
    before = [variable.get_value(borrow=True) for variable in carried]
    if state.carried and not alike(state.carried, before):
        raise TrainingError(f"{state.path}: what an epoch hands on is of another size; {ADVICE}")
    for variable, value in zip(carried, state.carried):
        variable.set_value(value)
    return carried


def finite_values(network, cost, where, option, lr, state):
    """Copies of the parameters, once it is sure that they are still numbers, whose products are numbers too."""
    values = network.get_values()
    highest = np.sqrt(np.finfo(network.dtype).max)
    if not np.isfinite(cost) or not all((np.abs(value) < highest).all() for value in values):
        raise DivergedError(f"{where}: the cost is no longer a finite number; lower {option} (now {lr:g})",
                            state.history)
    return values


def check_sets(train_set, valid_set, n_outs):
    """Raise a :class:`~dbn.errors.TrainingError` if one of two sets has no frames or labels, or they do not fit."""
    for name, frames in (("training", train_set), ("validation", valid_set)):
        if frames.n_frames == 0:
            raise TrainingError(f"the {name} set has no frames: the split gives it no song that could be read")
        if frames.labels is None:
            raise TrainingError(f"the {name} set has no labels")
        if frames.labels.min() < 0 or frames.labels.max() >= n_outs:
            raise TrainingError(f"the {name} set has labels outside 0 to {n_outs - 1}")


def check_lengths(songs, settings, what="song"):
    """Raise a :class:`~dbn.errors.TrainingError` that names the first song with too few frames for such a network.

    Parameters
    ----------
    songs : dbn.audio.frames.FrameSet
        A segment a song.
    settings : dbn.training.settings.TrainingSettings or dbn.training.settings.ConvolutionalSettings
    what : str
        What the message calls a song.
    """
    n_frames, least = np.diff(songs.bounds), settings.min_frames
    short = np.flatnonzero(n_frames < least)
    if len(short):
        name = songs.names[short[0]] if songs.names else f"number {short[0] + 1}"
        raise TrainingError(f"{what} {name}: has {n_frames[short[0]]} frames, and the network takes {least} at least: "
                            "leave it out, or give smaller widths or pools")


def finetune_epochs(network, run_epoch, error_of, carried, settings, state, bar, last_epoch):
    """Epochs of fine-tuning, each with a look at the validation set, until `last_epoch` or until patience ends them.

    Parameters
    ----------
    network : dbn.layers.Parameters
        Changed in place; left with the last parameters, those of the lowest error are in ``state.best_values``.
    run_epoch : callable
        Of the epoch's number, from 0: changes the network, and gives the mean cost.
    error_of : callable
        Without arguments: the network's share of wrong validation frames.
    carried : list of shared variables
        What an epoch hands on beside the parameters.
    settings : dbn.training.settings.TrainingSettings or dbn.training.settings.ConvolutionalSettings
    state : dbn.training.state.RunState
        Where to begin; kept up to date.
    bar : tqdm.tqdm
        Told of the errors.
    last_epoch : int

    Raises
    ------
    DivergedError
        The cost or a parameter is no longer a number.
    """
    numbers = state.numbers
    while state.epoch < last_epoch and numbers["stopped"] != "patience":
        epoch = state.epoch
        cost = run_epoch(epoch)
        values = finite_values(network, cost, f"fine-tuning, epoch {epoch + 1}", "finetune_lr", settings.finetune_lr,
                               state)
        error = error_of()
        _early_stopping(state, error, values, settings.patience)
        bar.set_postfix(cost=f"{cost:.3f}", valid=f"{error:.4f}", best=f"{numbers['best_error']:.4f}")
        state.carried = [variable.get_value() for variable in carried]
        state.finish_epoch(values, stage="finetune", epoch=epoch + 1, cost=cost, valid_error=error)


def begin_finetuning(network, error_of, state):
    """Take the network as it is for the best one so far, unless a run goes on; arguments as above."""
    if not state.best_values:
        state.values = state.best_values = network.get_values()
        state.numbers.update(best_error=error_of(), best_epoch=0, stopped="epochs")


def _early_stopping(state, error, values, patience):
    numbers, epoch = state.numbers, state.epoch + 1
    if error < numbers["best_error"]:
        numbers.update(best_error=error, best_epoch=epoch)
        state.best_values = values
    if epoch - numbers["best_epoch"] >= patience:
        numbers["stopped"] = "patience"


def epochs_bar(description, total, initial, progress, unit=" frames"):
    """A bar over all epochs of a stage, see :func:`dbn.system.progress.progress_bar`."""
    return progress_bar(description, None, progress, total=total, initial=initial, unit=unit, unit_scale=True,
                        smoothing=0.1)
