"""Training of a convolutional DBN on songs: greedy pre-training (Lee, Pham, Largman and Ng 2009), then fine-tuning.

A minibatch is some pieces of songs, none of which crosses a song's end. All pieces of a layer are of one length, that
of `piece_blocks` blocks of a base, and follow each other so that every position of a base is in one piece. Where the
first one begins is drawn anew for each song in each epoch, as far as what is left over allows. Songs that are shorter
than a piece teach nothing. In fine-tuning it is the same with `finetune_blocks` of the top layer's blocks.
"""
from contextlib import contextmanager
from functools import partial

import numpy as np

from dbn.audio.frames import FrameSet
from dbn.audio.scaling import Scaling
from dbn.cdbn import ConvolutionalDBN
from dbn.errors import TrainingError
from dbn.system.files import release_pages, write_rows
from dbn.trained.convolutional import ConvolutionalModel, LayerFeatures, frames_of_blocks
from dbn.training.epochs import PiecesGraph, compiled_epoch
from dbn.training.running import (SAMPLING, SHUFFLING, WEIGHTS, TrainingResult, begin_finetuning, begun_run,
                                  carried_variables, check_lengths, check_sets, epochs_bar, finetune_epochs,
                                  finite_values, fitted_scaling, lent, run_in_calls)
from dbn.training.settings import ConvolutionalSettings

PIECES_PER_CALL = 128  # a compiled call of about a second with 300 bases
MOST_IN_MEMORY = 200_000  # frames; more are in a file that is mapped


def train_convolutional(train_set, valid_set, n_outs, settings=ConvolutionalSettings(), directory=None, data_key="",
                        progress=True, pretrain_set=None):
    """Pre-train every layer of a convolutional DBN, and fine-tune them all on the labels.

    Parameters
    ----------
    train_set, valid_set : dbn.audio.frames.FrameSet
        Scaled frames with labels, a segment a song. Early stopping looks at the second.
    n_outs : int
        Number of classes; 0 for no fine-tuning: then no label is looked at, and `valid_set` is None.
    settings : ConvolutionalSettings
        All choices.
    directory : path, optional
        Where the checkpoint and the history are kept. The same call with the same folder goes on where a killed one
        stopped, and ends with the same bits; while another process is at it, it waits.
    data_key : str
        Names the data; a checkpoint of other data is refused.
    progress : bool
        Whether to show progress bars where standard error is a terminal.
    pretrain_set : dbn.audio.frames.FrameSet, optional
        Scaled frames to pre-train on instead of the training songs'; it needs no labels.

    Returns
    -------
    dbn.training.running.TrainingResult
        The validation error is that of :meth:`dbn.trained.convolutional.ConvolutionalModel.predict_proba`, by frame.

    Raises
    ------
    DivergedError
        A cost or a parameter is no longer a finite number.
    TrainingError
        No song is as long as a piece, a validation song is too short, sets that do not fit each other, or a checkpoint
        that cannot be used.
    """
    if n_outs:
        check_sets(train_set, valid_set, n_outs)
        check_lengths(valid_set, settings, "validation song")
    settings.require_size(train_set.n_features, n_outs)
    cdbn = ConvolutionalDBN(np.random.default_rng([settings.seed, WEIGHTS]), n_ins=train_set.n_features,
                            hidden_layers_sizes=settings.hidden_layers_sizes, widths=settings.widths,
                            pools=settings.pools, visible=settings.visible, dtype="float32", n_outs=n_outs,
                            output=settings.output)
    sets = {"training": train_set, "validation": valid_set, "pretraining": pretrain_set}
    data_key = [data_key, *(songs.bounds.tolist() for songs in sets.values() if songs is not None)]
    with begun_run(cdbn, sets, n_outs, settings, directory, data_key, MOST_IN_MEMORY) as (folder, state, sets):
        songs = sets["training"]
        _pretrain(cdbn, sets.get("pretraining", songs), settings, state, folder, progress)
        stopped = None
        if n_outs:
            stopped = _finetune(cdbn, songs, sets["validation"], settings, state, progress)
            cdbn.set_values(state.best_values)
    return TrainingResult.of(cdbn, state, stopped)


