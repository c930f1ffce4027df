"""A trained convolutional DBN, and its use by NumPy alone, of whole songs or block by block.

Features are worked out for `BLOCKS` blocks at a time, counted from the song's beginning, always by a product of the
same size: what the last digits are depends on a row's place in the matrix. So a song that comes in pieces of any
length has the same bits as one that comes as a whole, and takes no more memory than a piece.

**By frame.** A layer has one feature for several frames. Where the frames' own number is wanted, each takes that of the
block in whose middle it lies: if a block of the layer stands for P frames, the product of the blocks' sizes up to
there, and sees R, these are the P in the middle of the R. The first and the last frames take the nearest one.
"""
import json
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from dbn.audio.scaling import Scaling
from dbn.errors import DBNError, ModelFileError
from dbn.trained.archive import MAX_BYTES, check_json, read_array, read_scaling, scaling_arrays
from dbn.trained.forward import require_classes, sigmoid, softmax

FORMAT, VERSION = "hamel-eck-convolutional-dbn", 2
BLOCKS = 64  # of a product: with 6 frames of 80 values and blocks of 3, a matrix of 0.4 MB
MOST_FRAMES = 1000  # of a base or a block

_KINDS = {"visible": str, "output": str, "widths": list, "pools": list, "classes": list, "scaling": str,
          "frame_settings": dict, "history": list, "about": dict}
_OUTPUTS = {"softmax": softmax, "sigmoid": sigmoid}


def frames_of_blocks(n_blocks, widths, pools):
    """Frames that so many blocks of the last of some layers see.

    Parameters
    ----------
    n_blocks : int
    widths, pools : sequence of int
        Of the layers, from the bottom.
    """
    for width, pool in zip(reversed(widths), reversed(pools)):
        n_blocks = n_blocks * pool + width - 1
    return n_blocks


def product_bytes(width, pool, n_in):
    """What :func:`side_by_side` makes of the frames of `BLOCKS` blocks takes, on `n_in` values a frame; in bytes."""
    return 4 * BLOCKS * pool * width * n_in


def side_by_side(frames, width, out=None):
    """What a base sees at every position: the frames of each window in one row.

    Parameters
    ----------
    frames : ndarray [n, n_in]
    width : int
        Frames of a window, at most `n`.
    out : ndarray [n - width + 1, width * n_in], optional
        Filled and returned; contiguous.

    Returns
    -------
    ndarray [n - width + 1, width * n_in]
        A copy, frame after frame.
    """
    windows = np.lib.stride_tricks.sliding_window_view(frames, width, axis=0)  # [positions, n_in, width]
    if out is None:
        out = np.empty((len(windows), width * frames.shape[1]), dtype=frames.dtype)
    out.reshape(-1, width, frames.shape[1])[:] = windows.transpose(0, 2, 1)
    return out


