"""A trained model as one ``.npz``: what is needed to compute features and labels, and how it came about.

The same model gives the same bytes, see :mod:`dbn.trained.archive`. What is saved and read here may be a convolutional
network as well, see :mod:`dbn.trained.convolutional`.
"""
import json
import os
from dataclasses import dataclass, field

import numpy as np

from dbn.audio.scaling import Scaling
from dbn.errors import DBNError, ModelFileError
from dbn.trained import convolutional
from dbn.trained.archive import (check_json, open_archive, read_array, read_json, read_scaling, scaling_arrays,
                                 shipped_models, write_arrays)
from dbn.trained.forward import class_probabilities, hidden_activations
from dbn.trained.generative import gibbs_means, random_units, visible_means

FORMAT = "hamel-eck-dbn"
VERSION = 2  # of files that a program for version 1 would misread; all others are of version 1

ANSWERS = {"visible": ("bernoulli", "gaussian"), "output": ("softmax", "sigmoid"), "activation": ("sigmoid", "relu")}


@dataclass(frozen=True)
class Model:
    """A trained network without its graph: features and probabilities by NumPy, no compiler needed.

    Attributes
    ----------
    weights, biases : list of float32 arrays [n_in, n_out], [n_out]
        Of the hidden layers from the bottom, then of the output layer.
    visible_biases : list of float32 arrays [n_in]
        Of each hidden layer's RBM.
    visible, output : str
        As in :class:`dbn.dbn.DBN`.
    scaling : dbn.audio.scaling.Scaling
        Fitted; turns DFT magnitudes into inputs.
    classes : tuple of str
        Names of the outputs.
    frame_settings : dict
        ``sample_rate``, ``frame_length``, ``hop_length``, ``window`` of the frames that it was trained on.
    history : list of dict
        See :class:`dbn.training.running.TrainingResult`.
    about : dict
        Data set, split, seed, options, versions: whatever can be written as JSON.
    activation : {"sigmoid", "relu"}
        Of the hidden layers.
    """

    weights: list
    biases: list
    visible_biases: list
    visible: str
    output: str
    scaling: Scaling
    classes: tuple
    frame_settings: dict
    history: list = field(default_factory=list)
    about: dict = field(default_factory=dict)
    activation: str = "sigmoid"

    @classmethod
    def from_dbn(cls, dbn, scaling, classes, frame_settings, history=(), about=None):
        """Copy the parameters out of a trained :class:`dbn.dbn.DBN`."""
        layers = [*dbn.sigmoid_layers, dbn.logLayer]
        return cls([layer.W.get_value().astype(np.float32) for layer in layers],
                   [layer.b.get_value().astype(np.float32) for layer in layers],
                   [rbm.vbias.get_value().astype(np.float32) for rbm in dbn.rbm_layers],
                   dbn.visible, dbn.logLayer.output, scaling, tuple(classes), dict(frame_settings), list(history),
                   dict(about or {}), dbn.activation)

    @property
    def n_layers(self):
        """Number of hidden layers."""
        return len(self.weights) - 1

    @property
    def min_frames(self):
        """The fewest frames of a song."""
        return 1

    def activations(self, frames):
        """The learned features (paper §4.1): every hidden layer's activations.

        Parameters
        ----------
        frames : float32 [n_frames, n_ins]
            DFT magnitudes as they come from :func:`dbn.audio.dft_magnitudes`, not scaled.

        Returns
        -------
        list of float32 arrays [n_frames, units]
            One a layer, from the bottom.

        Raises
        ------
        DBNError
            Frames of another width than the model's.
        """
        frames = np.asarray(frames, dtype=np.float32)
        return hidden_activations(frames, self.layers()[:-1], self.scaling, self.activation)

    def activation_blocks(self, parts):
        """:meth:`activations` of each of the parts that a song's frames come in: an iterator of lists of arrays."""
        return map(self.activations, parts)

    def predict_proba(self, frames):
        """Outputs of the last layer for unscaled `frames` float32 [n_frames, n_ins]; float32 [n_frames, n_classes].

        Raises
        ------
        DBNError
            The network has no classes, or frames of another width than the model's.
        """
        return class_probabilities(np.asarray(frames, dtype=np.float32), self.layers(), self.output, self.scaling,
                                   self.activation)

    def probability_blocks(self, parts):
        """:meth:`predict_proba` of each of the parts that a song's frames come in: an iterator of arrays."""
        return map(self.predict_proba, parts)

    def reconstruct(self, frames, n_layers=None):
        """Frames sent up through the RBMs and down again, by means and without draws.

        As :meth:`sample`, it is a question to a network that was pre-trained: fine-tuning changes the weights for the
        labels, and leaves the visible biases alone.

        Parameters
        ----------
        frames : float32 [n_frames, n_ins]
            Unscaled DFT magnitudes.
        n_layers : int, optional
            How far up, from 1; all hidden layers if None.

        Returns
        -------
        float32 [n_frames, n_ins]
            Magnitudes too; ``model.scaling.transform`` makes of them what the network sees.

        Raises
        ------
        DBNError
            No such layer, or frames of another width than the model's.
        """
        n_layers = self._checked_depth(n_layers)
        return self._down(self.activations(frames)[n_layers - 1], n_layers)

    def sample(self, n=1, n_steps=1000, seed=0, frames=None, n_layers=None):
        """What the network takes for likely: Gibbs chains in the top RBM, then down through the layers by means.

        Parameters
        ----------
        n : int
            Number of samples, each the end of a chain of its own that begins at random.
        n_steps : int
            Gibbs steps: hidden units drawn given the visible ones, then the visible ones given those.
        seed : int or numpy.random.Generator
            Of all draws. The same chains for more steps go on from where those for fewer stop.
        frames : float32 [n, n_ins], optional
            Unscaled DFT magnitudes to begin at instead, a chain each, sent up to the top RBM by means.
        n_layers : int, optional
            The number, from 1, of the layer whose RBM is the top one; the last if None.

        Returns
        -------
        float32 [n, n_ins]
            Magnitudes, as :meth:`reconstruct` gives them: the means of the inputs given the last draw of hidden units.

        Raises
        ------
        DBNError
            No such layer, frames of another width than the model's, no step, or a negative number of samples.
        """
        top = self._checked_depth(n_layers) - 1
        if n_steps < 1 or n < 0:
            raise DBNError(f"n_steps is {n_steps} and n is {n}: give at least 1 step, and no negative number")
        rng, layer, visible = np.random.default_rng(seed), self.layers()[top], self._visible(top)
        if frames is None:
            start = random_units(n, layer, visible, rng)
        else:
            start = self.activations(frames)[top - 1] if top else self.scaling.transform(np.asarray(frames, np.float32))
        return self._down(gibbs_means(start, layer, self.visible_biases[top], visible, n_steps, rng), top)

    def _checked_depth(self, n_layers):
        if self.activation != "sigmoid":
            raise DBNError(f"the hidden units are {self.activation}: only those of an RBM, which are binary, can be "
                           "sampled or reconstruct")
        if n_layers is not None and n_layers not in range(1, self.n_layers + 1):
            raise DBNError(f"n_layers is {n_layers!r}: give a number from 1 to {self.n_layers}")
        return self.n_layers if n_layers is None else n_layers

    def _visible(self, layer):
        """Kind of the visible units of a layer's RBM, counted from 0."""
        return self.visible if layer == 0 else "bernoulli"

    def _down(self, units, n_layers):
        """Unscaled frames, given the hidden units of the layer `n_layers`, from 1, or the inputs for 0."""
        for layer in reversed(range(n_layers)):
            units = visible_means(units, self.layers()[layer], self.visible_biases[layer], self._visible(layer))
        return self.scaling.inverse(units)

    def layers(self, dtype=np.float32):
        """The pairs (W, b) of :mod:`dbn.trained.forward`, from the bottom to the output layer; arrays of `dtype`."""
        return [(weights.astype(dtype, copy=False), bias.astype(dtype, copy=False))
                for weights, bias in zip(self.weights, self.biases)]