def fit_songs(songs, settings, scaling_kind, progress=True):
    """Fit a scaling to songs, train on them without labels, and put both into a model.

    Parameters
    ----------
    songs : dbn.audio.frames.FrameSet
        Unscaled frames, a segment a song.
    settings : ConvolutionalSettings
        All choices of the training.
    scaling_kind : str
        One of :data:`dbn.audio.scaling.KINDS`, or principal components.
    progress : bool
        Whether to show progress bars where standard error is a terminal.

    Returns
    -------
    dbn.trained.convolutional.ConvolutionalModel

    Raises
    ------
    DBNError
        See :func:`train_convolutional`.
    """
    scaling = fitted_scaling(songs, settings, scaling_kind)
    result = train_convolutional(songs.with_scaling(scaling), None, 0, settings, progress=progress)
    return ConvolutionalModel.from_dbn(result.dbn, scaling, history=result.history)


def _pretrain(cdbn, songs, settings, state, folder, progress):
    """Each RBM on what the ones below make of the songs, which are scaled and stored."""
    if settings.pretrain_epochs == 0:
        state.stage = max(state.stage, cdbn.n_layers)
    for layer in range(state.stage, cdbn.n_layers):
        path = folder / f"hidden-means-{layer}.npy"
        inputs = _features(songs, cdbn.rbm_layers[:layer], path) if layer else songs
        _pretrain_layer(cdbn, layer, inputs, settings, state, progress)
        state.next_stage()
        path.unlink(missing_ok=True)


def _features(songs, rbms, path):
    """What some layers' RBMs make of each song of a stored FrameSet, as another one."""
    def of_songs():
        for _, x in songs.songs():
            for rbm in rbms:
                weights, bias, _ = (param.get_value(borrow=True) for param in rbm.params)
                layer = LayerFeatures((weights, bias), rbm.width, rbm.pool)
                x = np.concatenate([layer.add(x), layer.rest()])
            yield x

    counts = np.diff(songs.bounds)
    for rbm in rbms:
        counts = np.maximum(counts - rbm.width + 1, 0) // rbm.pool
    stops = np.cumsum([0, *counts])
    if not stops[-1]:
        raise TrainingError("no song is long enough for the layer's bases: give longer songs, or fewer layers")
    if stops[-1] <= MOST_IN_MEMORY:
        rows = np.concatenate(list(of_songs()))
    else:
        rows = write_rows(path, int(stops[-1]), rbms[-1].n_hidden, of_songs())
    return FrameSet(rows, list(zip(stops, stops[1:])))


class _Pieces:
    """The pieces of an epoch, for a compiled one that is lent the songs.

    Parameters
    ----------
    songs : dbn.audio.frames.FrameSet
        Scaled and stored.
    settings : ConvolutionalSettings
    compiled : dbn.training.epochs.CompiledPieces
    step, overlap : int
        See :func:`piece_starts`.
    layer, option : int, str
        The layer that the songs' frames are the inputs of, from 0, and what says how long a piece is, for a message.
    """

    def __init__(self, songs, settings, compiled, step, overlap, layer, option):
        self.songs, self.settings, self.compiled = songs, settings, compiled
        self._starts = partial(piece_starts, songs.bounds, step, overlap)
        self.n_pieces = len(self._starts(np.random.default_rng(0)))
        if not self.n_pieces:
            raise TrainingError(f"no song has {step + overlap} frames of the inputs of layer {layer + 1}, which a "
                                f"piece takes: give longer songs, or a {option} below {getattr(settings, option)}")
        compiled.set_numbers(settings)
        compiled.piece_frames.set_value(step + overlap)

    def run(self, params, lr, stage, epoch, bar):
        """One epoch; `stage` and `epoch` seed its cuts and its shuffling. Gives the mean cost over the pieces."""
        rng, songs = np.random.default_rng([self.settings.seed, SHUFFLING, stage, epoch]), self.songs
        starts = self._starts(rng)
        self.compiled.set_pieces(starts, () if songs.labels is None else songs.labels[starts])
        with lent(params, self.compiled):
            total = run_in_calls(self.compiled, rng.permutation(self.n_pieces), self.settings.batch_size, lr, bar,
                                 PIECES_PER_CALL)
        release_pages(songs.rows)
        return total / self.n_pieces