@dataclass(frozen=True)
class ConvolutionalModel:
    """A trained :class:`dbn.cdbn.ConvolutionalDBN` without its graph; its methods are those of a :class:`Model`.

    Attributes
    ----------
    weights, biases : list of float32 arrays [width * n_in, n_hidden], [n_hidden]
        Of the RBMs from the bottom, then of the output layer [n_hidden, n_classes], [n_classes].
    visible_biases : list of float32 arrays [n_in]
        Of the RBMs.
    widths, pools : tuple of int
        Frames of a base, and units of a block, of each layer.
    visible : {"bernoulli", "gaussian"}
        Kind of the first RBM's visible units.
    output : {"softmax", "sigmoid"}
        Of the last layer.
    scaling : dbn.audio.scaling.Scaling
        Fitted; makes inputs of frames.
    classes, frame_settings, history, about
        As of :class:`dbn.trained.model.Model`; no classes where it was trained without labels.
    """

    weights: list
    biases: list
    visible_biases: list
    widths: tuple
    pools: tuple
    visible: str
    output: str
    scaling: Scaling
    classes: tuple = ()
    frame_settings: dict = field(default_factory=dict)
    history: list = field(default_factory=list)
    about: dict = field(default_factory=dict)

    @classmethod
    def from_dbn(cls, dbn, scaling, classes=(), frame_settings=(), history=(), about=()):
        """Copy the parameters out of a trained :class:`dbn.cdbn.ConvolutionalDBN`."""
        values = [param.get_value().astype(np.float32) for param in dbn.params]
        return cls(values[::2], values[1::2], [rbm.vbias.get_value().astype(np.float32) for rbm in dbn.rbm_layers],
                   tuple(rbm.width for rbm in dbn.rbm_layers), tuple(rbm.pool for rbm in dbn.rbm_layers), dbn.visible,
                   dbn.logLayer.output, scaling, tuple(classes), dict(frame_settings), list(history), dict(about))

    @property
    def n_layers(self):
        """Number of hidden layers."""
        return len(self.widths)

    @property
    def min_frames(self):
        """Frames that a block of the last layer sees, the fewest of a song."""
        return frames_of_blocks(1, self.widths, self.pools)

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
        return _stream(self._layers(), parts, self.scaling.n_features)

    def activations(self, frames):
        """The features by frame, see the module: list of float32 arrays [n_frames, n_hidden], one a layer.

        Parameters
        ----------
        frames : float32 [n_frames, n_features]
            Those of a whole song, not scaled.

        Raises
        ------
        DBNError
            Fewer than :attr:`min_frames` of them, or of another width than the model's.
        """
        return [np.concatenate(parts) for parts in zip(*self.activation_blocks([frames]))]

    def activation_blocks(self, parts):
        """What :meth:`activations` gives for a song whose frames come in `parts`, see :meth:`stream`, part by part."""
        return self._by_frame(parts, self._layers(), range(self.n_layers))

    def predict_proba(self, frames):
        """Outputs of the last layer by frame; float32 [n_frames, n_classes]. `frames` as for :meth:`activations`.

        Raises
        ------
        DBNError
            The network has no classes, or as :meth:`activations`.
        """
        return np.concatenate(list(self.probability_blocks([frames])))

    def probability_blocks(self, parts):
        """What :meth:`predict_proba` gives for a song whose frames come in `parts`, part by part."""
        last = self.weights[-1], self.biases[-1]
        require_classes(last)
        layers = [*self._layers(), LayerFeatures(last, function=_OUTPUTS[self.output])]
        return (outputs for [outputs] in self._by_frame(parts, layers, [self.n_layers]))

    def _layers(self):
        return [LayerFeatures(layer, width, pool, None if i else self.scaling)
                for i, (layer, width, pool) in enumerate(zip(zip(self.weights, self.biases), self.widths, self.pools))]

    def _by_frame(self, parts, layers, wanted):
        """The outputs of the `wanted` of some layers, their numbers from 0, by frame: a list of arrays for each part.

        What an output layer says belongs to the blocks of the layer below it.
        """
        below = [min(number, self.n_layers - 1) + 1 for number in wanted]
        aligned = [_ByFrame(self.widths[:n], self.pools[:n]) for n in below]
        n_frames = 0

        def counted():
            nonlocal n_frames
            for part in parts:
                n_frames += len(part)
                yield part

        for outputs in _stream(layers, counted(), self.scaling.n_features):
            for each, number in zip(aligned, wanted):
                each.add(outputs[number])
            known = min(n_frames, *(each.n_known for each in aligned))
            yield [each.frames_until(known) for each in aligned]
        if n_frames < self.min_frames:
            raise DBNError(f"a song of {n_frames} frames: the network takes {self.min_frames} at least; leave it out")
        yield [each.frames_until(n_frames) for each in aligned]


