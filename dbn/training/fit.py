"""From the frames of a split to a trained model: scaling, pre-training, fine-tuning, and what it says of songs (§4.1).

What the tables and ``dbn train`` share. The frames come from a :class:`dbn.audio.frames.FrameStore`.
"""
import time
from dataclasses import asdict

import numpy as np

from dbn.audio.frames import FrameSet
from dbn.audio.scaling import Scaling
from dbn.trained.model import Model
from dbn.training.loops import train


def fit_model(store, split, scaling_kind, settings, directory, data_key, about):
    """Fit the scaling to the training frames, train the network, and put both into a model.

    Parameters
    ----------
    store : dbn.audio.frames.FrameStore
        The corpus's frames; songs that it had to skip are left out.
    split : dbn.datasets.splits.Split
        `train` teaches, `valid` says when to stop; `test` is not looked at.
    scaling_kind : str
        One of :data:`dbn.audio.scaling.KINDS`.
    settings : dbn.training.settings.TrainingSettings
        All choices of the training.
    directory : path
        Of the checkpoint. The same call with the same folder goes on where a killed one stopped.
    data_key : str
        Names the data; a checkpoint of other data is refused.
    about : dict
        What the model's ``about`` says of its data, beside the training.

    Returns
    -------
    dbn.trained.model.Model
        With the parameters of the best validation error.

    Raises
    ------
    DBNError
        See :func:`dbn.training.loops.train` and :meth:`dbn.audio.frames.FrameSet.from_store`.
    """
    started = time.monotonic()
    scaling = Scaling(scaling_kind).fit(x for x, _ in FrameSet.from_store(store, split.train).blocks())
    scaling_seconds = time.monotonic() - started
    train_set, valid_set = (FrameSet.from_store(store, part, scaling) for part in (split.train, split.valid))
    result = train(train_set, valid_set, len(store.classes), settings, directory=directory, data_key=data_key)
    about = about | {"settings": asdict(settings), "best_epoch": result.best_epoch, "best_error": result.best_error,
                     "stopped": result.stopped, "versions": result.versions, "versions_of_frames": store.versions,
                     "n_frames": {"train": train_set.n_frames, "valid": valid_set.n_frames},
                     "seconds": {"scaling": scaling_seconds, "pretrain": result.seconds("pretrain"),
                                 "finetune": result.seconds("finetune")}}
    return Model.from_dbn(result.dbn, scaling, store.classes, store.settings, result.history, about)


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
