"""``dbn`` end to end: what it prints and writes, beside the library's own results, and how it refuses."""
import csv
import json
import os
import pty
import re
import subprocess
import sys
import termios
from configparser import ConfigParser
from functools import partial
from importlib import import_module

import numpy as np
import pytest
import soundfile

from command_line import REPOSITORY, SETTINGS, SIZES, call, refusal, whole_file
from dbn import __version__
from dbn.__main__ import main as start
from dbn.cli.options import given_options
from dbn.cli.parser import build_parser, main
from dbn.system.progress import progress_bar
from dbn.training.recipes import RECIPES
from dbn.training.settings import TrainingSettings


def test_classify_json(folder, here, capsys):
    assert main(["classify", "model.npz", str(folder / "music"), "--json"]) == 0
    out, error = capsys.readouterr()
    answers = [json.loads(line) for line in out.splitlines()]
    assert [os.path.relpath(answer["file"], folder / "music") for answer in answers] == [
        "one.wav", "two.flac", "deep/three.wav"]
    assert error == ""
    for answer in answers:
        model, frames = whole_file(folder, answer["file"])
        expected = model.predict_proba(frames).mean(axis=0)
        np.testing.assert_allclose(list(answer["probabilities"].values()), expected, atol=2e-6)
        assert list(answer["probabilities"]) == ["a", "b", "ü\n"]
        assert answer["label"] == model.classes[expected.argmax()]
        assert answer["n_frames"] == len(frames) and answer["seconds"] == pytest.approx(2.0, abs=0.005)


def test_classify_text(folder, here, capsys):
    path = folder / "music" / "one.wav"
    assert main(["classify", "model.npz", str(path), str(path)]) == 0
    model, frames = whole_file(folder, path)
    mean = model.predict_proba(frames).mean(axis=0)
    label = ("a", "b", r"ü\n")[mean.argmax()]
    assert capsys.readouterr().out == f"{path}\t{label}\t{mean.max():.3f}\n" * 2


def test_classify_to_a_file(folder, here, capsys):
    path = str(folder / "music" / "one.wav")
    assert main(["classify", "model.npz", path, "-o", "labels.tsv"]) == 0
    assert capsys.readouterr().out == ""
    assert main(["classify", "model.npz", path]) == 0
    assert (here / "labels.tsv").read_text(encoding="utf-8") == capsys.readouterr().out


