"""The paper in one file: short, on its own, and step for step what the library gives."""
import ast
import contextlib
import io
import itertools
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest
import soundfile

from dbn.audio import dft_magnitudes, load_audio
from dbn.audio.scaling import Scaling
from dbn.datasets import folder, splits
from dbn.evaluation import svm
from dbn.features.aggregate import aggregate
from dbn.features.mfcc import mfcc
from experiments import paper, whole_paper
from experiments.profiles import PROFILES

SOURCE = Path(whole_paper.__file__).read_text(encoding="utf-8")
GENRES = {"deep": 200, "high": 5000, "middle": 1000}  # Hz


def write_song(path, hertz, seconds=0.5, rate=22050, seed=0):
    """A tone in noise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = 0.3 * np.sin(2 * np.pi * hertz * np.arange(int(seconds * rate)) / rate)
    soundfile.write(path, samples + np.random.default_rng(seed).normal(scale=0.02, size=samples.shape), rate)


@pytest.fixture(scope="module")
def music(tmp_path_factory):
    """Three genres of 10, 6 and 6 songs, one of them longer than a window, one at another rate."""
    root = tmp_path_factory.mktemp("whole-paper") / "genres"
    for (genre, hertz), n_songs in zip(GENRES.items(), (9, 5, 6)):
        for number in range(n_songs):
            write_song(root / genre / f"{number}.wav", hertz * (1 + number / 20), seed=number)
    write_song(root / "deep" / "long.flac", 200, seconds=8)
    write_song(root / "high" / "44.wav", 5000, rate=44100)
    (root / "high" / ".hidden").write_text("no song")
    (root / "README").write_text("no genre")
    return root


# --- the file ---

def test_it_is_one_screenful_after_another_and_no_more():
    assert len(SOURCE.splitlines()) <= 250


def test_it_stands_on_its_own():
    modules = set()
    for node in ast.walk(ast.parse(SOURCE)):
        if isinstance(node, ast.Import):
            modules |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            modules.add(node.module.partition(".")[0])
    others = modules - set(sys.stdlib_module_names)
    assert others == {"numpy", "pytensor", "scipy", "sklearn", "soundfile", "tqdm"}


def test_its_numbers_are_the_library_s_and_the_paper_s():
    profile = PROFILES["paper"]
    training = profile.training
    ours = {"hidden_layers_sizes": whole_paper.LAYERS, "pretrain_lr": whole_paper.PRETRAIN_LR,
            "pretrain_epochs": whole_paper.PRETRAIN_EPOCHS, "finetune_lr": whole_paper.FINETUNE_LR,
            "finetune_epochs": whole_paper.FINETUNE_EPOCHS, "batch_size": whole_paper.BATCH}
    assert ours == {name: getattr(training, name) for name in ours}
    assert (training.visible, training.output, training.k, profile.scaling) == ("bernoulli", "softmax", 1, "minmax")
    assert whole_paper.GRID == [(C, gamma) for C in profile.window_C for gamma in profile.window_gamma]
    assert (whole_paper.PAPER_TABLE1, whole_paper.PAPER_TABLE3) == (paper.TABLE1["Classification accuracy"],
                                                                    paper.TABLE3)


# --- step for step ---

@pytest.mark.parametrize("seed", range(3))
def test_the_split_is_the_library_s(music, tmp_path, seed):
    for genre, n in {"a": 3, "b": 4, "c": 5, "d": 7, "e": 10, "f": 33}.items():
        (tmp_path / genre).mkdir()
        for number in range(n):
            (tmp_path / genre / f"{number}.wav").touch()
    for root in (music, tmp_path):
        genres, parts = whole_paper.draw_split(root, seed)
        split = splits.split_by_class(folder.load(root).tracks, seed)
        names = [tuple(path.relative_to(root).as_posix() for path, _ in part) for part in parts]
        assert names == [split.train, split.valid, split.test]
        assert all(genres[number] == path.parent for part in parts for path, number in part)


def test_frames_and_mfccs_are_the_library_s(music):
    for path in (music / "deep" / "long.flac", music / "high" / "44.wav"):
        song, signal = whole_paper.read_song(path, 1), load_audio(path)
        np.testing.assert_array_equal(song.dfts, dft_magnitudes(signal))
        np.testing.assert_allclose(song.mfccs, mfcc(signal), atol=1e-4)
        assert (song.genre, song.dfts.dtype) == (1, np.float32)


def test_inputs_are_scaled_by_the_training_songs_alone():
    rng = np.random.default_rng(0)
    parts = [[SimpleNamespace(dfts=rng.gamma(2, size=(n, 5)).astype(np.float32)) for n in (8, 9)] for _ in range(3)]
    for part in parts:
        part[0].dfts[:, 2] = part[1].dfts[:, 2] = 3  # a constant input
    scaling = Scaling("minmax").fit(song.dfts for song in parts[0])
    expected = [[scaling.transform(song.dfts) for song in part] for part in parts]
    whole_paper.scale(*parts)
    for part, arrays in zip(parts, expected):
        for song, array in zip(part, arrays):
            np.testing.assert_allclose(song.dfts, array, atol=1e-6)
            assert song.dfts.dtype == np.float32


@pytest.mark.parametrize("n_frames", [1, 214, 215, 216, 321, 322, 1291])
def test_windows_are_the_library_s(n_frames):
    features = np.random.default_rng(0).normal(loc=50, size=(n_frames, 3))
    expected = aggregate(features, 22050 / 512)
    np.testing.assert_allclose(whole_paper.aggregate(features), expected, rtol=1e-6)


def test_votes_are_the_library_s():
    rng = np.random.default_rng(0)
    for _ in range(300):
        labels = rng.integers(0, 4, size=rng.integers(1, 12))
        assert whole_paper.vote(labels) == svm.vote(labels)


def test_the_svm_is_chosen_and_scored_as_the_library_does():
    rng = np.random.default_rng(3)
    centres = rng.normal(size=(3, 6))

    def songs(n, noise):
        return [SimpleNamespace(genre=i % 3, windows={"row": centres[i % 3] + rng.normal(scale=noise, size=(4, 6))})
                for i in range(n)]

    parts = songs(15, 1.5), songs(12, 2.5), songs(40, 3)
    x, y = whole_paper.examples(parts[0], lambda song: song.windows["row"])
    valid, test = ([song.windows["row"] for song in part] for part in parts[1:])
    profile = PROFILES["paper"]
    model, _ = svm.select(x, y, valid, [song.genre for song in parts[1]], progress=False,
                          grid={"C": profile.window_C, "gamma_times_features": profile.window_gamma})
    expected = np.mean(model.predict_songs(test, progress=False) == [song.genre for song in parts[2]])
    assert whole_paper.svm_accuracy("row", *parts) == expected
    assert whole_paper.svm_accuracy("row", parts[0], parts[2], parts[1]) != expected


def test_contrastive_divergence_is_the_equation():
    """With visible biases of ±60 the sample is known, and with it the step: the data's statistics less the sample's."""
    rng = np.random.default_rng(0)
    rbm = whole_paper.RBM(rng, 4, 3)
    rbm.vbias.set_value(np.array([60, -60, 60, 60], dtype=np.float32))
    W, hbias, vbias = [param.get_value() for param in rbm.params]
    x, v0, v1 = pt.fmatrix(), rng.random((5, 4)).astype(np.float32), np.array([1, 0, 1, 1])
    updates = rbm.get_updates(x, pt.random.shared_rng(rng), np.float32(0.1))
    pytensor.function([x], updates=updates)(v0)
    h0, h1 = 1 / (1 + np.exp(-v0 @ W)), 1 / (1 + np.exp(-v1 @ W))
    for param, before, step in zip(rbm.params, (W, hbias, vbias), (
            v0.T @ h0 / 5 - np.outer(v1, h1), h0.mean(axis=0) - h1, v0.mean(axis=0) - v1)):
        np.testing.assert_allclose(param.get_value(), before + 0.1 * step, atol=1e-5)


@pytest.fixture(scope="module")
def visible_sample():
    """Function (W, hbias, vbias, v0) -> the mean of the visible sample, of an RBM of two units; v0 float32 [n, 1]."""
    rbm, x = whole_paper.RBM(np.random.default_rng(0), 1, 1), pt.fmatrix()
    theano_rng = pt.random.shared_rng(np.random.default_rng(1))
    updates = rbm.get_updates(x, theano_rng, np.float32(1))
    step = pytensor.function([x], updates[rbm.vbias], updates={theano_rng: updates[theano_rng]})

    def sample(*values, v0):
        for param, value in zip(rbm.params, values):
            param.set_value(np.full(param.get_value().shape, value, dtype=np.float32))
        return float(v0.mean() - (step(v0)[0] - values[2]))

    return sample


def test_hidden_units_are_drawn_anew_at_every_call(visible_sample):
    """The hidden unit is on half of the time, and the visible one follows; it would always be on for a half."""
    half = np.full((400, 1), 0.5, dtype=np.float32)
    on = [visible_sample(120, -60, -30, v0=half) for _ in range(20)]
    assert len(set(on)) > 10 and np.mean(on) == pytest.approx(0.5, abs=0.03)


def test_visible_units_are_drawn_as_zero_or_one(visible_sample):
    on = [visible_sample(0, 0, 0, v0=np.full((1, 1), 0.25, dtype=np.float32)) for _ in range(40)]
    assert set(on) == {0, 1} and 8 < sum(on) < 32


def test_the_best_epoch_is_kept(monkeypatch):
    """On validation errors that each epoch is made to have."""
    errors = np.array([0.9, 0.8, 0.85, 0.3, 0.3, 0.7, 0.31], dtype=np.float32)  # the first before any epoch
    error, epochs = pytensor.shared(errors[0]), iter(errors[1:])  # stands for all parameters too
    x, y = pt.fmatrix(), pt.lvector()
    cost = error + 0 * (x.sum() + y.sum()).astype("float32")
    network = SimpleNamespace(x=x, y=y, params=[error], finetune_cost=cost, errors=cost)
    monkeypatch.setattr(whole_paper, "run_epoch", lambda *_: error.set_value(next(epochs)))
    data = [pytensor.shared(array) for array in (np.zeros((40, 1), np.float32), np.zeros(40, np.int64))]
    assert whole_paper.finetune(network, *data, *data, len(errors) - 1, np.random.default_rng(0)) == 3
    assert error.get_value() == errors[3] and next(epochs, None) is None


def test_an_epoch_takes_every_frame_once():
    batches = []
    whole_paper.run_epoch(batches.append, 45, np.random.default_rng(0))
    assert [len(batch) for batch in batches] == [20, 20, 5]
    assert sorted(np.concatenate(batches)) == list(range(45)) != list(np.concatenate(batches))


# --- all of it ---

def table(text):
    """Rows of the printed tables, {name: (here, paper)}."""
    return {name: (float(here), float(there))
            for name, here, there in re.findall(r"^(\w[\w ]*?) {2,}([\d.]+) +([\d.]+)$", text, re.MULTILINE)}


@pytest.fixture(scope="module")
def run(music):
    """What a run prints, and what its steps were given, by name: arrays for `finetune`, songs for a row of Table 3."""
    given, svm_accuracy, finetune = {}, whole_paper.svm_accuracy, whole_paper.finetune

    def watched_accuracy(name, *parts):
        given[name] = parts
        return svm_accuracy(name, *parts)

    def watched_finetune(dbn, *arguments):
        given["finetune"] = [array.get_value() for array in arguments[:4]]
        return finetune(dbn, *arguments)

    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(io.StringIO()) as printed:
        patch.setattr(whole_paper, "svm_accuracy", watched_accuracy)
        patch.setattr(whole_paper, "finetune", watched_finetune)
        whole_paper.main(arguments(music))
    return printed.getvalue(), given


def arguments(music):
    return ["--root", str(music), "--epochs", "3", "--seed", "1"]


def test_from_a_folder_to_table_3(run):
    printed, given = run
    rows, test_songs = table(printed), given["MFCCs"][2]
    assert {name: there for name, (_, there) in rows.items()} == {"epochs": 474, "network": 0.737} | paper.TABLE3
    assert rows["MFCCs"][0] == rows["All Layers"][0] == 1  # tones of other pitch: nothing is easier
    right = np.mean([song.network == song.genre for song in test_songs])  # the parts differ in each genre's share
    assert rows["network"][0] == pytest.approx(right, abs=0.0005) and rows["epochs"][0] <= 3


def test_each_part_of_the_split_has_its_own_use(run, music):
    printed, given = run
    split = splits.split_by_class(folder.load(music).tracks, 1)
    names = split.train, split.valid, split.test
    assert f"to test: {' '.join(str(len(part)) for part in names)}\n" in printed
    signals = {name: load_audio(music / name) for name in itertools.chain(*names)}
    scaling = Scaling("minmax").fit(dft_magnitudes(signals[name]) for name in split.train)
    for array, part in zip(given["finetune"][::2], names):
        expected = [scaling.transform(dft_magnitudes(signals[name])) for name in part]
        np.testing.assert_allclose(array, np.concatenate(expected), atol=1e-6)
    assert list(given) == ["finetune", *paper.TABLE3]
    for parts in map(given.get, paper.TABLE3):
        for songs, part in zip(parts, names, strict=True):
            assert [sorted(GENRES)[song.genre] for song in songs] == [name.partition("/")[0] for name in part]
            for song, name in zip(songs, part):
                expected = aggregate(mfcc(signals[name]), 22050 / 512)
                np.testing.assert_allclose(song.windows["MFCCs"], expected, rtol=1e-3, atol=1e-3)


def test_all_layers_are_the_layers_side_by_side(run):
    for song in itertools.chain(*run[1]["All Layers"]):
        halves = zip(*(np.hsplit(song.windows[f"Layer {number}"], 2) for number in (1, 2, 3)))  # means, variances
        np.testing.assert_array_equal(np.hstack(list(itertools.chain(*halves))), song.windows["All Layers"])


def test_the_same_seed_gives_the_same_numbers(run, music, capsys):
    whole_paper.main(arguments(music))
    assert capsys.readouterr().out == run[0]


def refused(arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        whole_paper.main([str(argument) for argument in arguments])
    assert ended.value.code == 2
    return capsys.readouterr().err


def test_what_cannot_be_used_is_named(tmp_path, capsys):
    assert "nowhere" in refused(["--root", tmp_path / "nowhere"], capsys)
    write_song(tmp_path / "jazz" / "0.wav", 440)
    assert f"{tmp_path}: no folder with sub-folders for two genres" in refused(["--root", tmp_path], capsys)
    for number in range(3):
        write_song(tmp_path / "jazz" / f"{number}.wav", 440)
        write_song(tmp_path / "rock" / f"{number}.wav", 880)
    (tmp_path / "rock" / "2.wav").unlink()
    assert f"{tmp_path / 'rock'}: 2 song(s)" in refused(["--root", tmp_path], capsys)
    for content, why in ((b"no audio", "cannot be read"), (b"", "cannot be read")):
        (tmp_path / "rock" / "2.wav").write_bytes(content)
        message = refused(["--root", tmp_path], capsys)
        assert f"{tmp_path / 'rock' / '2.wav'}: {why}" in message and "Traceback" not in message
    (tmp_path / "rock" / "2.wav").unlink()
    for samples in (np.zeros(1023), np.full(5000, np.nan)):
        soundfile.write(tmp_path / "rock" / "2.wav", samples, 22050, subtype="FLOAT")
        assert f"{tmp_path / 'rock' / '2.wav'}: has fewer samples" in refused(["--root", tmp_path], capsys)
    (tmp_path / "rock" / "2.wav").rename(tmp_path / "rock" / "2.raw")
    assert f"{tmp_path / 'rock' / '2.raw'}: cannot be read" in refused(["--root", tmp_path], capsys)
    for option in ("--seed", "--epochs"):
        assert "must not be negative" in refused(["--root", tmp_path, option, "-1"], capsys)
    assert "--root" in refused([], capsys)
