"""``dbn train``: from a folder to a model, whatever happens on the way."""
import argparse
import csv
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from dbn.audio import dft_magnitudes, load_audio
from dbn.cli.options import add_options, given_options
from dbn.cli.parser import main
from dbn.evaluation.stats import wilson_interval
from dbn.trained.model import load_model
from dbn.training.settings import TrainingSettings
from small_network import replace_compiled

TINY = ["--hidden-layers-sizes", "6,5", "--pretrain-epochs", "2", "--finetune-epochs", "6", "--finetune-lr", "0.5",
        "--patience", "100000", "--jobs", "1", "--recipe", "log"]

# a run that sends itself a signal: at the n-th song, after the n-th epoch, before or after the model gets its name,
# or half a second after a layer has gone to the compiler
DRIVER = """
import os, signal, sys, threading
import dbn.training.state, dbn.audio.extraction
from dbn.training.state import RunState
from dbn.cli.parser import main
from dbn.dbn import DBN

moment, number, signal_name, *argv = sys.argv[1:]
dbn.training.state.SECONDS_BETWEEN_SAVES = 0.0
count = 0

def die():
    os.kill(os.getpid(), getattr(signal, signal_name))

def patch(owner, name, after, condition=lambda *arguments: True):
    original = getattr(owner, name)
    def replacement(*arguments, **options):
        global count
        count += bool(condition(*arguments))
        if not after and count == int(number) and condition(*arguments):
            die()
        result = original(*arguments, **options)
        if after and count == int(number) and condition(*arguments):
            die()
        return result
    setattr(owner, name, replacement)

if moment == "song":
    patch(dbn.audio.extraction, "stream_magnitudes", after=True)
elif moment == "epoch":
    patch(RunState, "finish_epoch", after=True)
elif moment in ("unnamed", "named"):
    is_model = lambda source, target: str(target) == argv[argv.index("-o") + 1]
    patch(os, "replace", moment == "named", is_model)
else:
    die_soon = threading.Timer(0.5, die)
    original = DBN.pretraining_epoch
    DBN.pretraining_epoch = lambda *arguments: (die_soon.start(), original(*arguments))[1]
sys.exit(main(argv))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two classes of five clips of half a second: low notes and high ones, in noise."""
    root = tmp_path_factory.mktemp("music")
    rng = np.random.default_rng(0)
    t = np.arange(11025) / 22050
    for label, lowest in (("high", 4000), ("low", 200)):
        (root / label).mkdir()
        for number in range(5):
            frequency = rng.uniform(lowest, 2 * lowest)
            signal_ = 0.3 * np.sin(2 * np.pi * frequency * t) + 0.01 * rng.standard_normal(len(t))
            soundfile.write(root / label / f"{number}.wav", signal_, 22050)
    return root


@pytest.fixture
def quick(monkeypatch):
    replace_compiled(monkeypatch)


def train(folder, model, *options):
    return main(["train", str(folder), "-o", str(model), *TINY, *options])


def run_driver(folder, model, moment, number, signal_name, *options):
    tests = Path(__file__).parents[1]
    environment = os.environ | {"PYTHONPATH": str(tests.parent), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", DRIVER, moment, str(number), signal_name, "train", str(folder), "-o", str(model),
               *TINY, *options]
    return subprocess.run(command, env=environment, cwd=model.parent, capture_output=True, text=True, timeout=100)


def parameters(model):
    return [*model.weights, *model.biases, *model.visible_biases, model.scaling.offset, model.scaling.gain]


def assert_same(path, expected_path):
    """The same network, bit for bit, by the same way."""
    model, expected = load_model(path), load_model(expected_path)
    for value, other in zip(parameters(model), parameters(expected), strict=True):
        np.testing.assert_array_equal(value, other)
    assert [{**record, "seconds": 0} for record in model.history] == [{**record, "seconds": 0}
                                                                      for record in expected.history]
    told_by_the_clock = {"seconds": 0, "peak_bytes": 0}
    assert {**model.about, **told_by_the_clock} == {**expected.about, **told_by_the_clock}


def names_in(directory):
    return sorted(path.name for path in directory.iterdir())


