"""From the frames of a split to a trained model: scaling, pre-training, fine-tuning, and what it says of songs (§4.1).

What the tables and ``dbn train`` share; their frames come from a :class:`dbn.audio.frames.FrameStore`. And what
:mod:`dbn.estimators` do with rows in memory.
"""
import time
from dataclasses import asdict

import numpy as np

from dbn.audio.frames import FrameSet
from dbn.errors import DBNError
from dbn.system.blas import one_blas_thread
from dbn.system.files import temporary_folder
from dbn.system.memory import forget_peak, peak_bytes
from dbn.trained.convolutional import ConvolutionalModel
from dbn.trained.model import Model
from dbn.training.convolutional import train_convolutional
from dbn.training.loops import build_dbn, finetune, pretrain, train
from dbn.training.running import fitted_scaling
from dbn.training.settings import ConvolutionalSettings
from dbn.training.state import RunState


def fit_model(store, split, scaling_kind, settings, directory, data_key, about, train_set=None, pretrain_set=None):
    """Fit the scaling to the training frames, train the network, and put both into a model.

    Parameters
    ----------
    store : dbn.audio.frames.FrameStore
        The corpus's frames; songs that it had to skip are left out.
    split : dbn.datasets.splits.Split
        `train` teaches, `valid` says when to stop; `test` is not looked at. Without any `valid` no label is looked at:
        the layers are pre-trained and no more.
    scaling_kind : str
        One of :data:`dbn.audio.scaling.KINDS`, or principal components.
    settings : dbn.training.settings.TrainingSettings or dbn.training.settings.ConvolutionalSettings
        All choices of the training; they say which network it is.
    directory : path
        Of the checkpoint. The same call with the same folder goes on where a killed one stopped.
    data_key : str
        Names the data; a checkpoint of other data is refused.
    about : dict
        What the model's ``about`` says of its data, beside the training.
    train_set : dbn.audio.frames.FrameSet, optional
        Unscaled frames to learn from instead of all of ``split.train``.
    pretrain_set : dbn.audio.frames.FrameSet, optional
        Unscaled frames, of which no label is looked at, to fit the scaling to and to pre-train on instead of those.

    Returns
    -------
    dbn.trained.model.Model or dbn.trained.convolutional.ConvolutionalModel
        With the parameters of the best validation error.

    Raises
    ------
    DBNError
        See :func:`dbn.training.loops.train`, :func:`dbn.training.convolutional.train_convolutional` and
        :meth:`dbn.audio.frames.FrameSet.from_store`.
    """
    forget_peak()
    started = time.monotonic()
    train_set = FrameSet.from_store(store, split.train) if train_set is None else train_set
    is_convolutional = isinstance(settings, ConvolutionalSettings)
    loop, model_class = (train_convolutional, ConvolutionalModel) if is_convolutional else (train, Model)
    scaling = fitted_scaling(pretrain_set or train_set, settings, scaling_kind)
    scaling_seconds = time.monotonic() - started
    train_set, classes = train_set.with_scaling(scaling), store.classes if split.valid else ()
    valid_set = FrameSet.from_store(store, split.valid, scaling) if split.valid else None
    pretrain_set = pretrain_set and pretrain_set.with_scaling(scaling)
    result = loop(train_set, valid_set, len(classes), settings, directory, data_key, pretrain_set=pretrain_set)
    about = about | {"settings": asdict(settings), "best_epoch": result.best_epoch, "best_error": result.best_error,
                     "stopped": result.stopped, "versions": result.versions, "versions_of_frames": store.versions,
                     "n_frames": {"pretrain": (pretrain_set or train_set).n_frames, "train": train_set.n_frames,
                                  "valid": valid_set.n_frames if valid_set else 0},
                     "seconds": {"scaling": scaling_seconds, "pretrain": result.seconds("pretrain"),
                                 "finetune": result.seconds("finetune")}, "peak_bytes": peak_bytes()}
    return model_class.from_dbn(result.dbn, scaling, classes, store.settings, result.history, about)


