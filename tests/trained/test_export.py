"""ONNX beside the NumPy network, for every kind of scaling, unit and output; and the description beside it."""
import json
import sys

import numpy as np
import onnx
import onnxruntime
import pytest

from dbn.audio.scaling import KINDS, Scaling
from dbn.cli.parser import main
from dbn.errors import DBNError
from dbn.trained.export import description, onnx_graph
from dbn.trained.model import Model, load_model, model_path

FRAMES = np.random.default_rng(0).exponential(3, (50, 17)).astype("f4")
FRAMES[:, 3] = 0
FRAMES[0, :5] = [-1, 1e5, 1e-6, 0, 3e-4]


def small_model(scaling="minmax", visible="bernoulli", output="softmax", activation="sigmoid", classes=("a", "b", "c")):
    rng = np.random.default_rng(1)
    fitted = Scaling(scaling).fit([np.abs(FRAMES[1:])])
    sizes = (fitted.n_outputs, 6, 5, len(classes))
    return Model([rng.normal(size=shape).astype("f4") for shape in zip(sizes, sizes[1:])],
                 [rng.normal(size=n).astype("f4") for n in sizes[1:]], [np.zeros(n, "f4") for n in sizes[:2]], visible,
                 output, fitted, classes, {"sample_rate": 22050, "frame_length": 32, "hop_length": 16, "window": None},
                 about={"dataset": "test", "songs": {"a": [1, 2, 3]}, "test": {"n_correct": 2, "n_songs": 3}},
                 activation=activation)


def outputs_of(graph, frames):
    session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    return dict(zip([output.name for output in session.get_outputs()], session.run(None, {"frames": frames})))


@pytest.mark.parametrize("kind", [*KINDS, "pca-4", "log-pca-4", "whitened-pca-4", "log-whitened-pca-4"])
def test_every_scaling(kind):
    model = small_model(kind, "gaussian")
    found = outputs_of(onnx_graph(model), FRAMES)
    assert list(found) == ["layer1", "layer2", "probabilities"]
    for activations, name in zip(model.activations(FRAMES), found):
        np.testing.assert_allclose(found[name], activations, atol=1e-5)
    np.testing.assert_allclose(found["probabilities"], model.predict_proba(FRAMES), atol=1e-5)


@pytest.mark.parametrize("options", [{"output": "sigmoid"}, {"activation": "relu"}])
def test_other_units_and_outputs(options):
    model = small_model(**options)
    found = outputs_of(onnx_graph(model), FRAMES)
    for activations, name in zip(model.activations(FRAMES), found):
        np.testing.assert_allclose(found[name], activations, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(found["probabilities"], model.predict_proba(FRAMES), atol=1e-5)


def test_a_network_without_classes_gives_features_alone():
    found = outputs_of(onnx_graph(small_model(classes=())), FRAMES)
    assert list(found) == ["layer1", "layer2"]


def test_numbers_are_scalars_as_the_bounds_of_clip_must_be():
    shapes = {each.name: list(each.dims) for each in onnx_graph(small_model("log")).graph.initializer}
    assert [shapes[name] for name in ("compression", "one", "lowest", "highest", "b1")] == [[], [], [], [], [6]]


@pytest.mark.parametrize("n", [0, 1, 333])
def test_any_number_of_frames(n):
    frames = np.resize(FRAMES, (n, 17))
    found = outputs_of(onnx_graph(small_model()), frames)
    assert [len(output) for output in found.values()] == [n, n, n]


def test_the_shipped_model_and_what_is_said_of_it(tmp_path, capsys):
    """By the command; its description gives what a program needs to make the inputs."""
    path = tmp_path / "demo.onnx"
    assert main(["export", "synthetic-demo", "-o", str(path)]) == 0
    assert capsys.readouterr().out.splitlines() == [str(path), str(tmp_path / "demo.json")]
    model, about = load_model(model_path("synthetic-demo")), json.loads((tmp_path / "demo.json").read_text())
    frames = np.random.default_rng(0).exponential(3, (20, 513)).astype("f4")
    found = outputs_of(onnx.load(path), frames)
    np.testing.assert_allclose(found["probabilities"], model.predict_proba(frames), atol=1e-5)
    assert [output["name"] for output in about["schema"]["outputs"]] == list(found)
    assert [output["shape"] for output in about["schema"]["outputs"]] == [["n", x.shape[1]] for x in found.values()]
    assert about["classes"] == list(model.classes) and about["inference"] == model.frame_settings
    assert about["schema"]["inputs"][0]["shape"] == ["n", 513] and about["dataset"]["synthetic"] is True
    metadata = {entry.key: entry.value for entry in onnx.load(path).metadata_props}
    assert json.loads(metadata["classes"]) == about["classes"]
    written = path.read_bytes(), (tmp_path / "demo.json").read_bytes()
    assert main(["export", "synthetic-demo", "-o", str(path)]) == 0
    assert (path.read_bytes(), (tmp_path / "demo.json").read_bytes()) == written


def test_measured_accuracy_and_size_are_those_of_the_training():
    about = description(small_model(), "small")
    assert about["dataset"] == {"name": "test", "synthetic": False, "size": "6 recordings",
                                "metrics": {"accuracy": 2 / 3}}
    assert about["name"] == "small"


def test_what_cannot_be(tmp_path, capsys, monkeypatch):
    assert main(["export", "synthetic-demo", "-o", str(tmp_path / "demo.npz")]) == 2
    assert "ends in .onnx" in capsys.readouterr().err
    assert main(["export", "synthetic-demo", "-o", str(tmp_path / "none" / "demo.onnx")]) == 2
    (tmp_path / "taken.json").mkdir()
    assert main(["export", "synthetic-demo", "-o", str(tmp_path / "taken.onnx")]) == 2
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(DBNError, match="pip install"):
        onnx_graph(small_model())
    assert [path.name for path in tmp_path.iterdir()] == ["taken.json"]