def test_a_model_that_tells_high_from_low(folder, tmp_path, capsys):
    """Compiled for once; what is printed is what the model file and the audio files give."""
    path = tmp_path / "model.npz"
    assert train(folder, path, "--hidden-layers-sizes", "20", "--finetune-epochs", "40", "--split", "0.4,0.2,0.4") == 0
    assert names_in(tmp_path) == ["model.npz"]
    out, err = capsys.readouterr()
    assert err.splitlines() == ["frames", "pre-training layer 1", "fine-tuning", "windows", "MFCCs", "SVM grid",
                                "SVM grid"]  # what a log gets for its bars
    model = load_model(path)
    assert model.classes == ("high", "low")
    assert model.about["synthetic"] is False
    assert model.about["songs"] == {"high": [2, 1, 2], "low": [2, 1, 2]}
    for file in folder.glob("*/*.wav"):
        probabilities = model.predict_proba(dft_magnitudes(load_audio(file))).mean(axis=0)
        assert model.classes[probabilities.argmax()] == file.parent.name
    low, high = wilson_interval(4, 4)
    assert f"test songs right: 1.000 (4 of 4; 95 % interval {low:.3f} to {high:.3f})" in out
    windows = model.about["test"]["windows"]
    assert windows["All Layers"] == 4 and windows["p"] == 1
    assert (f"on windows of 5 s: its features 1.000 (4 of 4), MFCCs {windows['MFCCs'] / 4:.3f} ({windows['MFCCs']} of "
            "4); p of McNemar's test 1") in out
    assert f"validation error: {model.about['best_error']:.3f} of frames" in out
    assert "high       2      1      2\n" in out
    assert str(path) in out


def test_killed_anywhere_it_goes_on_to_the_same_bits(folder, tmp_path):
    """One run after another dies, each further on; the model's name is never that of half a file."""
    path, expected = tmp_path / "killed" / "model.npz", tmp_path / "alone" / "model.npz"
    path.parent.mkdir()
    expected.parent.mkdir()
    assert train(folder, expected) == 0
    moments = [("song", 3), ("epoch", 1), ("epoch", 2), ("epoch", 4), ("unnamed", 1), ("named", 1)]
    for moment, number in moments:
        process = run_driver(folder, path, moment, number, "SIGKILL")
        assert process.returncode == -signal.SIGKILL, process.stderr
        assert names_in(path.parent) == ["model.npz"] * (moment == "named") + ["model.npz.work"]
    written = path.read_bytes()
    assert train(folder, path) == 0
    assert names_in(path.parent) == ["model.npz"]
    assert path.read_bytes() == written  # it was finished: only the work folder was left to remove
    assert_same(path, expected)


@pytest.mark.parametrize("moment, number", [("song", 3), ("compiler", 0), ("epoch", 3)])
def test_ctrl_c_says_how_to_go_on(folder, tmp_path, moment, number):
    process = run_driver(folder, tmp_path / "model.npz", moment, number, "SIGINT", "--pretrain-epochs", "1000000")
    assert process.returncode == 130, process.stderr
    assert process.stderr.endswith(f"the same command goes on from {tmp_path / 'model.npz.work'}\n")
    assert "Traceback" not in process.stderr and process.stdout == ""
    assert names_in(tmp_path) == ["model.npz.work"]


def test_an_interrupted_replacement_leaves_the_old_model(quick, folder, tmp_path):
    path = tmp_path / "model.npz"
    assert train(folder, path) == 0
    old = path.read_bytes()
    process = run_driver(folder, path, "epoch", 3, "SIGKILL", "--seed", "1", "--force")
    assert process.returncode == -signal.SIGKILL, process.stderr
    assert path.read_bytes() == old


# Below, nothing is compiled.


def test_the_same_command_again_changes_nothing(quick, folder, tmp_path, capsys):
    path = tmp_path / "model.npz"
    assert train(folder, path) == 0
    first, written = capsys.readouterr().out, path.read_bytes()
    assert train(folder, path) == 0
    assert capsys.readouterr() == (first, "")
    assert path.read_bytes() == written


def test_another_model_is_replaced_by_force_alone(quick, folder, tmp_path, capsys):
    path = tmp_path / "model.npz"
    for content in (b"something else", None):
        if content is None:
            assert train(folder, path, "--force") == 0
        else:
            path.write_bytes(content)
        before = path.read_bytes()
        assert train(folder, path, "--seed", "1") == 2
        assert "--force replaces it, or give another name" in capsys.readouterr().err
        assert path.read_bytes() == before
        assert names_in(tmp_path) == ["model.npz"]
    assert train(folder, path, "--seed", "1", "--force") == 0
    assert load_model(path).about["settings"]["seed"] == 1


def test_what_it_works_with_is_kept_on_demand(quick, folder, tmp_path):
    assert train(folder, tmp_path / "model.npz", "--keep") == 0
    assert {"frames"} < set(names_in(tmp_path / "model.npz.work"))
    assert train(folder, tmp_path / "model.npz") == 0
    assert names_in(tmp_path) == ["model.npz"]