def save_model(path, model):
    """Write a model, a :class:`dbn.trained.convolutional.ConvolutionalModel` as well, beside its place and rename it.

    Raises
    ------
    ModelFileError
        The name does not end in ``.npz``, or the file cannot be written.
    """
    write_arrays(path, model_arrays(model))


def model_arrays(model):
    """What a file holds of a model of either kind: a dict of arrays."""
    return _arrays(model) if isinstance(model, Model) else convolutional.model_arrays(model)


def _arrays(model):
    meta = {"format": FORMAT, "version": 1, "visible": model.visible, "output": model.output,
            "n_layers": model.n_layers, "classes": list(model.classes), "scaling": model.scaling.kind,
            "frame_settings": model.frame_settings, "history": model.history, "about": model.about}
    if model.activation != "sigmoid" or model.scaling.components is not None:
        meta |= {"version": VERSION, "activation": model.activation}
    arrays = {"meta": np.array(json.dumps(meta, sort_keys=True))}
    for i, (weights, bias) in enumerate(zip(model.weights, model.biases)):
        arrays[f"W{i}"], arrays[f"b{i}"] = weights, bias
    for i, bias in enumerate(model.visible_biases):
        arrays[f"vbias{i}"] = bias
    return arrays | scaling_arrays(model.scaling)


