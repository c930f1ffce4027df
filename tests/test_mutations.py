"""Model files and audio files with bytes changed: whatever they hold, only our own error comes out."""
import json
import zipfile

import numpy as np
import pytest
import soundfile

from dbn.audio.reading import expected_length, load_audio
from dbn.audio.scaling import Scaling
from dbn.errors import AudioError, ModelFileError
from dbn.trained.convolutional import ConvolutionalModel
from dbn.trained.model import Model, load_model, save_model

RATE = 22050
N_MUTATIONS = 1000


def make_model():
    rng = np.random.default_rng(1)
    sizes = (9, 4, 3, 2)
    weights = [rng.normal(size=shape).astype("f4") for shape in zip(sizes, sizes[1:])]
    settings = {"sample_rate": RATE, "frame_length": 16, "hop_length": 8, "window": None}
    return Model(weights, [np.zeros(n, "f4") for n in sizes[1:]], [np.zeros(n, "f4") for n in sizes[:-2]], "bernoulli",
                 "softmax", Scaling("minmax").fit([rng.random((20, 9), "f4")]), ("a", "b"), settings, [], {"d": "x"})


def make_convolutional():
    rng = np.random.default_rng(1)
    weights = [rng.normal(size=shape).astype("f4") for shape in ((27, 4), (8, 3), (3, 2))]
    settings = {"sample_rate": RATE, "frame_length": 16, "hop_length": 8, "window": None}
    scaling = Scaling("minmax").fit([rng.random((20, 9), "f4")])
    return ConvolutionalModel(weights, [np.zeros(n, "f4") for n in (4, 3, 2)], [np.zeros(n, "f4") for n in (9, 4)],
                              (3, 2), (2, 1), "bernoulli", "softmax", scaling, ("a", "b"), settings, [], {"d": "x"})


BOTH = pytest.mark.parametrize("make", [make_model, make_convolutional], ids=["frames", "convolutional"])


def assert_refused(path, model, change):
    """A file whose text says something else than the model."""
    save_model(path, model)
    with np.load(path) as stored:
        arrays = dict(stored)
    arrays["meta"] = np.array(json.dumps(json.loads(arrays["meta"].item()) | change))
    np.savez(path, **arrays)
    with pytest.raises(ModelFileError, match=r"m\.npz: "):
        load_model(path)


@pytest.mark.parametrize("change", [
    {"classes": ["a", "a", "b"]}, {"classes": [1, 2]}, {"n_layers": -1}, {"n_layers": 10**9}, {"n_layers": "2"},
    {"scaling": "decibel"}, {"visible": []}, {"output": None}, {"version": "1"}, {"version": 99}, {"format": 7},
    {"frame_settings": 5}, {"history": "x"}, {"about": []}], ids=str)
def test_models_that_contradict_themselves(tmp_path, change):
    assert_refused(tmp_path / "m.npz", make_model(), change)


@pytest.mark.parametrize("change", [
    {"classes": ["a", "a", "b"]}, {"classes": [1, 2]}, {"widths": [3, 2, 1]}, {"widths": [-3, 2]}, {"pools": "21"},
    {"pools": [2, 10**9]}, {"pools": [1000, 1000]}, {"scaling": "decibel"}, {"visible": []}, {"output": None},
    {"version": "1"}, {"version": 99}, {"format": 7}, {"frame_settings": 5}, {"history": "x"}, {"about": []}], ids=str)
def test_convolutional_models_that_contradict_themselves(tmp_path, change):
    """Or whose features would take more memory than a model may."""
    model = make_convolutional()
    if change.get("pools") == [1000, 1000]:
        wide = {"weights": [np.zeros((9000, 4), "f4"), np.zeros((8, 3), "f4"), model.weights[2]], "widths": (1000, 2)}
        model = ConvolutionalModel(**model.__dict__ | wide)
    assert_refused(tmp_path / "m.npz", model, change)


def mutated(whole, rng):
    """Some bytes changed, taken out, put in or cut off, mostly near the beginning or the end."""
    data = bytearray(whole)
    for _ in range(rng.integers(1, 5)):
        reach = min(len(data), int(rng.choice([48, 200, len(data)])))
        at = int(rng.integers(reach)) if rng.random() < 0.6 else len(data) - 1 - int(rng.integers(reach))
        kind = rng.integers(5)
        if kind == 0:
            data[at] ^= 1 << int(rng.integers(8))
        elif kind == 1:
            data[at:at + 4] = int(rng.choice([0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF])).to_bytes(4, "little")
        elif kind == 2:
            data[at:at + int(rng.integers(1, 9))] = b""
        elif kind == 3:
            data[at:at] = rng.bytes(int(rng.integers(1, 9)))
        elif rng.random() < 0.2:
            del data[at:]
        if not data:
            break
    return bytes(data)


@BOTH
def test_mutated_models_give_our_error_or_a_model(tmp_path, make):
    path = tmp_path / "m.npz"
    save_model(path, make())
    whole, frames = path.read_bytes(), np.random.default_rng(2).random((25, 9)).astype("f4")
    rng, refusals = np.random.default_rng(3), 0
    for _ in range(N_MUTATIONS):
        path.write_bytes(mutated(whole, rng))
        try:
            model = load_model(path)
        except ModelFileError as error:
            refusals += 1
            assert str(error).startswith(f"{path}: ")
        else:
            assert np.isfinite(model.predict_proba(frames)).all()
    assert N_MUTATIONS / 2 < refusals


@BOTH
def test_mutated_members_give_our_error_or_a_model(tmp_path, make):
    """The archive is whole and its checksums are right: the headers and the JSON within are wrong."""
    path = tmp_path / "m.npz"
    save_model(path, make())
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    frames = np.random.default_rng(2).random((25, 9)).astype("f4")
    rng, refusals = np.random.default_rng(4), 0
    for _ in range(N_MUTATIONS):
        victim = str(rng.choice(list(members)))
        with zipfile.ZipFile(path, "w") as archive:
            for name, data in members.items():
                archive.writestr(name, mutated(data, rng) if name == victim else data)
        try:
            model = load_model(path)
        except ModelFileError:
            refusals += 1
        else:
            with np.errstate(all="ignore"):  # weights may be any finite numbers
                assert model.predict_proba(frames).shape == (25, 2)
    assert 0 < refusals < N_MUTATIONS


@pytest.mark.parametrize("container, subtype", [("WAV", "PCM_16"), ("WAV", "FLOAT"), ("AIFF", "PCM_16"),
                                                ("AU", "PCM_16"), ("FLAC", "PCM_16"), ("OGG", "VORBIS")])
def test_mutated_audio_gives_our_error_or_a_signal(tmp_path, container, subtype):
    path = tmp_path / "a.wav"
    soundfile.write(path, 0.2 * np.random.default_rng(0).standard_normal(3000), RATE, format=container, subtype=subtype)
    whole = path.read_bytes()
    rng, refusals = np.random.default_rng(5), 0
    for _ in range(N_MUTATIONS // 5):
        path.write_bytes(mutated(whole, rng))
        assert expected_length(path) >= 0
        try:
            signal_ = load_audio(path)
        except AudioError:
            refusals += 1
        else:
            assert np.isfinite(signal_).all() and len(signal_) >= 1024
    assert refusals > 10
