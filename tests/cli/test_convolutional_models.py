"""``dbn train --network convolutional``, and what the commands do with such a model: streamed as the whole file."""
import json
from dataclasses import replace

import numpy as np
import pytest
import soundfile

import small_tagger
from command_line import SETTINGS, refusal, usage_error
from dbn.audio import dft_magnitudes, load_audio
from dbn.audio.scaling import Scaling
from dbn.cli.parser import main
from dbn.features.aggregate import aggregate
from dbn.trained.convolutional import ConvolutionalModel
from dbn.trained.model import load_model, save_model
from dbn.trained.tagger import load_tagger, save_tagger
from small_network import leave_uncompiled

TINY = ["--network", "convolutional", "--hidden-layers-sizes", "6,4", "--widths", "3,2", "--pools", "2,2",
        "--scaling", "log-whitened-pca-8", "--pretrain-epochs", "1", "--finetune-epochs", "3", "--piece-blocks", "3",
        "--finetune-blocks", "1", "--jobs", "1"]


@pytest.fixture
def quick(monkeypatch):
    leave_uncompiled(monkeypatch)


@pytest.fixture
def music(tmp_path):
    """Two classes of five clips of a second: notes that rise and notes that fall."""
    rng, t = np.random.default_rng(0), np.arange(22050) / 22050
    for label, slope in (("rises", 1), ("falls", -1)):
        (tmp_path / "music" / label).mkdir(parents=True)
        for number in range(5):
            frequency = 2000 + slope * 3000 * (t % 0.5) + 500 * rng.random()
            sound = 0.3 * np.sin(2 * np.pi * frequency * t) + 0.01 * rng.standard_normal(len(t))
            soundfile.write(tmp_path / "music" / label / f"{number}.wav", sound, 22050)
    return tmp_path / "music"


def train(music, *options):
    return main(["train", str(music), "-o", "model.npz", *TINY, *options])


def test_a_model_that_every_command_takes(music, tmp_path, monkeypatch, capsys, quick):
    monkeypatch.chdir(tmp_path)
    assert train(music) == 0
    out = capsys.readouterr().out
    assert "recipe: convolutional" in out and "test songs right" in out and "MFCCs" in out
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.npz", "music"]
    model = load_model("model.npz")
    assert isinstance(model, ConvolutionalModel) and model.classes == ("falls", "rises")
    assert (model.widths, model.pools, model.scaling.kind) == ((3, 2), (2, 2), "log-whitened-pca-8")
    assert [record["stage"] for record in model.history] == ["pretrain"] * 2 + ["finetune"] * 3
    assert model.about["songs"] == {"falls": [3, 1, 1], "rises": [3, 1, 1]}
    song = music / "rises" / "0.wav"
    frames = dft_magnitudes(load_audio(song))
    assert main(["classify", "model.npz", str(song), "--json"]) == 0
    assert f'"falls": {round(float(model.predict_proba(frames).mean(axis=0, dtype=float)[0]), 6)}'[:16] in (
        capsys.readouterr().out)
    assert main(["info", "model.npz"]) == 0
    assert "widths: 3, 2\npools: 2, 2\n" in capsys.readouterr().out
    assert main(["extract", "model.npz", str(song), "-o", "out.npz", "--window", "0.5"]) == 0
    with np.load("out.npz") as found:
        np.testing.assert_allclose(found["features"], aggregate(np.hstack(model.activations(frames)), 22050 / 512, 0.5,
                                                                0.25), atol=1e-6)
    assert main(["plot", "model.npz", str(song), "-o", "plot.png"]) == 0
    assert train(music) == 0  # finds it
    capsys.readouterr()
    assert "is there already" in refusal(capsys, "train", music, "-o", "model.npz", *TINY, "--finetune-lr", "0.2")


def test_without_labels(music, tmp_path, monkeypatch, capsys, quick):
    monkeypatch.chdir(tmp_path)
    assert train(music, "--unsupervised") == 0
    assert "10, without labels" in capsys.readouterr().out
    model = load_model("model.npz")
    assert model.classes == () and {record["stage"] for record in model.history} == {"pretrain"}
    assert main(["extract", "model.npz", str(music), "-o", "out.npz"]) == 0
    assert "has no classes" in refusal(capsys, "classify", "model.npz", music)


@pytest.mark.parametrize("options, words", [
    (["--recipe", "log"], "--network convolutional has one recipe of its own; leave --recipe out"),
    (["--dropout", "0.5"], "dropout is no choice of such a network"),
    (["--widths", "3"], "give a whole number of 1 to 1000 for each of the 2 layers"),
    (["--visible", "bernoulli", "--visible-std", "0.2"], "only Gaussian units have one"),
    (["--scaling", "log", "--visible-std", "0.2"], "visible_std is 0.2 and scaling 'log': this scaling clips"),
])
def test_options_that_do_not_fit(music, tmp_path, capsys, options, words):
    assert words in refusal(capsys, "train", music, "-o", tmp_path / "model.npz", *TINY, *options)