def _stream(layers, parts, n_features):
    """What each of a list of :class:`LayerFeatures` makes of what the one below it gives, see the model's `stream`."""
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
        Frames of a base, units of a block. An output layer has one of each.
    scaling : dbn.audio.scaling.Scaling, optional
        Applied to the frames first.
    function : callable
        What is made of a block's input, log of the sum of exp(I) over its units, in place; see :mod:`dbn.crbm`.
    """

    def __init__(self, layer, width=1, pool=1, scaling=None, function=sigmoid):
        self.weights, self.bias = layer
        self.width, self.pool, self.scaling, self.function = width, pool, scaling, function
        n_in = len(self.weights) // width if scaling is None else scaling.n_features
        self._waiting = np.empty((0, n_in), dtype=np.float32)
        # those of a product; new memory for each of them takes about as long as all of its exponentials
        self._rows = np.empty((BLOCKS * pool, len(self.weights)), dtype=np.float32)
        self._inputs = np.empty((BLOCKS * pool, len(self.bias)), dtype=np.float32)

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
        """Of BLOCKS blocks."""
        if self.scaling is not None:
            frames = self.scaling.transform(frames)  # here, since principal components are a product too
        np.matmul(side_by_side(frames, self.width, out=self._rows), self.weights, out=self._inputs)
        self._inputs += self.bias
        inputs = self._inputs.reshape(BLOCKS, self.pool, -1)
        largest = inputs.max(axis=1)
        inputs -= largest[:, None]
        return self.function(largest + np.log(np.exp(inputs, out=inputs).sum(axis=1)))


class _ByFrame:
    """A layer's features, of blocks, as those of its frames; see the module.

    Parameters
    ----------
    widths, pools : sequence of int
        Of the layers up to this one.
    """

    def __init__(self, widths, pools):
        self._stride = int(np.prod(pools))
        self._first = (frames_of_blocks(1, widths, pools) - self._stride) // 2  # frame of the first block's middle ones
        self._blocks, self._n_dropped, self._n_given = None, 0, 0

    def add(self, blocks):
        """Take the next blocks, [n, n_hidden]."""
        self._blocks = blocks if self._blocks is None else np.concatenate([self._blocks, blocks])

    @property
    def n_known(self):
        """Frames whose blocks are there."""
        n_blocks = self._n_dropped + len(self._blocks)
        return self._first + self._stride * n_blocks if n_blocks else 0

    def frames_until(self, stop):
        """Those frames up to this one that have not been given yet: [m, n_hidden]."""
        numbers = (np.arange(self._n_given, stop) - self._first) // self._stride - self._n_dropped
        rows = self._blocks[np.clip(numbers, 0, len(self._blocks) - 1)] if len(numbers) else self._blocks[:0]
        self._n_given = max(stop, self._n_given)
        n_done = np.clip((stop - self._first) // self._stride - self._n_dropped, 0, max(len(self._blocks) - 1, 0))
        self._blocks, self._n_dropped = self._blocks[n_done:], self._n_dropped + int(n_done)
        return rows


def model_arrays(model):
    """What a file holds of a :class:`ConvolutionalModel`: a dict of arrays."""
    meta = {"format": FORMAT, "version": VERSION, "visible": model.visible, "output": model.output,
            "widths": model.widths, "pools": model.pools, "classes": list(model.classes), "scaling": model.scaling.kind,
            "frame_settings": model.frame_settings, "history": model.history, "about": model.about}
    arrays = {"meta": np.array(json.dumps(meta, sort_keys=True))}
    for name, values in (("W", model.weights), ("b", model.biases), ("vbias", model.visible_biases)):
        arrays |= {f"{name}{i}": value for i, value in enumerate(values)}
    return arrays | scaling_arrays(model.scaling)


def read_model(archive, meta, path):
    """The :class:`ConvolutionalModel` of an open archive and its `meta`; `path` names it in messages.

    Raises
    ------
    ModelFileError
        A newer file, or arrays that do not fit together.
    """
    check_json(meta, path, FORMAT, VERSION, _KINDS)
    n_layers = len(meta["widths"])
    for name in ("widths", "pools"):
        if not 1 <= n_layers == len(meta[name]) <= len(archive.namelist()) or not all(
                type(n) is int and 1 <= n <= MOST_FRAMES for n in meta[name]):
            raise ModelFileError(f"{path}: damaged: its {name!r} are {str(meta[name])[:100]}")
    if meta["visible"] not in ("bernoulli", "gaussian") or meta["output"] not in _OUTPUTS:
        raise ModelFileError(f"{path}: damaged: its 'visible' or its 'output' is of no kind that there is")
    array = partial(read_array, archive)
    model = ConvolutionalModel([array(f"W{i}", 2) for i in range(n_layers + 1)],
                               [array(f"b{i}", 1) for i in range(n_layers + 1)],
                               [array(f"vbias{i}", 1) for i in range(n_layers)], tuple(meta["widths"]),
                               tuple(meta["pools"]), meta["visible"], meta["output"],
                               read_scaling(archive, meta["scaling"]), tuple(meta["classes"]), meta["frame_settings"],
                               meta["history"], meta["about"])
    _check_shapes(model, path)
    return model


def _check_shapes(model, path):
    sizes = [model.scaling.n_outputs, *(len(bias) for bias in model.biases)]
    fits = (all(W.shape == (width * n_in, n_out)
                for W, width, n_in, n_out in zip(model.weights, [*model.widths, 1], sizes, sizes[1:]))
            and all(len(bias) == n_in for bias, n_in in zip(model.visible_biases, sizes))
            and all(product_bytes(*each) <= MAX_BYTES for each in zip(model.widths, model.pools, sizes))
            and min(sizes[:-1]) > 0 and len(model.classes) == sizes[-1]
            and all(isinstance(name, str) for name in model.classes))
    if not fits:
        raise ModelFileError(f"{path}: damaged: the sizes of its layers do not fit each other")