def open_model(name_or_path):
    """Read the model of a file, or the one that ships with the package, see :func:`model_path`.

    Raises
    ------
    ModelFileError
        As :func:`load_model` and :func:`model_path`.
    """
    return load_model(model_path(name_or_path))


def model_path(name_or_path):
    """The file of this name, or that of the model that ships with the package under a name without suffix.

    Raises
    ------
    ModelFileError
        A name that is neither says which are shipped.
    """
    shipped = shipped_models()
    if os.path.exists(name_or_path):
        return name_or_path
    if str(name_or_path) in shipped:
        return shipped[str(name_or_path)]
    raise ModelFileError(f"{name_or_path}: No such file, and no model of this name comes with the program "
                         f"({', '.join(shipped) or 'none'} does)")


def load_model(path):
    """Read a :class:`Model` or a :class:`dbn.trained.convolutional.ConvolutionalModel`, whichever the file holds.

    Nothing in the file can run code or take more memory than a model may.

    Raises
    ------
    ModelFileError
        Missing, truncated, foreign or newer file, or arrays that do not fit together.
    """
    with open_archive(path) as archive:
        return read_model(archive, path)


def read_model(archive, path):
    """The model of an open archive; `path` names it in messages."""
    meta = read_json(archive, "meta", path)
    if meta.get("format") == convolutional.FORMAT:
        return convolutional.read_model(archive, meta, path)
    _check_meta(archive, meta, path)
    n = meta["n_layers"] + 1
    weights = [read_array(archive, f"W{i}", 2) for i in range(n)]
    biases = [read_array(archive, f"b{i}", 1) for i in range(n)]
    visible_biases = [read_array(archive, f"vbias{i}", 1) for i in range(n - 1)]
    scaling = read_scaling(archive, meta["scaling"])
    model = Model(weights, biases, visible_biases, meta["visible"], meta["output"], scaling, tuple(meta["classes"]),
                  meta["frame_settings"], meta["history"], meta["about"], meta["activation"])
    _check_shapes(model, path)
    return model


def _check_meta(archive, meta, path):
    kinds = {"n_layers": int, "classes": list, "scaling": str, "frame_settings": dict, "history": list, "about": dict}
    check_json(meta, path, FORMAT, VERSION, kinds)
    meta.setdefault("activation", "sigmoid")
    for name, answers in ANSWERS.items():
        if meta.get(name) not in answers:
            raise ModelFileError(f"{path}: damaged: its {name!r} is none of {', '.join(answers)}")
    if not 1 <= meta["n_layers"] <= len(archive.namelist()):
        raise ModelFileError(f"{path}: damaged: it speaks of {meta['n_layers']} layers")


def _check_shapes(model, path):
    sizes = [model.scaling.n_outputs, *(weights.shape[1] for weights in model.weights)]
    fits = (all(weights.shape == (n_in, n_out) and bias.shape == (n_out,)
                for weights, bias, n_in, n_out in zip(model.weights, model.biases, sizes, sizes[1:]))
            and all(bias.shape == (n,) for bias, n in zip(model.visible_biases, sizes))
            and min(sizes[:-1]) > 0 and len(model.classes) == sizes[-1]
            and all(isinstance(name, str) for name in model.classes))
    if not fits:
        raise ModelFileError(f"{path}: damaged: the sizes of its layers do not fit each other")
