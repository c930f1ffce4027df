"""``dbn extract``: what its files hold, by any number of processes, after kills, and what it refuses."""
import csv
import errno
import json
import os
import shutil

import numpy as np
import pytest
import soundfile

import dbn.cli.extract
from command_line import refusal, whole_file
from dbn.cli.feature_file import Features
from dbn.cli.parser import main
from dbn.features.aggregate import aggregate


@pytest.mark.parametrize("layers, numbers", [("all", [1, 2]), ("2", [2]), ("2,1", [2, 1])])
def test_extract_frames(folder, here, layers, numbers):
    paths = [folder / "music" / name for name in ("one.wav", "two.flac")]
    assert main(["extract", "model.npz", *map(str, paths), "-o", "out.npz", "--layers", layers]) == 0
    with np.load("out.npz", allow_pickle=False) as found:
        assert list(found["names"]) == [str(path) for path in paths]
        for name, first, length in zip(found["names"], found["starts"], found["lengths"]):
            model, frames = whole_file(folder, name)
            activations = model.activations(frames)
            assert length == len(frames)
            np.testing.assert_allclose(found["features"][first:first + length],
                                       np.hstack([activations[number - 1] for number in numbers]), atol=1e-5)
            np.testing.assert_allclose(found["times"][first:first + length], np.arange(length) * 32 / 22050)
        assert found["features"].shape == (found["lengths"].sum(), len(found["columns"]))
        assert found["features"].dtype == np.float32
        assert found["columns"][0] == f"layer{numbers[0]}_unit0"


@pytest.mark.parametrize("window, hop", [(0.5, None), (0.3, 0.1), (100, 50)])
def test_extract_windows(folder, here, window, hop):
    path = folder / "music" / "two.flac"
    options = ["--window", str(window)] + ([] if hop is None else ["--hop", str(hop)])
    assert main(["extract", "model.npz", str(path), "-o", "out.npz", *options]) == 0
    model, frames = whole_file(folder, path)
    rate = 22050 / 32
    expected = aggregate(np.hstack(model.activations(frames)), rate, window, hop or window / 2)
    with np.load("out.npz") as found:
        np.testing.assert_allclose(found["features"], expected, atol=1e-6)
        assert found["columns"][0] == "layer1_unit0_mean" and found["columns"][-1] == "layer2_unit3_variance"
        steps = np.diff(found["times"])
        np.testing.assert_allclose(steps, int((hop or window / 2) * rate) / rate)