@pytest.mark.parametrize("part", ["test", "train"])
def test_too_short_a_song_is_named_before_the_training(music, tmp_path, capsys, monkeypatch, part):
    monkeypatch.setattr("dbn.training.fit.fit_model", lambda *_: pytest.fail("it is trained"))
    soundfile.write(music / "falls" / "brief.wav", np.random.default_rng(0).uniform(-0.5, 0.5, 3000), 22050)
    parts = [*zip("01234", ("train", "train", "train", "valid", "test")), ("brief", part)]
    rows = [f"{label}/{name}.wav,{label},{part}" for label in ("rises", "falls") for name, part in parts]
    table = tmp_path / "labels.csv"
    table.write_text("\n".join(["file,label,part", *rows[:5], *rows[6:]]) + "\n")
    error = refusal(capsys, "train", music, "-o", tmp_path / "model.npz", *TINY, "--labels", table)
    assert "song falls/brief.wav: has 4 frames, and the network takes 8 at least: leave it out" in error
    assert not (tmp_path / "model.npz").exists()


def test_options_of_the_other_network(music, tmp_path, capsys):
    assert "widths is no choice of such a network" in refusal(capsys, "train", music, "-o", tmp_path / "model.npz",
                                                              "--widths", "3")
    assert "invalid choice: 'deep'" in usage_error(capsys, "train", str(music), "-o", "x.npz", "--network", "deep")


# ------------------------------------------------------------------------------------------------ streams

@pytest.fixture(scope="module")
def model():
    """Of random weights, on the small frames of the other tests' models; two layers that see 29 frames."""
    rng = np.random.default_rng(5)
    weights = [rng.normal(size=shape).astype("f4") for shape in ((6 * 33, 8), (6 * 8, 4), (4, 3))]
    return ConvolutionalModel(weights, [np.zeros(n, "f4") for n in (8, 4, 3)], [np.zeros(n, "f4") for n in (33, 8)],
                              (6, 6), (3, 3), "gaussian", "softmax", Scaling("max").fit([np.full((1, 33), 8, "f4")]),
                              ("a", "b", "c"), SETTINGS, about={"dataset": "test"})


def whole(model, path):
    settings = dict(SETTINGS)
    frames = dft_magnitudes(load_audio(path, settings.pop("sample_rate"), 64), **settings)
    return np.hstack(model.activations(frames)), model.predict_proba(frames)


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_a_long_recording_streams_as_the_whole_file(model, here, jobs):
    """Of a minute there are 81 blocks of frames; the same bits come of it, with one process and with two."""
    save_model("model.npz", model)
    rng = np.random.default_rng(0)
    for name, seconds in (("long.wav", 60), ("short.wav", 1)):
        soundfile.write(name, rng.uniform(-0.5, 0.5, seconds * 22050), 22050)
    assert main(["extract", "model.npz", "long.wav", "short.wav", "-o", "out.npz", "--jobs", jobs]) == 0
    with np.load("out.npz") as found:
        for name, first, length in zip(found["names"], found["starts"], found["lengths"]):
            activations, _ = whole(model, str(name))
            np.testing.assert_array_equal(found["features"][first:first + length], activations)
            np.testing.assert_allclose(found["times"][first:first + length], np.arange(length) * 32 / 22050)


def test_tags_of_a_stream_are_those_of_the_whole_file(model, here, capsys):
    """A tagger's SVMs on the windows of a convolutional network's layers."""
    weights = [np.random.default_rng(1).normal(size=shape).astype("f4") for shape in ((6 * 33, 5), (6 * 5, 4), (4, 3))]
    small = replace(model, weights=weights, biases=[np.zeros(n, "f4") for n in (5, 4, 3)],
                    visible_biases=[np.zeros(n, "f4") for n in (33, 5)])
    save_tagger("tagger.npz", replace(small_tagger.tagger(), model=small))
    soundfile.write("long.wav", np.random.default_rng(0).uniform(-0.5, 0.5, 30 * 22050), 22050)
    assert main(["tag", "tagger.npz", "long.wav", "--json"]) == 0
    values = json.loads(capsys.readouterr().out)["values"]
    tagger, settings = load_tagger("tagger.npz"), dict(SETTINGS)
    scores = tagger.scores(dft_magnitudes(load_audio("long.wav", settings.pop("sample_rate"), 64), **settings))
    for name, score in zip(tagger.names, scores, strict=True):
        assert values[name] == pytest.approx(score, abs=1e-6)


def test_too_short_a_recording_is_named_and_the_others_done(model, here, capsys):
    save_model("model.npz", model)
    soundfile.write("good.wav", np.random.default_rng(0).uniform(-0.5, 0.5, 22050), 22050)
    soundfile.write("brief.wav", np.random.default_rng(1).uniform(-0.5, 0.5, 64 + 21 * 32), 22050)
    assert main(["extract", "model.npz", "brief.wav", "good.wav", "-o", "out.npz"]) == 1
    error = capsys.readouterr().err
    assert "dbn: brief.wav: has 22 frames, and the network takes 29 at least" in error
    with np.load("out.npz") as found:
        assert list(found["names"]) == ["good.wav"]
    assert main(["classify", "model.npz", "brief.wav", "good.wav"]) == 1
    assert "brief.wav: has 22 frames" in capsys.readouterr().err


def test_what_is_for_single_frames_refuses_it(model, here, folder, capsys):
    save_model("model.npz", model)
    for command, output in (("export", "model.onnx"), ("explore", "page.html")):
        files = [folder / "music"] if command == "explore" else []
        assert "convolutional network" in refusal(capsys, command, "model.npz", *files, "-o", output)
    assert not (here / "model.onnx").exists() and not (here / "page.html").exists()
