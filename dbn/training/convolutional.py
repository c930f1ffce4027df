"""Greedy pre-training of a convolutional DBN on songs (Lee, Pham, Largman and Ng 2009, see :mod:`dbn.crbm`).

A minibatch is some pieces of songs, none of which crosses a song's end. All pieces of a layer are of one length, that
of `piece_blocks` blocks of a base, and follow each other so that every position of a base is in one piece. Where the
first one begins is drawn anew for each song in each epoch, as far as what is left over allows. Songs that are shorter
than a piece teach nothing.
"""
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np

from dbn.audio.frames import FrameSet
from dbn.audio.scaling import Scaling
from dbn.cdbn import ConvolutionalDBN
from dbn.errors import TrainingError
from dbn.system.blas import one_blas_thread
from dbn.trained.convolutional import ConvolutionalModel, LayerFeatures
from dbn.training.epochs import PiecesGraph, compiled_epoch
from dbn.training.running import (SAMPLING, SHUFFLING, WEIGHTS, carried_variables, epochs_bar, finite_values, lent,
                                  run_in_calls)
from dbn.training.settings import ConvolutionalSettings
from dbn.training.state import RunState, fingerprint, run_folder

PIECES_PER_CALL = 128  # a compiled call of about a second with 300 bases


@dataclass(frozen=True)
class ConvolutionalResult:
    """A trained network and how it came about.

    Attributes
    ----------
    cdbn : dbn.cdbn.ConvolutionalDBN
    history : list of dict
        One record an epoch: ``stage`` ("pretrain"), ``layer`` and ``epoch`` (from 1), ``cost`` (mean over the pieces,
        see :meth:`dbn.crbm.ConvolutionalRBM.get_reconstruction_cost`), ``seconds``.
    versions : dict
        Of what computed it, over all starts of the run.
    """

    cdbn: ConvolutionalDBN
    history: list
    versions: dict


def train_convolutional(songs, settings=ConvolutionalSettings(), directory=None, data_key="", progress=True):
    """Pre-train every layer of a convolutional DBN.

    Parameters
    ----------
    songs : dbn.audio.frames.FrameSet
        Scaled frames, a segment a song; no labels are looked at. They are held in memory.
    settings : ConvolutionalSettings
        All choices.
    directory : path, optional
        Where the checkpoint and the history are kept. The same call with the same folder goes on where a killed one
        stopped, and ends with the same bits; while another process is at it, it waits.
    data_key : str
        Names the data; a checkpoint of other data is refused.
    progress : bool
        Whether to show progress bars where standard error is a terminal.

    Returns
    -------
    ConvolutionalResult

    Raises
    ------
    DivergedError
        A cost or a parameter is no longer a finite number.
    TrainingError
        No song is as long as a piece, or a checkpoint that cannot be used.
    """
    settings.require_size(songs.n_features)
    cdbn = ConvolutionalDBN(np.random.default_rng([settings.seed, WEIGHTS]), n_ins=songs.n_features,
                            hidden_layers_sizes=settings.hidden_layers_sizes, widths=settings.widths,
                            pools=settings.pools, visible=settings.visible, dtype="float32")
    with run_folder(directory), one_blas_thread:
        data_key = [data_key, songs.bounds.tolist()]
        state = RunState(directory, None if directory is None else fingerprint(settings, [songs], 0, data_key))
        if state.history:
            state.require_fit(cdbn.get_values(), settings)
            cdbn.set_values(state.values)
        songs = songs.stored() if songs.rows is None else songs
        for layer in range(cdbn.n_layers):
            if layer:
                songs = _features(songs, cdbn.rbm_layers[layer - 1])
            if layer >= state.stage:
                _pretrain_layer(cdbn, layer, songs, settings, state, progress)
                state.next_stage()
    return ConvolutionalResult(cdbn, state.history, state.versions)