def test_csv_holds_the_same_numbers(folder, here):
    for name in ("out.npz", "out.csv"):
        assert main(["extract", "model.npz", str(folder / "music"), "-o", name]) == 0
    with open("out.csv", newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    with np.load("out.npz") as found:
        assert header == ["file", "time", *found["columns"]]
        assert [row[0] for row in rows] == list(np.repeat(found["names"], found["lengths"]))
        values = np.array([row[1:] for row in rows], dtype=np.float64)
        np.testing.assert_array_equal(values[:, 1:].astype(np.float32), found["features"])
        np.testing.assert_allclose(values[:, 0], found["times"], atol=1e-6)


@pytest.mark.parametrize("name", ["out.npz", "out.csv"])
def test_same_features_same_bytes(folder, here, name):
    contents = []
    for _ in range(2):
        assert main(["extract", "model.npz", str(folder / "music"), "-o", name]) == 0
        contents.append((here / name).read_bytes())
    assert contents[0] == contents[1]
    assert sorted(os.listdir()) == ["model.npz", name]


@pytest.mark.parametrize("name", ["out.npz", "out.csv"])
def test_a_bad_file_between_good_ones_leaves_no_row(folder, here, capsys, name):
    """The NaN comes after blocks that were written already."""
    samples = np.random.default_rng(0).uniform(-0.5, 0.5, 30 * 22050)
    samples[-1] = np.nan
    soundfile.write("bad.wav", samples, 22050, subtype="FLOAT")
    good = [str(folder / "music" / file) for file in ("one.wav", "two.flac")]
    assert main(["extract", "model.npz", good[0], "bad.wav", good[1], "-o", name]) == 1
    with_bad, error = (here / name).read_bytes(), capsys.readouterr().err
    assert "bad.wav: it holds NaN" in error and "1 of 3 files failed" in error
    assert main(["extract", "model.npz", *good, "-o", name]) == 0
    assert (here / name).read_bytes() == with_bad


def test_no_features_no_file(here, capsys):
    assert "not written" in refusal(capsys, "extract", "model.npz", "missing.wav", "-o", "out.npz", status=1)
    assert os.listdir() == ["model.npz"]


def test_interrupt(here, monkeypatch, capsys):
    def interrupt(*_, **__):
        raise KeyboardInterrupt
    soundfile.write("song.wav", np.random.default_rng(0).uniform(-0.5, 0.5, 9000), 22050)
    monkeypatch.setattr("dbn.cli.recordings.stream_magnitudes", interrupt)
    assert "stopped" in refusal(capsys, "extract", "model.npz", "song.wav", "-o", "out.npz", status=130)
    assert sorted(os.listdir()) == ["model.npz", "song.wav"]


@pytest.fixture
def two_processes(monkeypatch):
    """Extraction starts a second process for a second of audio already."""
    monkeypatch.setattr(dbn.cli.extract, "_SECONDS_A_PROCESS", 1)


def test_rows_that_are_mapped_into_memory(folder, here):
    for name in ("out.npz", "out.npy"):
        assert main(["extract", "model.npz", str(folder / "music"), "-o", name, "--window", "0.5"]) == 0
    rows, about = np.load("out.npy", mmap_mode="r"), json.loads((here / "out.json").read_text())
    assert isinstance(rows, np.memmap)
    with np.load("out.npz") as found:
        np.testing.assert_array_equal(rows, found["features"])
        for name in ("names", "starts", "lengths", "columns"):
            assert about[name] == found[name].tolist()
        np.testing.assert_allclose(np.diff(found["times"][:about["lengths"][0]]), about["hop"])
    assert sorted(os.listdir()) == ["model.npz", "out.json", "out.npy", "out.npz"]


def test_one_file_each(folder, here):
    assert main(["extract", "model.npz", str(folder / "music"), "-o", "out.npz"]) == 0
    for _ in range(2):  # the second time over what the first has written
        assert main(["extract", "model.npz", str(folder / "music"), "-o", "out", "--one-file-each"]) == 0
    index = json.loads((here / "out" / "index.json").read_text())
    assert [entry["file"] for entry in index["files"]] == ["one.wav.npy", "two.flac.npy", "deep/three.wav.npy"]
    assert index["hop"] == 32 / 22050
    with np.load("out.npz") as found:
        assert index["columns"] == found["columns"].tolist()
        assert [entry["name"] for entry in index["files"]] == found["names"].tolist()
        for entry, first, length in zip(index["files"], found["starts"], found["lengths"]):
            rows = np.load(here / "out" / entry["file"], mmap_mode="r")
            np.testing.assert_array_equal(rows, found["features"][first:first + length])
            assert entry["rows"] == length
    assert sorted(os.listdir()) == ["model.npz", "out", "out.npz"]
    assert sorted(os.listdir("out")) == ["deep", "index.json", "one.wav.npy", "two.flac.npy"]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(errno.EXDEV, "Invalid cross-device link")])
def test_one_file_each_goes_on(folder, here, monkeypatch, error):
    """After an end between two files; and on another disk, where files cannot be moved to."""
    replace, moved = os.replace, []

    def replace_one(source, target):
        if os.path.dirname(source) != os.path.dirname(target):
            moved.append(source)
            if isinstance(error, OSError) or len(moved) == 2:
                raise error
        replace(source, target)

    arguments = ["extract", "model.npz", str(folder / "music"), "--one-file-each", "-o"]
    assert main([*arguments, "expected"]) == 0
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", replace_one)
        assert main([*arguments, "out"]) == (0 if isinstance(error, OSError) else 130)
    if len(moved) == 2:
        assert json.loads((here / "out" / "index.json").read_text())["files"] == []
        assert main([*arguments, "out"]) == 0
    assert sorted(os.listdir()) == ["expected", "model.npz", "out"]
    for name in ("index.json", "one.wav.npy", "two.flac.npy", "deep/three.wav.npy"):
        assert (here / "out" / name).read_bytes() == (here / "expected" / name).read_bytes()


def test_a_folder_may_be_named_with_a_slash(folder, here):
    song = str(folder / "music" / "one.wav")
    assert main(["extract", "model.npz", song, "-o", "out/", "--one-file-each"]) == 0
    assert sorted(os.listdir()) == ["model.npz", "out"] and sorted(os.listdir("out")) == ["index.json", "one.wav.npy"]


def test_a_folder_of_the_name_of_the_description(folder, here, capsys):
    (here / "out.json").mkdir()
    error = refusal(capsys, "extract", "model.npz", folder / "music" / "one.wav", "-o", "out.npy")
    assert error == "dbn: error: out.json: is a folder, a pipe or a device; give the name of a file\n"
    assert sorted(os.listdir()) == ["model.npz", "out.json"]


def test_one_file_each_refuses(folder, here, capsys):
    (here / "mine").mkdir()
    (here / "mine" / "notes.txt").write_text("mine")
    song = str(folder / "music" / "one.wav")
    arguments = ["extract", "model.npz", song, "--one-file-each", "-o"]
    assert "give the name of a new folder" in refusal(capsys, *arguments, "mine")
    assert "give the name of a new folder" in refusal(capsys, *arguments, "model.npz")
    (here / "other").mkdir()
    shutil.copy(song, here / "other")
    assert "would both be" in refusal(capsys, *arguments[:3], "other/one.wav", *arguments[3:], "new")
    assert os.listdir("mine") == ["notes.txt"] and sorted(os.listdir()) == ["mine", "model.npz", "other"]