@contextmanager
def _lent_pieces(graph, songs, settings, *piece):
    """The :class:`_Pieces` of a graph, `piece` being their last arguments; the songs are let go of at the end."""
    compiled = compiled_epoch(graph, "float32")
    pieces = _Pieces(songs, settings, compiled, *piece)
    try:
        compiled.data_x.set_value(songs.rows, borrow=True)
        yield pieces
    finally:
        compiled.release_data()


def _pretrain_layer(cdbn, layer, songs, settings, state, progress):
    rbm, graph = cdbn.rbm_layers[layer], PiecesGraph.of_pretraining(settings, layer)
    carried = carried_variables(graph, rbm.params, rbm, settings, state)
    piece = rbm.pool * settings.piece_blocks, rbm.width - 1, layer, "piece_blocks"
    with _lent_pieces(graph, songs, settings, *piece) as pieces, \
            epochs_bar(f"pre-training layer {layer + 1}", settings.pretrain_epochs * pieces.n_pieces,
                       state.epoch * pieces.n_pieces, progress, " pieces") as bar:
        for epoch in range(state.epoch, settings.pretrain_epochs):
            pieces.compiled.streams.seed([settings.seed, SAMPLING, layer, epoch])
            cost = pieces.run([*rbm.params, *carried], settings.pretrain_lr, layer, epoch, bar)
            values = finite_values(cdbn, cost, f"pre-training of layer {layer + 1}, epoch {epoch + 1}", "pretrain_lr",
                                   settings.pretrain_lr, state)
            bar.set_postfix(cost=f"{cost:.3f}")
            state.carried = [variable.get_value() for variable in carried]
            state.finish_epoch(values, stage="pretrain", layer=layer + 1, epoch=epoch + 1, cost=cost)


def _finetune(cdbn, songs, valid_songs, settings, state, progress):
    """Gradient descent on the labels with early stopping, as :func:`dbn.training.loops.finetune`; why it ended."""
    if state.stage > cdbn.n_layers:
        return state.numbers["stopped"]

    as_they_are = Scaling("none").fit([np.zeros((1, valid_songs.n_features), dtype=np.float32)])

    def error_of():
        model = ConvolutionalModel.from_dbn(cdbn, as_they_are)
        wrong = sum(int((model.predict_proba(x).argmax(axis=1) != valid_songs.segment_labels[index]).sum())
                    for index, x in valid_songs.songs())
        return wrong / valid_songs.n_frames

    begin_finetuning(cdbn, error_of, state)
    step = settings.finetune_blocks * int(np.prod(settings.pools))
    overlap = frames_of_blocks(settings.finetune_blocks, settings.widths, settings.pools) - step
    piece = step, overlap, 0, "finetune_blocks"
    with _lent_pieces(PiecesGraph.of_finetuning(settings), songs, settings, *piece) as pieces, \
            epochs_bar("fine-tuning", settings.finetune_epochs * pieces.n_pieces, state.epoch * pieces.n_pieces,
                       progress, " pieces") as bar:

        def run_epoch(epoch):
            return pieces.run(cdbn.params, settings.finetune_lr, cdbn.n_layers, epoch, bar)

        finetune_epochs(cdbn, run_epoch, error_of, [], settings, state, bar, settings.finetune_epochs)
    state.next_stage()
    return state.numbers["stopped"]


def piece_starts(bounds, step, overlap, rng):
    """Where the pieces of an epoch begin.

    Parameters
    ----------
    bounds : int64 array [n_songs + 1]
        Where each song begins and the last one ends.
    step, overlap : int
        A piece has ``step + overlap`` frames, and the next one of its song begins `step` frames later.
    rng : numpy.random.Generator
        Draws, for each song, how many of its first frames are left out; of those that are in no piece either way.

    Returns
    -------
    int64 array [n_pieces]
        Song by song; their number does not depend on the draws.
    """
    room = np.maximum(np.diff(bounds) - overlap, 0)
    n_pieces = room // step
    first = bounds[:-1] + rng.integers(room % step + 1)
    of_song = np.repeat(np.arange(len(room)), n_pieces)
    number = np.arange(len(of_song)) - np.repeat(np.cumsum(n_pieces) - n_pieces, n_pieces)
    return first[of_song] + step * number
