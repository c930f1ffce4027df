"""What the commands refuse, and how: one message, status 2 or 1, and nothing written."""
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from command_line import SETTINGS, call, refusal, usage_error
from dbn.trained.model import load_model, save_model


@pytest.mark.parametrize("command", [["classify"], ["extract", "-o", "out.npz"], ["plot"]])
def test_models_that_are_none(folder, here, capsys, command):
    os.mkfifo("pipe.npz")
    (here / "text.npz").write_text("hello")
    song = str(folder / "music" / "one.wav")
    for name, reason in (("missing.npz", "No such file"), ("pipe.npz", "not a regular file"), (".", "directory"),
                         ("text.npz", "not a model file"), (song, "not a model file")):
        error = refusal(capsys, command[0], name, song, *command[1:])
        assert error.startswith(f"dbn: error: {name}: ") and reason in error


@pytest.mark.parametrize("settings", [{}, SETTINGS | {"more": 1}, SETTINGS | {"frame_length": 1024},
                                      SETTINGS | {"hop_length": 0}, SETTINGS | {"window": "none such"},
                                      SETTINGS | {"frame_length": 3 * 10**8}, SETTINGS | {"frame_length": 2**40},
                                      SETTINGS | {"sample_rate": 10**9}, SETTINGS | {"hop_length": 2**62},
                                      SETTINGS | {"window": 1e300}])
def test_models_whose_frames_do_not_fit(here, capsys, settings):
    save_model("model.npz", replace(load_model("model.npz"), frame_settings=settings))
    assert "model.npz: " in refusal(capsys, "info", "model.npz")


def test_models_without_classes(folder, here, capsys):
    """Features can be had of them, and no more."""
    model = load_model("model.npz")
    save_model("model.npz", replace(model, weights=[*model.weights[:-1], model.weights[-1][:, :0]],
                                    biases=[*model.biases[:-1], model.biases[-1][:0]], classes=()))
    song = folder / "music" / "one.wav"
    for command in ("classify", "plot"):
        assert "model.npz: has no classes" in refusal(capsys, command, "model.npz", song)
    refusal(capsys, "extract", "model.npz", song, "-o", "out.npz", status=0)


@pytest.mark.parametrize("arguments, reason", [
    (["extract", "model.npz", "{song}", "-o", "out.txt"], ".npz, .npy or .csv"),
    (["extract", "model.npz", "{song}", "-o", "none/out.npz"], "none/out.npz: cannot be written"),
    (["extract", "model.npz", "{song}", "-o", "none/out", "--one-file-each"], "there is no folder none; make it first"),
    (["export", "model.npz", "-o", "."], "is a folder, a pipe or a device"),
    (["extract", "model.npz", "{song}", "-o", "model.npz"], "is read by this command"),
    (["classify", "model.npz", "{song}", "-o", "model.npz"], "is read by this command"),
    (["classify", "model.npz", "{song}", "-o", "none/out"], "cannot be written"),
    (["classify", "model.npz", "{song}", "-o", "."], "is a folder, a pipe or a device"),
    (["classify", "model.npz", "{song}", "-o", "/dev/full"], "is a folder, a pipe or a device"),
    (["extract", "model.npz", "{song}", "-o", "out.npz", "--jobs", "0"], "--jobs"),
    (["extract", "model.npz", "{song}", "-o", "out.npz", "--layers", "3"], "--layers"),
    (["extract", "model.npz", "{song}", "-o", "out.npz", "--layers", "1,1"], "--layers"),
    (["extract", "model.npz", "{song}", "-o", "out.npz", "--layers", "x"], "--layers"),
    (["extract", "model.npz", "{song}", "-o", "out.npz", "--hop", "1"], "--window"),
    (["extract", "model.npz", "{song}", "-o", "out.npz", "--window", "0.0001"], "window"),
    (["extract", "model.npz", "{song}", "-o", "out.npz", "--window", "3600", "--hop", "0.01"], "longer hop"),
    (["plot", "model.npz", "{song}", "-o", "out.txt"], ".png"),
    (["plot", "model.npz", "."], "folder")])