def fit_rows(x, labels, valid, classes, settings, scaling_kind, before=None, progress=True):
    """Train a network on rows in memory.

    Parameters
    ----------
    x : float32 [n, n_features]
    labels : int32 [n] or None
        Class numbers; without them the layers are pre-trained and no more.
    valid : pair of such rows and labels, or None
        Says when to stop; not needed without `labels`.
    classes : sequence of str
        Names of the outputs.
    settings : dbn.training.settings.TrainingSettings
        All choices of the training.
    scaling_kind : str
        One of :data:`dbn.audio.scaling.KINDS`, or principal components; fitted to `x`.
    before : dbn.trained.model.Model, optional
        A network of the same sizes, to go on with its parameters and its scaling: to fine-tune it with `labels`, else
        to pre-train it further.
    progress : bool
        Whether to show progress bars where standard error is a terminal.

    Returns
    -------
    model : dbn.trained.model.Model
        Its history begins with that of `before`.
    numbers : dict
        Of fine-tuning: ``best_epoch`` and ``best_error`` among others; empty without `labels`.
    """
    rows = FrameSet.from_arrays(x, labels)
    scaling = before.scaling if before else fitted_scaling(rows, settings, scaling_kind)
    rows = rows.with_scaling(scaling).stored()
    valid_rows = None if valid is None else FrameSet.from_arrays(*valid).with_scaling(scaling).stored()
    dbn = build_dbn(settings, rows.n_features, len(classes))
    state = RunState(None, "")
    if before:
        dbn.set_values(_values_of(before, dbn))
        if labels is not None:
            state.stage = dbn.n_layers  # where fine-tuning begins
    with one_blas_thread, temporary_folder() as folder:
        pretrain(dbn, rows, settings, state, folder, progress, valid_rows)
        if labels is not None:
            finetune(dbn, rows, valid_rows, settings, state, progress)
            dbn.set_values(state.best_values)
    history = [*(before.history if before else []), *state.history]
    return Model.from_dbn(dbn, scaling, classes, frame_settings={}, history=history), state.numbers


def _values_of(model, dbn):
    """Parameters of `model` in the order of ``dbn.set_values``; of `dbn` the output layer, if its size is another."""
    layers = [param for pair in zip(model.weights, model.biases) for param in pair]
    if len(model.classes) != dbn.logLayer.b.get_value().size:
        layers[-2:] = [param.get_value() for param in dbn.logLayer.params]
    return layers + model.visible_biases


def held_out_rows(labels, fraction, rng):
    """Draw the validation rows, bool [n]: of every class `fraction`, but at least one row and never all.

    Parameters
    ----------
    labels : int array [n]
    fraction : float
    rng : numpy.random.RandomState

    Raises
    ------
    DBNError
        No class has two rows.
    """
    held_out = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        n = min(max(1, round(fraction * len(rows))), len(rows) - 1)
        held_out[rng.permutation(rows)[:n]] = True
    if not held_out.any():
        raise DBNError("no class has two rows, so none can be held out for early stopping: give more rows, or X_valid "
                       "and y_valid")
    return held_out


def label_songs(model, songs):
    """The network's answer for every song: the class with the highest mean of its frame predictions (§4.1).

    Parameters
    ----------
    model : dbn.trained.model.Model
    songs : dbn.audio.frames.FrameSet
        Unscaled frames with labels.

    Returns
    -------
    dict
        ``names`` (list of str), ``true`` and ``predicted`` (int arrays [n_songs]), ``frame_errors`` (number of wrong
        frames) and ``n_frames`` (number of frames).
    """
    true, predicted, wrong = [], [], 0
    for index, x in songs.songs():
        label = songs.segment_labels[index]
        probabilities = model.predict_proba(x)
        true.append(label)
        predicted.append(int(probabilities.mean(axis=0).argmax()))
        wrong += int((probabilities.argmax(axis=1) != label).sum())
    return {"names": list(songs.names), "true": np.array(true), "predicted": np.array(predicted),
            "frame_errors": wrong, "n_frames": songs.n_frames}
