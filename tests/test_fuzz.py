"""Hypothesis against the readers of strangers' files and the command line: only our own errors ever come out."""
import io

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dbn.audio import load_audio
from dbn.audio.scaling import Scaling
from dbn.cli.parser import main
from dbn.datasets.splits import read_split
from dbn.errors import AudioError, DatasetError, ModelFileError
from dbn.trained.model import Model, load_model, save_model

# the same examples in every run: a failure that one machine sees, all see
fuzzed = settings(max_examples=700, derandomize=True, deadline=None, database=None,
                  suppress_health_check=[HealthCheck.function_scoped_fixture])

mutations = st.lists(st.tuples(st.integers(0, 2**16), st.integers(0, 255)), min_size=1, max_size=8)


def changed(data, mutation, keep):
    """`data` with some bytes changed and the end cut off after `keep` of 100 parts."""
    data = bytearray(data)
    for position, byte in mutation:
        data[position % len(data)] = byte
    return bytes(data[:len(data) * keep // 100])


def written(kind):
    signal = np.random.default_rng(0).uniform(-0.5, 0.5, 4096)
    file = io.BytesIO()
    soundfile.write(file, signal, 22050, format=kind)
    return file.getvalue()


@pytest.fixture(scope="module")
def model_bytes(tmp_path_factory):
    path = tmp_path_factory.mktemp("fuzz") / "model.npz"
    weights = [np.ones((3, 2), dtype="f4"), np.ones((2, 2), dtype="f4")]
    save_model(path, Model(weights, [np.zeros(2, "f4")] * 2, [np.zeros(3, "f4")], "bernoulli", "softmax",
                           Scaling("max").fit([np.ones((2, 3), dtype="f4")]), ("a", "b"), {}))
    return path.read_bytes()


@fuzzed
@given(st.binary(max_size=500))
def test_any_bytes_as_audio_or_model(tmp_path, data):
    path = tmp_path / "any.npz"
    path.write_bytes(data)
    with pytest.raises(AudioError):
        load_audio(path)
    with pytest.raises(ModelFileError):
        load_model(path)


@pytest.mark.parametrize("kind", ["WAV", "AU", "FLAC", "OGG"])
@settings(parent=fuzzed, max_examples=500)
@given(mutation=mutations, keep=st.integers(1, 100))
def test_damaged_audio(tmp_path, kind, mutation, keep):
    path = tmp_path / "damaged"
    path.write_bytes(changed(AUDIO[kind], mutation, keep))
    try:
        signal = load_audio(path)
    except AudioError as error:
        assert str(path) in str(error)
    else:
        assert signal.dtype == np.float32 and signal.ndim == 1 and np.isfinite(signal).all()


AUDIO = {kind: written(kind) for kind in ("WAV", "AU", "FLAC", "OGG")}


@fuzzed
@given(mutation=mutations, keep=st.integers(1, 100))
def test_damaged_model(tmp_path, model_bytes, mutation, keep):
    path = tmp_path / "damaged.npz"
    path.write_bytes(changed(model_bytes, mutation, keep))
    try:
        assert isinstance(load_model(path), Model)
    except ModelFileError as error:
        assert str(path) in str(error)


@fuzzed
@given(st.text(alphabet="trackp,ainvleudsi.0\n\r\"' \x00é", max_size=80))
def test_any_text_as_a_split(tmp_path, text):
    path = tmp_path / "split.csv"
    path.write_text("track,part\n" + text, newline="")
    try:
        split = read_split(path)
        assert all(part in ("train", "valid", "test", "excluded") for _, part in split.rows())
    except DatasetError as error:
        assert str(path) in str(error)


@settings(parent=fuzzed, max_examples=300)
@given(st.lists(st.one_of(st.sampled_from(["classify", "extract", "info", "plot", "synthetic-demo", "-o", "out.csv",
                                           "--window", "--hop", "--layers", "--json", "1", "-1", "nan", "all"]),
                          st.text(alphabet="abc-./é\n0", max_size=6).filter(lambda word: word != "-")),
                max_size=6))
def test_any_command_line(tmp_path, capsys, monkeypatch, words):
    monkeypatch.chdir(tmp_path)
    try:
        status = main(words)
    except SystemExit as stop:
        status = stop.code
    error = capsys.readouterr().err
    assert status in (0, 1, 2) and "Traceback" not in error
    assert status == 0 or error