def test_wrong_options(folder, here, capsys, arguments, reason):
    before = (here / "model.npz").read_bytes()
    song = folder / "music" / "one.wav"
    assert reason in refusal(capsys, *[argument.format(song=song) for argument in arguments])
    assert os.listdir() == ["model.npz"] and (here / "model.npz").read_bytes() == before


@pytest.mark.parametrize("arguments", [[], ["sing"], ["classify"], ["classify", "model.npz"], ["extract", "m", "f"],
                                       ["extract", "m", "f", "-o", "o.npz", "--window", "-1"],
                                       ["extract", "m", "f", "-o", "o.npz", "--window", "nan"],
                                       ["extract", "m", "f", "-o", "o.npz", "--window", "1e300"]])
def test_wrong_usage(capsys, arguments):
    assert "usage: dbn" in usage_error(capsys, *arguments)


@pytest.mark.parametrize("arguments, reason", [
    (["tag", "m", "f", "--min-accuracy", "x"], "invalid share value: 'x'"),
    (["extract", "m", "f", "-o", "o.npz", "--window", "x"], "invalid seconds value: 'x'"),
    (["classify", "m", "f", "-o", ""], "argument -o/--output: the name is empty"),
    (["extract", "m", "f", "-o", "", "--one-file-each"], "argument -o/--output: the name is empty"),
    (["export", "m", "-o", ""], "argument -o/--output: the name is empty")])
def test_wrong_values(capsys, arguments, reason):
    assert reason in usage_error(capsys, *arguments)


def test_samples_that_overflow_are_named(here, capsys):
    loud = np.full(9000, 3e38, dtype=np.float32) * np.random.default_rng(0).choice([-1, 1], 9000)
    soundfile.write("loud.wav", loud, 22050, subtype="FLOAT")
    assert "loud.wav: its samples are too large" in refusal(capsys, "classify", "model.npz", "loud.wav", status=1)


def test_a_reader_that_goes_away(folder, here):
    read, write = os.pipe()
    os.close(read)
    for arguments in (["classify", "model.npz", str(folder / "music")], ["info", "model.npz"], ["--help"]):
        done = call(*arguments, stdout=write)
        assert done.stderr == b"" and done.returncode in (0, 141)
    os.close(write)


def test_a_full_disk(folder, here):
    with open("/dev/full", "w") as full:
        done = call("info", "model.npz", stdout=full)
    assert (done.returncode, done.stderr) == (2, b"dbn: error: system: No space left on device\n")


def test_output_closed(here):
    assert call("info", "model.npz", preexec_fn=lambda: os.close(1)).returncode == 0


def test_a_link_to_standard_output_stays_one(folder, here):
    """As ``/dev/stdout`` is one, which root may replace."""
    os.symlink("/proc/self/fd/1", "link")
    with open("here.txt", "w+b") as output:
        done = call("classify", "model.npz", folder / "music" / "one.wav", "-o", "link", stdout=output)
    assert done.returncode == 2 and b"link: standard input, output or error" in done.stderr
    assert os.readlink("link") == "/proc/self/fd/1" and not os.path.getsize("here.txt")


def test_standard_error_closed(folder, here):
    """What is said there is lost; the work is done, and nothing of it goes to standard output or into a file."""
    songs = sorted(str(path) for path in (folder / "music").glob("*.*"))
    expected = call("classify", "model.npz", *songs)
    done = call("classify", "model.npz", *songs, preexec_fn=lambda: os.close(2))
    assert (done.returncode, done.stdout) == (expected.returncode, expected.stdout) and expected.stderr
    assert call("extract", "model.npz", *songs, "-o", "there.npz").returncode == 1
    assert call("extract", "model.npz", *songs, "-o", "closed.npz", preexec_fn=lambda: os.close(2)).returncode == 1
    assert Path("there.npz").read_bytes() == Path("closed.npz").read_bytes()


def test_control_c_while_standard_input_is_read(here, monkeypatch, tmp_path):
    (tmp_path / "spool").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "spool"))
    with subprocess.Popen([sys.executable, "-m", "dbn", "classify", "model.npz", "-"], stdin=subprocess.PIPE,
                          stderr=subprocess.PIPE) as process:
        process.stdin.write(bytes(2**20))  # more than a pipe holds: when this returns, it is being read
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 130
        assert process.stderr.read() == b"\ndbn: stopped\n"
    assert os.listdir("spool") == []
