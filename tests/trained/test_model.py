"""Model files: the same network comes back, the same bytes, and nothing else is let in."""
import io
import json
import pickle
import zipfile
from dataclasses import replace

import numpy as np
import pytest

from dbn.audio.scaling import Scaling
from dbn.dbn import DBN
from dbn.errors import DBNError, ModelFileError
from dbn.trained.model import Model, load_model, save_model

FRAME_SETTINGS = {"sample_rate": 22050, "frame_length": 1024, "hop_length": 512, "window": None}


def make_model(output="softmax", visible="bernoulli"):
    rng = np.random.default_rng(3)
    network = DBN(rng, n_ins=7, hidden_layers_sizes=(5, 4), n_outs=3, output=output, visible=visible, dtype="float32")
    network.set_values([rng.normal(size=value.shape) for value in network.get_values()])
    frames = rng.gamma(1.0, size=(40, 7)).astype(np.float32)
    scaling = Scaling("standardize" if visible == "gaussian" else "minmax").fit([frames])
    model = Model.from_dbn(network, scaling, ("a", "b", "ü"), FRAME_SETTINGS, [{"stage": "finetune", "cost": 1.5}],
                           {"dataset": "test"})
    return network, model, frames


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "model.npz"
    save_model(path, make_model()[1])
    return path


@pytest.mark.parametrize("output", ["softmax", "sigmoid"])
@pytest.mark.parametrize("visible", ["bernoulli", "gaussian"])
def test_numpy_path_equals_the_graph(output, visible):
    network, model, frames = make_model(output, visible)
    scaled = model.scaling.transform(frames)
    np.testing.assert_allclose(model.predict_proba(frames), network.prediction_function()(scaled), atol=1e-6)
    expected = scaled
    for layer, activations in enumerate(model.activations(frames)):
        expected = network.propup_function(layer)(expected)
        np.testing.assert_allclose(activations, expected, atol=1e-6)


def test_activations_at_extreme_inputs_are_finite():
    _, model, frames = make_model()
    weights = [w * 1e4 for w in model.weights]
    extreme = replace(model, weights=weights)
    assert np.isfinite(extreme.predict_proba(frames)).all()
    assert set(np.unique(np.hstack(extreme.activations(frames)).round(3))) <= {0.0, 0.5, 1.0}


def test_round_trip(saved):
    _, model, frames = make_model()
    loaded = load_model(saved)
    assert (loaded.classes, loaded.visible, loaded.output) == (model.classes, model.visible, model.output)
    assert (loaded.frame_settings, loaded.history, loaded.about) == (model.frame_settings, model.history, model.about)
    np.testing.assert_array_equal(loaded.predict_proba(frames), model.predict_proba(frames))
    for ours, theirs in zip(model.visible_biases, loaded.visible_biases):
        np.testing.assert_array_equal(ours, theirs)


def test_same_model_same_bytes(saved, tmp_path):
    again = tmp_path / "again.npz"
    save_model(again, load_model(saved))
    assert again.read_bytes() == saved.read_bytes()


def test_frames_of_another_width_are_refused():
    with pytest.raises(DBNError, match="7 features"):
        make_model()[1].activations(np.zeros((2, 8), dtype=np.float32))


def test_name_must_end_in_npz(tmp_path):
    with pytest.raises(ModelFileError, match="npz"):
        save_model(tmp_path / "model", make_model()[1])


def test_failed_write_keeps_the_old_file(saved):
    before = saved.read_bytes()
    _, model, _ = make_model()
    with pytest.raises(TypeError):
        save_model(saved, replace(model, about={"not JSON": object()}))
    assert saved.read_bytes() == before
    assert [path.name for path in saved.parent.iterdir()] == [saved.name]