@pytest.mark.parametrize("name", ["out.npz", "out.csv"])
def test_processes_write_the_same_bytes(folder, here, capsys, two_processes, name):
    (here / "bad.wav").write_bytes(b"RIFF")
    contents = []
    for jobs in ("1", "2"):
        assert main(["extract", "model.npz", str(folder / "music"), "bad.wav", str(folder / "music" / "one.wav"),
                     "-o", name, "--jobs", jobs]) == 1
        contents.append(((here / name).read_bytes(), capsys.readouterr()))
    assert contents[0] == contents[1]
    assert sorted(os.listdir()) == ["bad.wav", "model.npz", name]


def stopped_after(monkeypatch, n, error):
    """From now on the extraction of the recording after `n` ends by an error."""
    make, made = dbn.cli.extract._part_of, []

    def part_of(model, choice, path, *more):
        if len(made) == n:
            raise error
        made.append(path)
        return make(model, choice, path, *more)

    monkeypatch.setattr(dbn.cli.extract, "_part_of", part_of)
    return made


@pytest.mark.parametrize("layers, others", [("all", "1"), ("2,1", "1,2")])
def test_goes_on_after_an_end(folder, here, capsys, monkeypatch, layers, others):
    """Of a recording that has changed since, of another model or with other layers, nothing is taken.

    The same layers in another order are others.
    """
    shutil.copytree(folder / "music", here / "music")
    arguments = ["extract", "model.npz", "music", "-o", "out.npz", "--layers", layers]
    assert main(arguments) == 0
    expected = (here / "out.npz").read_bytes()
    with monkeypatch.context() as patch:
        stopped_after(patch, 2, KeyboardInterrupt)
        assert "goes on from out.npz.work" in refusal(capsys, *arguments, status=130)
    assert sorted(os.listdir()) == ["model.npz", "music", "out.npz", "out.npz.work"]
    with monkeypatch.context() as patch:
        made = stopped_after(patch, 99, None)
        assert main(arguments) == 0
        assert [path.name for path in made] == ["three.wav"] and (here / "out.npz").read_bytes() == expected
    for changed in (["--layers", others], []):
        with monkeypatch.context() as patch:
            stopped_after(patch, 2, KeyboardInterrupt)
            assert main(arguments) == 130
        if not changed:
            os.utime(here / "music" / "one.wav", (1, 1))
        with monkeypatch.context() as patch:
            made = stopped_after(patch, 99, None)
            assert main([*arguments, *changed]) == 0
            assert len(made) == (3 if changed else 2)
    assert (here / "out.npz").read_bytes() == expected
    assert sorted(os.listdir()) == ["model.npz", "music", "out.npz"]


@pytest.mark.parametrize("damage", [b"", b"\x93NUMPY", "short"])
def test_a_damaged_part_is_made_again(folder, here, monkeypatch, damage):
    arguments = ["extract", "model.npz", str(folder / "music"), "-o", "out.npz"]
    assert main(arguments) == 0
    expected = (here / "out.npz").read_bytes()
    with monkeypatch.context() as patch:
        stopped_after(patch, 1, KeyboardInterrupt)
        assert main(arguments) == 130
    [part] = (here / "out.npz.work").glob("part-*")
    part.write_bytes(part.read_bytes()[:-5] if damage == "short" else damage)
    assert main(arguments) == 0
    assert (here / "out.npz").read_bytes() == expected


def test_somebody_elses_work_folder(folder, here, capsys):
    (here / "out.npz.work").mkdir()
    (here / "out.npz.work" / "part-0123456789abcdef.npy").write_text("mine")
    song = str(folder / "music" / "one.wav")
    assert "which no dbn extract has made" in refusal(capsys, "extract", "model.npz", song, "-o", "out.npz")
    assert (here / "out.npz.work" / "part-0123456789abcdef.npy").read_text() == "mine"


def test_rows_are_on_the_disk_once(tmp_path):
    """A part goes as its rows are taken."""
    parts = [tmp_path / f"{number}.npy" for number in range(3)]
    for part in parts:
        np.save(part, np.zeros((5, 2), np.float32))
    seen = [(number, len(rows), len(list(tmp_path.iterdir())))
            for number, rows, _ in Features(["a", "b", "c"], parts, ["x", "y"], 0.5).blocks()]
    assert seen == [(0, 5, 3), (1, 5, 2), (2, 5, 1)] and not list(tmp_path.iterdir())
