"""``dbn tag`` end to end: the library's own numbers on whole files, bad files and options, and Ctrl-C at the start."""
import json
import os
import subprocess
import sys
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

import small_tagger
from dbn.audio import dft_magnitudes, load_audio
from dbn.cli.parser import main
from dbn.trained.model import save_model
from dbn.trained.tagger import save_tagger

REPOSITORY = Path(__file__).parents[2]
FRAMES = {name: value for name, value in small_tagger.FRAMES.items() if name != "sample_rate"}


@pytest.fixture(scope="module")
def tagger():
    """Its intercepts are moved so that some tags hold for noise: the third most, the first never."""
    tagger = small_tagger.tagger(dataset="noise", synthetic=False, n_clips=40)
    return replace(tagger, svms=tuple(svm._replace(intercept=value) for svm, value in zip(tagger.svms, (-9, 2, 3.5))))


@pytest.fixture
def here(tagger, tmp_path, monkeypatch):
    """A working folder with a tagger and a folder of three recordings, of 30 s (more than a block), 2 s and 0.3 s."""
    monkeypatch.chdir(tmp_path)
    save_tagger("tagger.npz", tagger)
    (tmp_path / "music" / "deep").mkdir(parents=True)
    rng = np.random.default_rng(3)
    for name, rate, channels, seconds in (("one.wav", 22050, 1, 30), ("two.flac", 44100, 2, 2),
                                          ("deep/three.wav", 8000, 1, 0.3)):
        loudness = np.linspace(0, 1, int(seconds * rate))[:, None]
        soundfile.write(tmp_path / "music" / name, loudness * rng.uniform(-0.5, 0.5, (len(loudness), channels)), rate)
    return tmp_path


def whole_file(tagger, path):
    """Each tag's score of a recording read at once."""
    return dict(zip(tagger.names, tagger.scores(dft_magnitudes(load_audio(path, 22050, 64), **FRAMES))))


def answers(capsys, *arguments, status=0):
    assert main(["tag", *map(str, arguments), "--json"]) == status
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_json_is_what_the_library_gives_for_the_whole_file(tagger, here, capsys):
    found = answers(capsys, "tagger.npz", "music")
    assert [answer["file"] for answer in found] == ["music/one.wav", "music/two.flac", "music/deep/three.wav"]
    accuracies = dict(zip(tagger.names, (0.9, 0.6, 0.75)))
    for answer, (n_windows, seconds) in zip(found, ((119, 30), (7, 2), (1, 0.3))):
        expected = whole_file(tagger, answer["file"])
        assert answer["values"] == pytest.approx(expected, abs=2e-6)
        assert list(answer["values"]) == sorted(expected, key=lambda tag: -expected[tag])
        hold = [tag for tag in answer["values"] if expected[tag] > 0]
        assert [entry["tag"] for entry in answer["tags"]] == hold and 0 < len(hold) < 3
        assert [entry["accuracy"] for entry in answer["tags"]] == [accuracies[tag] for tag in hold]
        assert [entry["value"] for entry in answer["tags"]] == [answer["values"][tag] for tag in hold]
        assert (answer["n_windows"], answer["synthetic"]) == (n_windows, [])
        assert answer["seconds"] == pytest.approx(seconds, abs=0.005)


def test_text_has_a_line_a_file(tagger, here, capsys):
    assert main(["tag", "tagger.npz", "music/one.wav", "music/two.flac"]) == 0
    out, error = capsys.readouterr()
    lines = []
    for path in ("music/one.wav", "music/two.flac"):
        hold = sorted(((-value, tag) for tag, value in whole_file(tagger, path).items() if value > 0))
        lines.append("\t".join([path, *(f"{tag} {-value:.3f}" for value, tag in hold)]).replace("\n", r"\n"))
    assert out.splitlines() == lines and r"ü\nslow" in out
    assert error == ""