def fit_songs(songs, settings, scaling_kind, visible_std=1.0, progress=True):
    """Fit a scaling to songs, train on them, and put both into a model.

    Parameters
    ----------
    songs : dbn.audio.frames.FrameSet
        Unscaled frames, a segment a song.
    settings : ConvolutionalSettings
        All choices of the training.
    scaling_kind : str
        One of :data:`dbn.audio.scaling.KINDS`, or principal components.
    visible_std : float
        Standard deviation of Gaussian visible units: the scaled frames are divided by it, which is the same.
    progress : bool
        Whether to show progress bars where standard error is a terminal.

    Returns
    -------
    dbn.trained.convolutional.ConvolutionalModel

    Raises
    ------
    DBNError
        See :func:`train_convolutional`; or a deviation that is not positive, or not 1 for binary units.
    """
    if not 0 < visible_std < np.inf or (settings.visible != "gaussian" and visible_std != 1):
        raise TrainingError(f"visible_std is {visible_std!r}: give a positive number, and 1 for visible='bernoulli'")
    scaling = Scaling(scaling_kind).fit(x for x, _ in songs.blocks())
    scaling.gain = scaling.gain / np.float32(visible_std)
    result = train_convolutional(songs.with_scaling(scaling), settings, progress=progress)
    return ConvolutionalModel.from_cdbn(result.cdbn, scaling, history=result.history)


def _features(songs, rbm):
    """What one layer's RBM makes of each song of a stored FrameSet, as another one."""
    weights, bias, _ = (param.get_value(borrow=True) for param in rbm.params)
    parts = []
    for _, x in songs.songs():
        layer = LayerFeatures((weights, bias), rbm.width, rbm.pool)
        parts.append(np.concatenate([layer.add(x), layer.rest()]))
    stops = np.cumsum([0] + [len(part) for part in parts])
    if not stops[-1]:
        raise TrainingError("no song is long enough for the layer's bases: give longer songs, or fewer layers")
    return FrameSet(np.concatenate(parts), list(zip(stops, stops[1:])))


def _pretrain_layer(cdbn, layer, songs, settings, state, progress):
    rbm = cdbn.rbm_layers[layer]
    step, overlap = rbm.pool * settings.piece_blocks, rbm.width - 1
    n_pieces = len(piece_starts(songs.bounds, step, overlap, np.random.default_rng(0)))
    if not n_pieces:
        raise TrainingError(f"no song has {step + overlap} frames of the inputs of layer {layer + 1}, which a piece "
                            f"takes: give longer songs, or a piece_blocks below {settings.piece_blocks}")
    graph = PiecesGraph.of(settings, layer)
    carried = carried_variables(graph, rbm.params, rbm, settings, state)
    compiled = compiled_epoch(graph, cdbn.dtype)
    compiled.set_numbers(settings)
    compiled.piece_frames.set_value(step + overlap)
    with ExitStack() as stack:
        stack.callback(compiled.release_data)
        compiled.data_x.set_value(songs.rows, borrow=True)
        bar = stack.enter_context(epochs_bar(f"pre-training layer {layer + 1}", settings.pretrain_epochs * n_pieces,
                                             state.epoch * n_pieces, progress, " pieces"))
        for epoch in range(state.epoch, settings.pretrain_epochs):
            rng = np.random.default_rng([settings.seed, SHUFFLING, layer, epoch])
            compiled.starts.set_value(piece_starts(songs.bounds, step, overlap, rng))
            compiled.streams.seed([settings.seed, SAMPLING, layer, epoch])
            with lent([*rbm.params, *carried], compiled):
                cost = run_in_calls(compiled, rng.permutation(n_pieces), settings.batch_size, settings.pretrain_lr, bar,
                                    PIECES_PER_CALL) / n_pieces
            values = finite_values(cdbn, cost, f"pre-training of layer {layer + 1}, epoch {epoch + 1}", "pretrain_lr",
                                   settings.pretrain_lr, state)
            bar.set_postfix(cost=f"{cost:.3f}")
            state.carried = [variable.get_value() for variable in carried]
            state.finish_epoch(values, stage="pretrain", layer=layer + 1, epoch=epoch + 1, cost=cost)


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