def test_what_others_put_into_the_work_folder_stays(quick, folder, tmp_path):
    (tmp_path / "model.npz.work").mkdir()
    (tmp_path / "model.npz.work" / "thesis.txt").write_text("mine")
    assert train(folder, tmp_path / "model.npz") == 0
    assert names_in(tmp_path / "model.npz.work") == ["thesis.txt"]


@pytest.mark.parametrize("name", ["frames", "dbn-0123456789ab"])
def test_a_work_folder_that_somebody_else_has_made(quick, folder, tmp_path, capsys, name):
    """What bears the names of a run's own is not removed: not before, not after, not through a link."""
    (tmp_path / "theirs" / name).mkdir(parents=True)
    (tmp_path / "model.npz.work").symlink_to("theirs")
    assert train(folder, tmp_path / "model.npz") == 2
    assert f"{name}, which no dbn train has made" in capsys.readouterr().err
    assert train(folder, tmp_path / "other.npz") == 0
    (tmp_path / "other.npz.work").symlink_to("theirs")
    assert train(folder, tmp_path / "other.npz") == 0  # it is there already
    assert names_in(tmp_path / "theirs") == [name]


def test_a_folder_of_a_like_name_beside_a_runs_own(quick, folder, tmp_path):
    assert train(folder, tmp_path / "model.npz", "--keep") == 0
    (tmp_path / "model.npz.work" / "dbn-notes").mkdir()
    assert train(folder, tmp_path / "model.npz") == 0
    assert names_in(tmp_path / "model.npz.work") == ["dbn-notes"]


def test_a_link_to_the_model_stays_one(quick, folder, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "model.npz").symlink_to("elsewhere/real.npz")
    assert train(folder, tmp_path / "model.npz") == 0
    (tmp_path / "elsewhere" / "real.npz").chmod(0o600)
    assert train(folder, tmp_path / "model.npz", "--force") == 0
    assert (tmp_path / "model.npz").is_symlink() and names_in(tmp_path) == ["elsewhere", "model.npz"]
    assert names_in(tmp_path / "elsewhere") == ["real.npz"]
    assert (tmp_path / "elsewhere" / "real.npz").stat().st_mode & 0o777 == 0o600


def test_every_option_reaches_the_model(quick, folder, tmp_path):
    options = {"hidden_layers_sizes": (4, 3, 2), "visible": "gaussian", "output": "sigmoid", "pretrain_lr": 0.01,
               "pretrain_epochs": 1, "k": 2, "persistent": True, "finetune_lr": 0.2, "finetune_epochs": 3,
               "batch_size": 7, "patience": 9, "shard_frames": 50, "seed": 3, "activation": "sigmoid", "dropout": 0.1,
               "momentum": 0.2, "weight_decay": 0.001, "sparsity_cost": 0.5, "sparsity_target": 0.02}
    arguments = [part for name, value in options.items() if name != "persistent"
                 for part in ("--" + name.replace("_", "-"),
                              ",".join(map(str, value)) if isinstance(value, tuple) else str(value))]
    arguments.append("--persistent")
    assert main(["train", str(folder), "-o", str(tmp_path / "m.npz"), "--jobs", "1", *arguments,
                 "--scaling", "standardize"]) == 0
    model = load_model(tmp_path / "m.npz")
    assert model.about["settings"] == options | {"hidden_layers_sizes": [4, 3, 2]}
    assert (model.scaling.kind, model.visible, model.output) == ("standardize", "gaussian", "sigmoid")
    assert [len(bias) for bias in model.biases] == [4, 3, 2, 2]


def test_a_switch_is_turned_on_and_off():
    parser = argparse.ArgumentParser()
    add_options(parser, TrainingSettings, defaults=TrainingSettings())
    for arguments, expected in ((["--persistent"], {"persistent": True}), (["--no-persistent"], {"persistent": False}),
                                ([], {})):
        assert given_options(parser.parse_args(arguments), TrainingSettings) == expected
    assert "Default: no" in parser.format_help()


def test_a_table_of_labels_and_parts_is_followed(quick, folder, tmp_path):
    files = sorted(path.relative_to(folder).as_posix() for path in folder.glob("*/*.wav"))
    parts = ["train", "train", "valid", "test", "excluded"] * 2
    table = tmp_path / "labels.csv"
    with open(table, "w", newline="") as file:
        csv.writer(file).writerows([("file", "label", "part"),
                                    *((name, f"is {name[0]}", part) for name, part in zip(files, parts))])
    assert train(folder, tmp_path / "m.npz", "--labels", str(table), "--recipe", "paper") == 0
    model = load_model(tmp_path / "m.npz")
    assert model.about["songs"] == {"is h": [2, 1, 1], "is l": [2, 1, 1]}
    expected = np.concatenate([dft_magnitudes(load_audio(folder / name))
                               for name, part in zip(files, parts) if part == "train"])
    np.testing.assert_allclose(model.scaling.offset, expected.min(axis=0), rtol=1e-6)