def test_a_file_without_tags_is_listed(tagger, here, capsys):
    save_tagger("tagger.npz", replace(tagger, svms=tuple(svm._replace(intercept=-99.0) for svm in tagger.svms)))
    assert main(["tag", "tagger.npz", "music/one.wav"]) == 0
    assert capsys.readouterr().out == "music/one.wav\n"


def test_on_a_terminal_names_are_aligned(here, capsys, monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert main(["tag", "tagger.npz", "music/one.wav", "music/deep/three.wav"]) == 0
    one, three = capsys.readouterr().out.splitlines()
    assert one.startswith("music/one.wav         third ") and three.startswith("music/deep/three.wav  ")


def test_tags_not_to_be_trusted_are_left_out(here, capsys):
    (answer,) = answers(capsys, "tagger.npz", "music/one.wav", "--min-accuracy", "0.75")
    assert set(answer["values"]) == {"loud", "third"}
    assert [entry["tag"] for entry in answer["tags"]] == ["third"]
    assert main(["tag", "tagger.npz", "music/one.wav", "--min-accuracy", "0.95", "-o", "tags.txt"]) == 2
    assert "--min-accuracy 0.95: no tag is recognised so well; the best is loud with 0.900" in capsys.readouterr().err
    assert not Path("tags.txt").exists()


def test_standard_input_and_an_output_file(here, capsys):
    done = subprocess.run([sys.executable, "-m", "dbn", "tag", "tagger.npz", "-", "-o", "tags.json", "--json"],
                          input=Path("music/one.wav").read_bytes(), capture_output=True,
                          env=os.environ | {"PYTHONPATH": str(REPOSITORY)})
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    (expected,) = answers(capsys, "tagger.npz", "music/one.wav")
    assert json.loads(Path("tags.json").read_text()) == expected | {"file": "-"}


def test_bad_files_are_named_and_counted(here, capsys):
    Path("empty.wav").touch()
    loud = np.full(9000, 3e38, dtype="f4") * np.random.default_rng(0).choice([-1, 1], 9000)
    soundfile.write("loud.wav", loud, 22050, subtype="FLOAT")
    assert main(["tag", "tagger.npz", "empty.wav", "loud.wav", "missing.wav", "music/one.wav"]) == 1
    out, error = capsys.readouterr()
    assert out.startswith("music/one.wav\t") and out.count("\n") == 1
    for part in ("dbn: empty.wav: the file is empty", "dbn: loud.wav: its samples are too large",
                 "dbn: missing.wav: no such file", "dbn: 3 of 4 files failed"):
        assert part in error


@pytest.mark.parametrize("name, reason", [
    ("network.npz", "holds a network and no tags"), ("text.npz", "not a model file"), ("missing.npz", "No such file"),
    ("pipe.npz", "a pipe or a device"), (".", "directory"), ("half.npz", "not a model file")])
def test_files_that_are_no_tagger(tagger, here, capsys, name, reason):
    save_model("network.npz", tagger.model)
    Path("text.npz").write_text("hello")
    Path("half.npz").write_bytes(Path("tagger.npz").read_bytes()[:5000])
    os.mkfifo("pipe.npz")
    assert main(["tag", name, "music"]) == 2
    out, error = capsys.readouterr()
    assert out == "" and error.startswith(f"dbn: error: {name}: ") and reason in error


def test_frames_that_do_not_fit_the_network(tagger, here, capsys):
    other = replace(tagger.model, frame_settings=small_tagger.FRAMES | {"frame_length": 128})
    save_tagger("tagger.npz", replace(tagger, model=other))
    assert main(["tag", "tagger.npz", "music"]) == 2
    assert "tagger.npz: its frames have 65 values" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["tagger.npz"], ["tagger.npz", "music", "--min-accuracy", "70"],
                                       ["tagger.npz", "music", "--min-accuracy", "nan"]])
def test_wrong_usage(here, capsys, arguments):
    with pytest.raises(SystemExit) as ended:
        main(["tag", *arguments])
    assert ended.value.code == 2 and "usage: dbn tag" in capsys.readouterr().err


