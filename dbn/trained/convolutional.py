"""A trained convolutional DBN as one ``.npz``, and its use by NumPy alone, of whole songs or block by block.

The file is as :mod:`dbn.trained.model` has it: plain arrays and one text in JSON, read without pickle, every array's
size and dtype checked before its data are, and the same model gives the same bytes.

Features are worked out for `BLOCKS` blocks at a time, counted from the song's beginning, always by a product of the
same size: what the last digits are depends on a row's place in the matrix. So a song that comes in pieces of any
length has the same bits as one that comes as a whole, and takes no more memory than a piece.
"""
import json
from dataclasses import dataclass, field

import numpy as np

from dbn.audio.scaling import Scaling
from dbn.errors import DBNError, ModelFileError
from dbn.trained.forward import sigmoid
from dbn.trained.model import open_archive, read_array, read_json, read_scaling, scaling_arrays, write_arrays

FORMAT, VERSION = "hamel-eck-convolutional-dbn", 1
BLOCKS = 64  # of a product: with 6 frames of 80 values and blocks of 3, a matrix of 0.4 MB
MOST_FRAMES = 1000  # of a base or a block

_KINDS = {"visible": str, "widths": list, "pools": list, "scaling": str, "frame_settings": dict, "history": list,
          "about": dict}


@dataclass(frozen=True)
class ConvolutionalModel:
    """A trained :class:`dbn.cdbn.ConvolutionalDBN` without its graph.

    Attributes
    ----------
    weights, biases, visible_biases : list of float32 arrays [width * n_in, n_hidden], [n_hidden], [n_in]
        Of the RBMs from the bottom.
    widths, pools : tuple of int
        Frames of a base, and units of a block, of each layer.
    visible : {"bernoulli", "gaussian"}
        Kind of the first RBM's visible units.
    scaling : dbn.audio.scaling.Scaling
        Fitted; makes inputs of frames.
    frame_settings, history, about
        As of :class:`dbn.trained.model.Model`.
    """

    weights: list
    biases: list
    visible_biases: list
    widths: tuple
    pools: tuple
    visible: str
    scaling: Scaling
    frame_settings: dict = field(default_factory=dict)
    history: list = field(default_factory=list)
    about: dict = field(default_factory=dict)

    @classmethod
    def from_cdbn(cls, cdbn, scaling, frame_settings=(), history=(), about=()):
        """Copy the parameters out of a trained :class:`dbn.cdbn.ConvolutionalDBN`."""
        values = [[param.get_value().astype(np.float32) for param in rbm.params] for rbm in cdbn.rbm_layers]
        return cls(*map(list, zip(*values)), tuple(rbm.width for rbm in cdbn.rbm_layers),
                   tuple(rbm.pool for rbm in cdbn.rbm_layers), cdbn.visible, scaling, dict(frame_settings),
                   list(history), dict(about))

    @property
    def n_layers(self):
        """Number of layers."""
        return len(self.weights)

    def features(self, frames):
        """The learned features of a song: probabilities that each layer's pooling units are on.

        Parameters
        ----------
        frames : float32 [n_frames, n_features]
            Not scaled.

        Returns
        -------
        list of float32 arrays [n_blocks, n_hidden]
            One a layer, from the bottom: of n rows a layer makes (n - width + 1) // pool, none of too few.

        Raises
        ------
        DBNError
            Frames of another width than the model's.
        """
        return [np.concatenate(parts) for parts in zip(*self.stream([frames]))]

    def stream(self, parts):
        """The features of a song whose frames come in parts of any length.

        Parameters
        ----------
        parts : iterable of float32 arrays [n_frames, n_features]
            In the order of time, not scaled.

        Yields
        ------
        list of float32 arrays [n_blocks, n_hidden]
            For each part, and once more at the end, those rows of each layer that have become known; the same bits as
            :meth:`features` gives, some arrays being empty.
        """
        layers = [LayerFeatures((weights, bias), width, pool, None if i else self.scaling)
                  for i, (weights, bias, width, pool) in enumerate(zip(self.weights, self.biases, self.widths,
                                                                       self.pools))]
        n_features = self.scaling.n_features
        for part in parts:
            below, outputs = np.asarray(part, dtype=np.float32), []
            if below.ndim != 2 or below.shape[1] != n_features:
                raise DBNError(f"frames of shape {below.shape}: the model takes [n_frames, {n_features}]")
            for layer in layers:
                below = layer.add(below)
                outputs.append(below)
            yield outputs
        below, outputs = np.empty((0, n_features), dtype=np.float32), []
        for layer in layers:
            below = np.concatenate([layer.add(below), layer.rest()])
            outputs.append(below)
        yield outputs