def test_a_link_may_lead_to_a_name_without_suffix(saved, tmp_path):
    saved.rename(tmp_path / "target")
    saved.symlink_to("target")
    model = replace(make_model()[1], about={"dataset": "another"})
    save_model(saved, model)
    assert saved.is_symlink() and load_model(saved).about == model.about
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.npz", "target"]


def test_a_file_of_the_users_own_is_not_said_to_come_with_the_program(saved):
    with pytest.raises(ModelFileError, match="model: cannot be read: No such file or directory$"):
        load_model(saved.with_suffix(""))
    with pytest.raises(ModelFileError, match=r"dbn.open_model\('synthetic-demo'\) reads the model"):
        load_model("synthetic-demo")


def rewritten(saved, change):
    """Write the archive again with `change(name, data) -> data or None` applied to its members."""
    with zipfile.ZipFile(saved) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(saved, "w") as archive:
        for name, data in members.items():
            data = change(name, data)
            if data is not None:
                archive.writestr(name, data)


def npy(array, allow_pickle=False):
    file = io.BytesIO()
    np.lib.format.write_array(file, np.asarray(array), allow_pickle=allow_pickle)
    return file.getvalue()


def with_meta(saved, **changes):
    def change(name, data):
        if name != "meta.npy":
            return data
        meta = json.loads(np.load(io.BytesIO(data)).item())
        return npy(json.dumps(meta | changes))
    rewritten(saved, change)