def test_bad_files_are_named_and_the_others_used(quick, folder, tmp_path, capsys):
    root = tmp_path / "music"
    for label in ("high", "low"):
        (root / label).mkdir(parents=True)
        for file in (folder / label).iterdir():
            (root / label / file.name).symlink_to(file)
    (root / "low" / "bad.wav").write_bytes(b"RIFF")
    (root / "low" / "line\nbreak.wav").symlink_to(folder / "low" / "0.wav")
    assert train(root, tmp_path / "m.npz") == 1
    out, err = capsys.readouterr()
    assert "skipped: low/line\\nbreak.wav: " in err
    assert f"skipped: {root / 'low' / 'bad.wav'}: cannot be decoded" in err
    assert "2 skipped, 10 used" in err
    assert load_model(tmp_path / "m.npz").about["songs"] == {"high": [3, 1, 1], "low": [3, 1, 1]}
    assert train(root, tmp_path / "m.npz") == 1  # and so it is when asked again
    again = capsys.readouterr()
    assert again.out == out and again.err == err[err.index("skipped"):]


def test_training_without_labels(quick, folder, tmp_path, capsys):
    """The same network, whatever the folders are called; it gives features and no classes."""
    root = tmp_path / "music"
    (root / "deep" / "er").mkdir(parents=True)
    for number, file in enumerate(sorted(folder.glob("*/*.wav"))):
        (root / ("deep/er" if number % 2 else "deep") / f"{number}.wav").symlink_to(file)
    (root / "deep" / "bad.wav").write_bytes(b"RIFF")
    assert train(root, tmp_path / "m.npz", "--unsupervised") == 1
    out, err = capsys.readouterr()
    assert "songs: 10, without labels" in out and "layer 2: 2 epochs of pre-training, cost " in out
    assert "bad.wav: cannot be decoded" in err and "1 skipped, 10 used" in err
    model = load_model(tmp_path / "m.npz")
    assert model.classes == () and {record["stage"] for record in model.history} == {"pretrain"}
    assert [len(bias) for bias in model.biases] == [6, 5, 0]
    song = str(folder / "low" / "0.wav")
    assert main(["extract", str(tmp_path / "m.npz"), song, "-o", str(tmp_path / "f.npz")]) == 0
    assert main(["classify", str(tmp_path / "m.npz"), song]) == 2
    assert "trained without labels" in capsys.readouterr().err
    written = (tmp_path / "m.npz").read_bytes()
    assert train(root, tmp_path / "m.npz", "--unsupervised") == 1  # it is there
    assert capsys.readouterr().out == out and (tmp_path / "m.npz").read_bytes() == written


def test_a_split_without_training_songs_of_a_class(quick, folder, tmp_path, capsys):
    """Such features cannot be compared; the network is made."""
    files = sorted(path.relative_to(folder).as_posix() for path in folder.glob("*/*.wav"))
    parts = ["valid", "test", "excluded", "excluded", "excluded", "train", "train", "train", "valid", "test"]
    table = tmp_path / "labels.csv"
    with open(table, "w", newline="") as file:
        csv.writer(file).writerows([("file", "label", "part"),
                                    *((name, name.split("/")[0], part) for name, part in zip(files, parts))])
    assert train(folder, tmp_path / "m.npz", "--labels", str(table)) == 0
    assert "not compared with MFCCs: " in capsys.readouterr().out


@pytest.mark.parametrize("options, message", [
    (["--split", "0.5,0.5"], "--split (0.5, 0.5): must be three positive numbers"),
    (["--split", "0.4,0.3,0.3", "--unsupervised"], "leave --labels, --recipe auto and --split out"),
    (["--split", "0.4,0.3,0.3", "--labels", "{table}"], "leave --split out")])
def test_a_split_that_cannot_be(quick, folder, tmp_path, capsys, options, message):
    table = tmp_path / "labels.csv"
    table.write_text("file,label,part\nhigh/0.wav,a,train\nlow/0.wav,b,valid\nlow/1.wav,b,test\n")
    assert train(folder, tmp_path / "m.npz", *(option.format(table=table) for option in options)) == 2
    assert message in capsys.readouterr().err and names_in(tmp_path) == ["labels.csv"]
