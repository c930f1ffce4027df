"""A trained network as ONNX, for programs that know neither this package nor Python (§4.1).

The graph takes unscaled DFT magnitudes, ``frames`` float32 [n, n_bins] for any n. Its outputs are ``layer1``,
``layer2``, ... float32 [n, units], the learned features from the bottom, and ``probabilities`` float32 [n, n_classes]
where the network has classes. Beside it stands a description in JSON, of the form in which Essentia describes its
models.
"""
import json

import numpy as np

from dbn import __version__
from dbn.errors import DBNError, ModelFileError
from dbn.system.files import atomic_path, disk_errors
from dbn.trained.model import Model

OPSET = 17  # of ONNX 1.12, 2022: every runtime since reads it

_TOO_LARGE = 2**31  # bytes of what protocol buffers can hold

REFERENCE = ("P. Hamel and D. Eck, Learning features from music audio with deep belief networks, ISMIR 2010, "
             "pages 339-344")


def onnx_graph(model):
    """The network of a :class:`dbn.trained.model.Model`, an ``onnx.ModelProto``.

    Raises
    ------
    DBNError
        The package onnx is not installed, or the weights are more than such a file may hold.
    """
    try:
        from onnx import TensorProto, checker, helper
    except ImportError:
        raise DBNError('the package onnx is not installed; pip install "dbn[onnx]", or pip install onnx') from None
    if sum(array.nbytes for array in (*model.weights, *model.biases)) > _TOO_LARGE - 2**20:
        raise DBNError("the network's weights are more than 2 GB, which no ONNX file can hold")
    graph = _Graph()
    below = _scaled(graph, model.scaling)
    outputs = []
    for number, (weights, bias) in enumerate(zip(model.weights, model.biases), 1):
        sums = graph.add("Gemm", below, graph.constant(f"W{number}", weights), graph.constant(f"b{number}", bias))
        if number <= model.n_layers:
            below = graph.add({"sigmoid": "Sigmoid", "relu": "Relu"}[model.activation], sums, name=f"layer{number}")
            outputs.append((below, len(bias)))
        elif model.classes:
            function = ("Softmax", {"axis": 1}) if model.output == "softmax" else ("Sigmoid", {})
            outputs.append((graph.add(function[0], sums, name="probabilities", **function[1]), len(bias)))
    described = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", width]) for name, width in outputs]
    frames = helper.make_tensor_value_info("frames", TensorProto.FLOAT, ["n", model.scaling.n_features])
    onnx_model = helper.make_model(helper.make_graph(graph.nodes, "dbn", [frames], described, graph.constants),
                                   opset_imports=[helper.make_opsetid("", OPSET)], producer_name="dbn",
                                   producer_version=__version__, ir_version=8)
    metadata = {"classes": json.dumps(list(model.classes)), "frame_settings": json.dumps(model.frame_settings),
                "scaling": model.scaling.kind, "reference": REFERENCE}
    helper.set_model_props(onnx_model, metadata)
    checker.check_model(onnx_model, full_check=True)
    return onnx_model


class _Graph:
    """Nodes and constants as they are added."""

    def __init__(self):
        self.nodes, self.constants = [], []

    def add(self, kind, *inputs, name=None, **attributes):
        """Add an operation; the name of what it gives."""
        from onnx import helper
        name = name or f"{kind.lower()}{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def constant(self, name, array):
        """Add an array; its name."""
        from onnx import numpy_helper
        # ascontiguousarray would make vectors of numbers, which no bound of Clip may be
        self.constants.append(numpy_helper.from_array(np.asarray(array, order="C"), name))
        return name


def _scaled(graph, scaling):
    """Add what :meth:`dbn.audio.scaling.Scaling.transform` does; the name of the inputs that the network sees.

    ONNX has no log(1 + x): in double precision the sum loses nothing.
    """
    from onnx import TensorProto
    x = "frames"
    if scaling.takes_log:
        x = graph.add("Cast", graph.add("Relu", x), to=TensorProto.DOUBLE)
        x = graph.add("Mul", x, graph.constant("compression", np.float64(scaling.compression)))
        x = graph.add("Log", graph.add("Add", x, graph.constant("one", np.float64(1))))
        x = graph.add("Cast", x, to=TensorProto.FLOAT)
    x = graph.add("Sub", x, graph.constant("offset", scaling.offset))
    if scaling.components is not None:
        x = graph.add("MatMul", x, graph.constant("components", scaling.components))
    x = graph.add("Mul", x, graph.constant("gain", scaling.gain))
    if scaling.clips:
        x = graph.add("Clip", x, graph.constant("lowest", np.float32(0)), graph.constant("highest", np.float32(1)))
    return x


def description(model, name):
    """What the JSON beside the graph says: a dict of the form of Essentia's model descriptions.

    Parameters
    ----------
    model : dbn.trained.model.Model
    name : str
        Of the model.
    """
    about, n_bins = model.about, model.scaling.n_features
    outputs = [{"name": f"layer{number}", "type": "float", "shape": ["n", len(bias)], "output_purpose": "embeddings"}
               for number, bias in enumerate(model.biases[:-1], 1)]
    if model.classes:
        outputs.append({"name": "probabilities", "type": "float", "shape": ["n", len(model.classes)],
                        "op": model.output.capitalize(), "output_purpose": "predictions"})
    test = about.get("test") or {}
    metrics = {"accuracy": test["n_correct"] / test["n_songs"]} if {"n_correct", "n_songs"} <= test.keys() else {}
    songs = about.get("songs")
    dataset = {"name": about.get("dataset", "unknown"), "synthetic": bool(about.get("synthetic")),
               "size": f"{sum(map(sum, songs.values()))} recordings" if songs else "unknown", "metrics": metrics}
    inputs = [{"name": "frames", "type": "float", "shape": ["n", n_bins],
               "description": "magnitudes of the DFT of overlapping frames, neither scaled nor in decibels; samples "
                              "between -1 and 1"}]
    return {"name": name, "type": "music classification" if model.classes else "music features", "version": "1",
            "description": "a deep belief network on the magnitudes of single DFT frames; its hidden layers are the "
                           "learned features",
            "framework": "onnx", "framework_version": f"opset {OPSET}", "classes": list(model.classes),
            "dataset": dataset, "schema": {"inputs": inputs, "outputs": outputs}, "inference": model.frame_settings,
            "citation": REFERENCE, "made_by": f"dbn {__version__}",
            "license": "whoever trained the model decides; the program that did is BSD-3-Clause"}


def export_onnx(model, path, name):
    """Write the graph to `path`, and its :func:`description` beside it with the suffix ``.json``.

    Parameters
    ----------
    model : dbn.trained.model.Model
    path : pathlib.Path
        Ends in ``.onnx``.
    name : str
        Of the model.

    Returns
    -------
    pathlib.Path
        Of the description.

    Raises
    ------
    DBNError
        As :func:`onnx_graph`; another suffix, or the disk is full.
    """
    if path.suffix != ".onnx":
        raise ModelFileError(f"{path}: the name of an ONNX file ends in .onnx; give another with -o")
    if not isinstance(model, Model):
        raise ModelFileError(f"{name}: is a convolutional network; only those of single frames are written as ONNX")
    graph = onnx_graph(model)
    beside = path.with_suffix(".json")
    with disk_errors(path), atomic_path(path) as temporary:
        temporary.write_bytes(graph.SerializeToString(deterministic=True))
    with disk_errors(beside), atomic_path(beside) as temporary:
        temporary.write_text(json.dumps(description(model, name), indent=1) + "\n")
    return beside