def claim(shape):
    """A float32 array that claims a shape and holds a few bytes."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": shape})
    return file.getvalue() + bytes(140)


class Bomb:
    def __reduce__(self):
        return (exec, ("raise SystemExit('code of the file was run')",))


CHANGES = {
    "an array is missing": lambda name, data: None if name == "W1.npy" else data,
    "no meta": lambda name, data: None if name == "meta.npy" else data,
    "pickled objects": lambda name, data: npy(np.array([Bomb()], dtype=object), True) if name == "W0.npy" else data,
    "a bare pickle": lambda name, data: pickle.dumps(Bomb()) if name == "meta.npy" else data,
    "integers": lambda name, data: npy(np.ones((7, 5), dtype=int)) if name == "W0.npy" else data,
    "another shape": lambda name, data: npy(np.ones((7, 6), dtype="f4")) if name == "W0.npy" else data,
    "a vector for a matrix": lambda name, data: npy(np.ones(35, dtype="f4")) if name == "W0.npy" else data,
    "NaN": lambda name, data: npy(np.full((7, 5), np.nan, dtype="f4")) if name == "W0.npy" else data,
    "a header cut off": lambda name, data: data.replace(b"}", b" ") if name == "W0.npy" else data,
    "a shape that takes terabytes": lambda name, data: claim((10**9, 10**9)) if name == "W0.npy" else data,
    "a negative shape": lambda name, data: claim((-7, 5)) if name == "W0.npy" else data,
    "a short array": lambda name, data: data[:-8] if name == "W0.npy" else data,
    "no JSON": lambda name, data: npy("{") if name == "meta.npy" else data,
    "JSON that is no object": lambda name, data: npy("[1]") if name == "meta.npy" else data,
    "deep JSON": lambda name, data: npy("[" * 100_000) if name == "meta.npy" else data,
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_damaged_or_hostile_content(saved, change):
    rewritten(saved, change)
    with pytest.raises(ModelFileError, match="model.npz"):
        load_model(saved)


@pytest.mark.parametrize("changes", [
    {"format": "other"}, {"version": 3}, {"version": None}, {"n_layers": 0}, {"n_layers": 10**9}, {"n_layers": 1},
    {"classes": ["a"]}, {"classes": [1, 2, 3]}, {"classes": "abc"}, {"scaling": "other"}, {"visible": "x"},
    {"output": ["softmax"]}, {"activation": "tanh"}, {"scaling": "pca-7"}, {"frame_settings": None},
    {"history": {}}, {"about": 1}], ids=str)
def test_meta_that_does_not_fit(saved, changes):
    with_meta(saved, **changes)
    with pytest.raises(ModelFileError, match="model.npz"):
        load_model(saved)


@pytest.mark.parametrize("options", [{"activation": "relu"}, {"scaling": "log-whitened-pca-5"}], ids=str)
def test_what_an_older_program_would_misread_is_of_version_2(tmp_path, saved, options):
    """And comes back: rectified units, principal components."""
    _, plain, frames = make_model()
    kind = options.pop("scaling", "minmax")
    scaling = Scaling(kind).fit([frames])
    weights = [plain.weights[0][:scaling.n_outputs], *plain.weights[1:]]
    visible_biases = [plain.visible_biases[0][:scaling.n_outputs], *plain.visible_biases[1:]]
    model = replace(plain, scaling=scaling, weights=weights, visible_biases=visible_biases, **options)
    save_model(tmp_path / "m.npz", model)
    versions = [json.loads(np.load(path)["meta"].item())["version"] for path in (tmp_path / "m.npz", saved)]
    assert versions == [2, 1]
    loaded = load_model(tmp_path / "m.npz")
    assert (loaded.activation, loaded.scaling.kind) == (model.activation, kind)
    np.testing.assert_array_equal(loaded.predict_proba(frames), model.predict_proba(frames))
    first = scaling.transform(frames) @ weights[0] + model.biases[0]
    expected = np.maximum(first, 0) if options else 1 / (1 + np.exp(-first.astype(float)))
    np.testing.assert_allclose(loaded.activations(frames)[0], expected, rtol=1e-5, atol=1e-6)


def test_rectified_units_cannot_be_sampled():
    model = replace(make_model()[1], activation="relu")
    for ask in (model.sample, lambda: model.reconstruct(np.ones((1, 7), np.float32))):
        with pytest.raises(DBNError, match="relu"):
            ask()


def test_newer_file_says_so(saved):
    with_meta(saved, version=99)
    with pytest.raises(ModelFileError, match="newer version"):
        load_model(saved)


def test_archive_member_larger_than_a_model_may_be(saved, monkeypatch):
    monkeypatch.setattr("dbn.trained.archive.MAX_BYTES", 100)
    with pytest.raises(ModelFileError, match="bytes"):
        load_model(saved)


def test_an_arrays_header_is_not_counted(saved, monkeypatch):
    for name, size in (("MAX_BYTES", 4 * 7 * 5), ("MAX_TEXT_BYTES", np.load(saved)["meta"].nbytes)):
        with monkeypatch.context() as patch:
            patch.setattr(f"dbn.trained.archive.{name}", size)
            load_model(saved)
            patch.setattr(f"dbn.trained.archive.{name}", size - 1)
            with pytest.raises(ModelFileError, match=f"at most {size - 1:,} are read"):
                load_model(saved)


def test_every_truncation_is_refused(saved):
    data = saved.read_bytes()
    for n in range(0, len(data), 97):
        saved.write_bytes(data[:n])
        with pytest.raises(ModelFileError):
            load_model(saved)


def test_flipped_bytes_give_a_model_or_our_error(saved):
    data, rng = saved.read_bytes(), np.random.default_rng(0)
    for _ in range(300):
        changed = bytearray(data)
        for position in rng.integers(len(data), size=rng.integers(1, 6)):
            changed[position] = rng.integers(256)
        saved.write_bytes(changed)
        try:
            assert isinstance(load_model(saved), Model)
        except ModelFileError as error:
            assert "model.npz" in str(error)


@pytest.mark.parametrize("make", [lambda path: None, lambda path: path.write_bytes(b""), lambda path: path.mkdir(),
                                  lambda path: path.write_text("hello")], ids=["missing", "empty", "folder", "text"])
def test_not_a_model_file(tmp_path, make):
    path = tmp_path / "other.npz"
    make(path)
    with pytest.raises(ModelFileError, match="other.npz"):
        load_model(path)