class LayerFeatures:
    """One layer's features of a song, with the frames that wait for later ones.

    Parameters
    ----------
    layer : (W [width * n_in, n_hidden], b [n_hidden])
        Float32.
    width, pool : int
        Frames of a base, units of a block.
    scaling : dbn.audio.scaling.Scaling, optional
        Applied to the frames first.
    """

    def __init__(self, layer, width, pool, scaling=None):
        self.weights, self.bias = layer
        self.width, self.pool, self.scaling = width, pool, scaling
        n_in = len(self.weights) // width if scaling is None else scaling.n_features
        self._waiting = np.empty((0, n_in), dtype=np.float32)

    def add(self, frames):
        """Take the next frames [n, n_in]; gives the features [m, n_hidden] that are whole products."""
        frames = np.concatenate([self._waiting, frames])
        step, outputs, start = BLOCKS * self.pool, [], 0
        while start + step + self.width - 1 <= len(frames):
            outputs.append(self._features(frames[start:start + step + self.width - 1]))
            start += step
        self._waiting = frames[start:].copy()
        return np.concatenate([np.empty((0, len(self.bias)), dtype=np.float32), *outputs])

    def rest(self):
        """The features of the frames that wait, once there are no more."""
        n_blocks = max(len(self._waiting) - self.width + 1, 0) // self.pool
        frames = np.zeros((BLOCKS * self.pool + self.width - 1, self._waiting.shape[1]), dtype=np.float32)
        frames[:len(self._waiting)] = self._waiting
        return self._features(frames)[:n_blocks]

    def _features(self, frames):
        """Of BLOCKS blocks: sigmoid(log of the sum of exp(I) over each), see :mod:`dbn.crbm`."""
        if self.scaling is not None:
            frames = self.scaling.transform(frames)  # here, since principal components are a product too
        windows = np.lib.stride_tricks.sliding_window_view(frames, self.width, axis=0)  # [positions, n_in, width]
        patches = np.ascontiguousarray(windows.transpose(0, 2, 1)).reshape(BLOCKS * self.pool, -1)
        inputs = (patches @ self.weights + self.bias).reshape(BLOCKS, self.pool, -1)
        largest = inputs.max(axis=1)
        inputs -= largest[:, None]
        return sigmoid(largest + np.log(np.exp(inputs).sum(axis=1)))


def save_convolutional(path, model):
    """Write a :class:`ConvolutionalModel` beside its place and rename it into it; `path` ends in ``.npz``.

    Raises
    ------
    ModelFileError
        The name has another ending, or the file cannot be written.
    """
    meta = {"format": FORMAT, "version": VERSION, "visible": model.visible, "widths": model.widths,
            "pools": model.pools, "scaling": model.scaling.kind, "frame_settings": model.frame_settings,
            "history": model.history, "about": model.about}
    arrays = {"meta": np.array(json.dumps(meta, sort_keys=True))}
    for name, values in (("W", model.weights), ("b", model.biases), ("vbias", model.visible_biases)):
        arrays |= {f"{name}{i}": value for i, value in enumerate(values)}
    write_arrays(path, arrays | scaling_arrays(model.scaling))


def load_convolutional(path):
    """Read a :class:`ConvolutionalModel`; nothing in the file can run code or take more memory than a model may.

    Raises
    ------
    ModelFileError
        Missing, truncated, foreign or newer file, or arrays that do not fit together.
    """
    with open_archive(path) as archive:
        meta = read_json(archive, "meta", path, FORMAT, VERSION, _KINDS)
        n_layers = len(meta["widths"])
        for name in ("widths", "pools"):
            if not 1 <= n_layers == len(meta[name]) <= len(archive.namelist()) or not all(
                    type(n) is int and 1 <= n <= MOST_FRAMES for n in meta[name]):
                raise ModelFileError(f"{path}: damaged: its {name!r} are {str(meta[name])[:100]}")
        if meta["visible"] not in ("bernoulli", "gaussian"):
            raise ModelFileError(f"{path}: damaged: its 'visible' is neither bernoulli nor gaussian")
        weights, biases, visible_biases = ([read_array(archive, f"{name}{i}", ndim) for i in range(n_layers)]
                                           for name, ndim in (("W", 2), ("b", 1), ("vbias", 1)))
        model = ConvolutionalModel(weights, biases, visible_biases, tuple(meta["widths"]), tuple(meta["pools"]),
                                   meta["visible"], read_scaling(archive, meta["scaling"]), meta["frame_settings"],
                                   meta["history"], meta["about"])
        n_in = model.scaling.n_outputs
        for W, bias, visible_bias, width in zip(weights, biases, visible_biases, model.widths):
            if W.shape != (width * n_in, len(bias)) or len(visible_bias) != n_in or not len(bias) or not n_in:
                raise ModelFileError(f"{path}: damaged: the sizes of its layers do not fit each other")
            n_in = len(bias)
        return model