def test_classify_on_a_terminal_is_aligned(folder, here, capsys, monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.chdir(folder / "music")
    assert main(["classify", "../model.npz", "one.wav", "deep/three.wav"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len({len(line) for line in lines}) == 1 and lines[0].startswith("one.wav         ")


def test_info(here, capsys):
    assert main(["info", "model.npz"]) == 0
    text = capsys.readouterr().out
    assert "layers: 33, 5, 4, 3" in text and r"classes: a, b, ü\n" in text and "  sample_rate: 22050" in text
    assert main(["info", "model.npz", "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["classes"] == ["a", "b", "ü\n"] and summary["frames"] == SETTINGS
    assert summary["parameters"] == 33 * 5 + 5 + 5 * 4 + 4 + 4 * 3 + 3
    assert summary["epochs"] == {"pretrain": 0, "finetune": 1}


@pytest.mark.parametrize("name", [None, "picture.pdf", "picture.svg"])
def test_plot(folder, here, capsys, name):
    options = [] if name is None else ["-o", name]
    assert main(["plot", "model.npz", str(folder / "music" / "one.wav"), *options]) == 0
    name = name or "one.png"
    assert capsys.readouterr().out == f"{name}\n"
    assert (here / name).read_bytes()[:4] in (b"\x89PNG", b"%PDF", b"<?xm")


def test_plot_averages_what_is_longer_than_it_is_wide(here, monkeypatch):
    drawn = []
    monkeypatch.setattr("dbn.cli.plotting.save_plot", lambda path, rows, model, seconds, title: drawn.append(
        (rows.shape, seconds)))
    soundfile.write("long.wav", np.random.default_rng(0).uniform(-0.5, 0.5, 30 * 22050), 22050)
    assert main(["plot", "model.npz", "long.wav"]) == 0
    [((n_rows, n_columns), seconds)] = drawn
    assert 1000 < n_rows < 4000 and n_columns == sum(SIZES[1:])
    assert n_rows * seconds == pytest.approx(30, abs=0.05)


def test_one_status_for_some_bad_files(folder, here, capsys):
    (here / "empty.wav").touch()
    (here / "nothing").mkdir()
    (here / "broken.wav").symlink_to("nowhere.wav")
    os.mkfifo("pipe.wav")
    good = folder / "music" / "one.wav"
    names = ["empty.wav", "nothing", "broken.wav", "pipe.wav", "missing.wav"]
    assert main(["classify", "model.npz", *names, str(good)]) == 1
    out, error = capsys.readouterr()
    assert len(out.splitlines()) == 1 and "5 of 6 files failed" in error
    for name, reason in zip(names, ["empty", "no audio file in this folder", "no such file", "not a regular file",
                                    "no such file"]):
        [line] = [line for line in error.splitlines() if line.startswith(f"dbn: {name}: ")]
        assert reason in line


def test_folders_with_loops_and_foreign_formats(folder, here, capsys):
    (here / "loop" / "a").mkdir(parents=True)
    (here / "loop" / "a" / "back").symlink_to(here / "loop")
    (here / "loop" / "a" / "song.wav").write_bytes((folder / "music" / "one.wav").read_bytes())
    (here / "loop" / "song.m4a").touch()
    (here / "self.wav").symlink_to("self.wav")
    os.mkfifo("loop/pipe.wav")
    assert main(["classify", "model.npz", "loop", "self.wav"]) == 1
    out, error = capsys.readouterr()
    assert out.startswith("loop/a/song.wav\t") and out.count("\n") == 1
    assert "libsndfile does not read .m4a" in error and "self.wav: cannot be read" in error
    assert "loop/pipe.wav: a link that leads nowhere, or no plain file" in error


def test_names_that_are_no_text(folder, here):
    """Line breaks, tabs and bytes that are not UTF-8."""
    os.mkdir("odd")
    for name in (b"line\nbreak\t.wav", b"byte\xff.wav"):
        with open(b"odd/" + name, "wb") as file:
            file.write((folder / "music" / "one.wav").read_bytes())
    environment = os.environ | {"PYTHONIOENCODING": "ascii:strict"}
    text = call("classify", "model.npz", "odd", "gone\n.wav", env=environment)
    assert text.returncode == 1 and text.stderr.startswith(rb"dbn: gone\n.wav: no such file")
    assert [line.count(b"\t") for line in text.stdout.splitlines()] == [2, 2]
    answers = [json.loads(line) for line in call("classify", "model.npz", "odd", "--json").stdout.splitlines()]
    assert sorted(answer["file"] for answer in answers) == [r"odd/byte\xff.wav", "odd/line\nbreak\t.wav"]
    for name in ("out.npz", "out.csv"):
        assert call("extract", "model.npz", "odd", "-o", name).returncode == 0
    with np.load("out.npz") as found:
        assert r"odd/line\nbreak\t.wav" in found["names"]
    with open("out.csv", newline="", encoding="utf-8") as file:
        assert len(list(csv.reader(file))) == 1 + 2 * 1377
    assert call("plot", "model.npz", b"odd/byte\xff.wav".decode(errors="surrogateescape")).returncode == 0


@pytest.mark.parametrize("name", ["one.wav", "two.flac"])
def test_standard_input(folder, here, name):
    path = folder / "music" / name
    piped = call("classify", "model.npz", "-", "--json", stdin=path.read_bytes())
    assert (piped.returncode, piped.stderr) == (0, b"")
    direct = json.loads(call("classify", "model.npz", path, "--json").stdout)
    assert json.loads(piped.stdout) == direct | {"file": "-"}


def test_standard_input_that_is_no_audio(here, monkeypatch, capsys):
    for stdin, reason in ((b"", b"dbn: -: the file is empty"), (b"text\n" * 99, b"dbn: -: cannot be decoded")):
        done = call("classify", "model.npz", "-", stdin=stdin)
        assert done.returncode == 1 and done.stderr.startswith(reason)
    done = call("classify", "model.npz", "-", "-")
    assert b"give it once" in done.stderr
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    assert "terminal" in refusal(capsys, "classify", "model.npz", "-", status=1)


def test_standard_input_is_bounded(here, monkeypatch, capsys, tmp_path):
    (tmp_path / "stdin").write_bytes(bytes(2000))
    monkeypatch.setattr("dbn.cli.inputs.MAX_STDIN_BYTES", 1000)
    with open(tmp_path / "stdin") as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        assert "more than 1,000 bytes" in refusal(capsys, "classify", "model.npz", "-", status=1)


def test_a_terminal_shows_progress(folder, here):
    terminal, end = pty.openpty()
    termios.tcsetwinsize(end, (24, 100))
    os.set_blocking(terminal, False)
    done = call("classify", "model.npz", folder / "music", stderr=end)
    shown = os.read(terminal, 100_000)
    os.close(end)
    os.close(terminal)
    assert done.returncode == 0 and done.stdout.count(b"\n") == 3
    assert b"classify: " in shown and b"/6 s of audio" in shown


def test_progress_counts_a_file_as_often_as_it_is_given(folder, here, capsys, monkeypatch):
    monkeypatch.setattr("dbn.cli.output.progress_bar", partial(progress_bar, mininterval=0))
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    song = str(folder / "music" / "one.wav")
    assert main(["classify", "model.npz", song, song, song]) == 0
    assert "6/6 s of audio" in capsys.readouterr().err


def test_progress_of_a_file_longer_than_its_header_says(folder, here, capsys, monkeypatch):
    monkeypatch.setattr("dbn.cli.output.progress_bar", partial(progress_bar, mininterval=0))
    monkeypatch.setattr("dbn.cli.output.expected_length", lambda *_: 1)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert main(["classify", "model.npz", str(folder / "music" / "one.wav")]) == 0
    assert "1/1 s of audio" in capsys.readouterr().err


@pytest.mark.parametrize("again", ["music/deep", "music"])
def test_a_folder_that_was_read_already_is_not_called_empty(folder, here, capsys, again):
    assert main(["classify", "model.npz", str(folder / "music"), str(folder / again)]) == 0
    out, error = capsys.readouterr()
    assert len(out.splitlines()) == 3 and error == ""


COMMANDS = ("train", "train-tags", "classify", "tag", "extract", "info", "export", "plot")


@pytest.mark.parametrize("command", COMMANDS[2:])
def test_help_shows_examples_that_parse(capsys, command):
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    text = capsys.readouterr().out
    examples = [line.split("dbn ", 1)[1] for line in text.splitlines() if f"  dbn {command} " in line]
    assert ended.value.code == 0 and "examples:" in text and examples
    for example in examples:
        assert build_parser().parse_args(example.split(" | ")[0].split()).command == command


def test_help_names_every_command(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    text = capsys.readouterr().out
    assert all(f"  dbn {command} " in text for command in COMMANDS)


def test_help_says_what_each_recipe_takes_where_no_option_does(capsys):
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    text = " ".join(capsys.readouterr().out.replace("-\n", "-").split())
    text = re.sub("- +", "-", text)  # an option that was broken at a hyphen
    taken = re.search("the recipe rectified has (.*?); ", text)[1]
    parsed = build_parser().parse_args(["train", "music", "-o", "m.npz", *taken.split()])
    assert given_options(parsed, TrainingSettings) == RECIPES["rectified"].changes
    assert "a convolutional network has --hidden-layers-sizes 150 " in text


def test_version(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert (ended.value.code, capsys.readouterr().out) == (0, f"dbn {__version__}\n")


@pytest.mark.parametrize("command, arguments", [
    ("classify", ["one.wav"]), ("extract", ["one.wav", "-o", "features.npz", "--window", "1"]), ("info", [])])
def test_a_model_is_used_without_a_compiler(folder, here, command, arguments):
    """Nor anything else that takes long to import and is not needed."""
    script = ("import sys; from dbn.cli.parser import main; status = main(sys.argv[1:]); "
              "slow = {'pytensor', 'numba', 'matplotlib', 'sklearn', 'scipy.signal', 'scipy.stats', 'joblib'}; "
              "print(*sorted(slow & set(sys.modules)), file=sys.stderr); sys.exit(status)")
    (here / "one.wav").write_bytes((folder / "music" / "one.wav").read_bytes())
    done = subprocess.run([sys.executable, "-c", script, command, "model.npz", *arguments], text=True,
                          capture_output=True)
    assert (done.returncode, done.stderr.splitlines()[-1]) == (0, "")


def test_training_imports_what_it_needs():
    """An import of the trainer takes little longer than PyTensor's own."""
    script = ("import sys, pytensor.tensor; before = set(sys.modules); import dbn.training.loops; "
              "slow = {'matplotlib', 'sklearn', 'scipy.fft', 'scipy.signal', 'scipy.stats', 'joblib', 'pandas'}; "
              "print(*sorted(slow & set(sys.modules) - before))")
    assert subprocess.check_output([sys.executable, "-c", script], cwd=REPOSITORY).split() == []


def test_the_console_script_is_this_command():
    setup = ConfigParser()
    setup.read(REPOSITORY / "setup.cfg")
    name, target = setup["options.entry_points"]["console_scripts"].split("=")
    module, function = target.strip().split(":")
    assert name.strip() == "dbn" and getattr(import_module(module), function) is start