def test_the_tagger_is_not_written_over(here, capsys):
    before = Path("tagger.npz").read_bytes()
    assert main(["tag", "tagger.npz", "music", "-o", "tagger.npz"]) == 2
    assert "is read by this command" in capsys.readouterr().err and Path("tagger.npz").read_bytes() == before


def test_info_tells_which_tags_to_trust(here, capsys):
    assert main(["info", "tagger.npz"]) == 0
    text = capsys.readouterr().out
    assert "tag_accuracy:\n  loud: 0.9\n  third: 0.75\n  ü\\nslow: 0.6\n" in text and "chance is 0.5" in text
    assert main(["info", "tagger.npz", "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["layers"] == list(small_tagger.SIZES)
    assert summary["tag_test_clips"] == {"loud": 24, "third": 20, "ü\nslow": 40}
    assert summary["tag_about"]["n_clips"] == 40 and summary["synthetic"] == []
    save_model("network.npz", small_tagger.model())
    assert main(["info", "network.npz", "--json"]) == 0
    assert "tag_accuracy" not in json.loads(capsys.readouterr().out)


def test_what_is_synthetic_says_so(tagger, here, capsys):
    save_tagger("tagger.npz", replace(tagger, about={"synthetic": True}))
    assert main(["tag", "tagger.npz", "music/one.wav"]) == 0
    assert "dbn: note: tags learnt from synthetic clips" in capsys.readouterr().err
    (answer,) = answers(capsys, "tagger.npz", "music/one.wav")
    assert answer["synthetic"] == ["tags"]
    assert main(["info", "tagger.npz"]) == 0
    assert "synthetic: tags\n" in capsys.readouterr().out


def test_other_commands_take_a_tagger_for_its_network(here, capsys):
    assert main(["classify", "tagger.npz", "music/one.wav"]) == 0
    assert capsys.readouterr().out.startswith("music/one.wav\t")


def test_memory_does_not_grow_with_the_recording(here, capsys):
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, 60 * 8000).astype("f4")
    peaks = []
    for minutes in (1, 5):
        with soundfile.SoundFile("long.wav", "w", 8000, 1) as file:
            for _ in range(minutes):
                file.write(noise)
        tracemalloc.start()
        assert main(["tag", "tagger.npz", "long.wav"]) == 0
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.5 * peaks[0]  # all frames of five minutes take 27 MB


def test_it_needs_neither_compiler_nor_scikit_learn(here):
    script = ("import sys; from dbn.cli.parser import main; status = main(sys.argv[1:]); "
              "sys.exit(status or any(name in sys.modules for name in ('pytensor', 'numba', 'sklearn', 'matplotlib')))")
    done = subprocess.run([sys.executable, "-c", script, "tag", "tagger.npz", "music"], capture_output=True,
                          env=os.environ | {"PYTHONPATH": str(REPOSITORY)})
    assert done.returncode == 0, done.stderr


INTERRUPTED_IMPORT = """
import importlib.abc, os, runpy, signal, sys

class Interrupt(importlib.abc.MetaPathFinder):
    def find_spec(self, name, *_):
        if name == {module!r}:
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupt())
sys.argv = ["dbn", "--version"]
{start}
"""


@pytest.mark.parametrize("module", ["dbn.cli.parser", "numpy", "dbn.trained.tagger"])
@pytest.mark.parametrize("start", ["runpy.run_module('dbn', run_name='__main__')",
                                   "from dbn.__main__ import main; sys.exit(main())"], ids=["module", "script"])
def test_ctrl_c_while_python_imports(tmp_path, module, start):
    script = INTERRUPTED_IMPORT.format(module=module, start=start)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, cwd=tmp_path,
                          env=os.environ | {"PYTHONPATH": str(REPOSITORY)})
    assert (done.returncode, done.stdout, done.stderr) == (130, b"", b"\ndbn: stopped\n")
