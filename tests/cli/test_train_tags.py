"""``dbn train-tags``: from a folder and a table to a tagger, what it says, and what it refuses."""
import numpy as np
import pytest
import soundfile

import dbn.evaluation.autotag
import dbn.evaluation.tagging
from dbn.cli.parser import main
from dbn.evaluation.windows import LEARNED, MFCCS
from dbn.trained.model import load_model
from dbn.trained.tagger import load_tagger
from small_network import replace_compiled


@pytest.fixture(scope="module")
def music(tmp_path_factory):
    """Twenty-four seconds of sound: notes high or low, in noise or without."""
    root = tmp_path_factory.mktemp("tagged")
    rng, rows, t = np.random.default_rng(0), ["file,high,noisy,artist,rare"], np.arange(22050) / 22050
    for number in range(24):
        high, noisy = number % 2, number // 2 % 2
        tone = 0.3 * np.sin(2 * np.pi * rng.uniform(200, 400) * (10 if high else 1) * t)
        soundfile.write(root / f"{number}.wav", tone + 0.3 * noisy * rng.normal(size=22050), 22050)
        rows.append(f"{number}.wav,{high},{noisy},artist {number // 2},{int(number == 0)}")
    (root / "tags.csv").write_text("\n".join(rows))
    return root


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    replace_compiled(monkeypatch)


def train_tags(music, path, *options):
    return main(["train-tags", str(music), "--labels", str(music / "tags.csv"), "-o", str(path), "--jobs", "1",
                 "--min-clips", "4", *map(str, options)])


def test_a_tagger_that_tells_high_from_low_and_noise_from_none(music, tmp_path, capsys):
    path = tmp_path / "tagger.npz"
    assert train_tags(music, path) == 0
    out, _ = capsys.readouterr()
    tagger = load_tagger(path)
    assert tagger.names == ("high", "noisy") and tagger.model.classes == ()
    assert {record["stage"] for record in tagger.model.history} == {"pretrain"}
    assert min(measure.accuracy for measure in tagger.measures) > 0.6
    assert "24 files, 3 folds by artist; chance is 0.5" in out and "left out: rare: " in out
    for name, measure in zip(tagger.names, tagger.measures):
        [line] = [line for line in out.splitlines() if line.startswith(name)]
        assert line.split() == [name, "12", f"{measure.accuracy:.3f}", f"{tagger.about['tags'][name][MFCCS]:.3f}"]
    mean = np.mean([measure.accuracy for measure in tagger.measures])
    assert tagger.about["mean"][LEARNED][0] == pytest.approx(mean) and f"{mean:.3f}" in out
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["tagger.npz"]
    assert main(["tag", str(path), str(music / "1.wav"), str(music / "0.wav")]) == 0
    high, low = capsys.readouterr().out.splitlines()
    assert "\thigh " in high and "\thigh " not in low


def test_the_same_command_again_changes_nothing(music, tmp_path, capsys):
    path = tmp_path / "tagger.npz"
    assert train_tags(music, path) == 0
    out, written = capsys.readouterr().out, path.read_bytes()
    assert train_tags(music, path) == 0
    assert capsys.readouterr() == (out, "") and path.read_bytes() == written
    assert train_tags(music, path, "--seed", 1) == 2
    assert "--force replaces it" in capsys.readouterr().err and path.read_bytes() == written
    assert train_tags(music, path, "--seed", 1, "--force") == 0 and path.read_bytes() != written


def test_a_network_of_other_music(music, tmp_path, capsys):
    labels = tmp_path / "labels.csv"
    labels.write_text("file,label\n" + "".join(f"{number}.wav,{'ab'[number % 2]}\n" for number in range(24)))
    assert main(["train", str(music), "--labels", str(labels), "-o", str(tmp_path / "model.npz"), "--finetune-epochs",
                 "2", "--jobs", "1"]) == 0
    assert train_tags(music, tmp_path / "tagger.npz", "--model", tmp_path / "model.npz") == 0
    model, tagger = load_model(tmp_path / "model.npz"), load_tagger(tmp_path / "tagger.npz")
    for ours, its in zip(tagger.model.weights, model.weights, strict=True):
        np.testing.assert_array_equal(ours, its)
    assert tagger.model.classes == ("a", "b")


def test_files_that_cannot_be_used_are_named(music, tmp_path, capsys):
    table = tmp_path / "tags.csv"
    table.write_text((music / "tags.csv").read_text() + "\nmissing.wav,1,1,x,0\n")
    assert main(["train-tags", str(music), "--labels", str(table), "-o", str(tmp_path / "t.npz"), "--jobs", "1"]) == 1
    assert "skipped: missing.wav: no such file" in capsys.readouterr().err


@pytest.mark.parametrize("options, message", [
    (["--folds", "1"], "--folds is 1"), (["--min-clips", "1"], "--min-clips is 1"), (["--jobs", "0"], "--jobs is 0"),
    (["--model", "none.npz"], "none.npz"), (["--min-clips", "20"], "tags.csv: no tag can be evaluated"),
    (["--folds", "13"], "tags.csv: 12 groups (artists) cannot fill n_folds=13")])
def test_what_cannot_be(music, tmp_path, capsys, options, message):
    """It is said in a word, and leaves nothing on the disk."""
    assert train_tags(music, tmp_path / "t.npz", *options) == 2
    out, err = capsys.readouterr()
    assert message in err and out == "" and list(tmp_path.iterdir()) == []


def test_a_folder_to_go_on_from_outlives_a_refusal(music, tmp_path, monkeypatch):
    """What a killed run has left is some minutes' work; options that cannot be are given anew soon."""
    class Killed(Exception):
        pass

    def kill(*_, **__):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr("dbn.evaluation.windows.learned_windows", kill)
        with pytest.raises(Killed):
            train_tags(music, tmp_path / "t.npz")
    left = sorted((tmp_path / "t.npz.work").rglob("*"))
    assert train_tags(music, tmp_path / "t.npz", "--min-clips", 20) == 2
    assert set(left) <= set((tmp_path / "t.npz.work").rglob("*"))
    assert train_tags(music, tmp_path / "t.npz") == 0
    assert [path.name for path in tmp_path.iterdir()] == ["t.npz"]


@pytest.mark.parametrize("has_artists", [True, False])
def test_artists_divide_the_files_of_the_measurement_and_of_the_training(music, tmp_path, monkeypatch, has_artists):
    """All files but the last, which is not there, in the order of the table; unknown artists are told apart."""
    lines = (music / "tags.csv").read_text().splitlines()
    rows = [line.split(",") for line in [lines[0], *lines[:0:-1], "none.wav,1,1,artist 0,0"]]
    table, seen = tmp_path / "tags.csv", {}
    table.write_text("\n".join(",".join(row if has_artists else row[:3] + row[4:]) for row in rows))

    def watch(module, name):
        function = getattr(module, name)

        def watched(features, tags, groups, *more, **options):
            seen.setdefault(name, []).append(list(groups))
            return function(features, tags, groups, *more, **options)

        monkeypatch.setattr(module, name, watched)

    watch(dbn.evaluation.autotag, "evaluate_tags")
    watch(dbn.evaluation.tagging, "train_tags")
    options = ["--jobs", "1", "--min-clips", "4", "-o", str(tmp_path / "t.npz")]
    assert main(["train-tags", str(music), "--labels", str(table), *options]) == 1
    artists = [row[3] if has_artists else "" for row in rows[1:-1]]
    assert seen == {"evaluate_tags": [artists, artists], "train_tags": [artists]}
    assert load_tagger(tmp_path / "t.npz").about["by_artist"] == has_artists


def test_names_that_are_no_taggers(music, tmp_path, capsys):
    for name in ("t.txt", "none/t.npz"):
        assert train_tags(music, tmp_path / name) == 2
    (tmp_path / "t.npz").write_text("mine")
    assert train_tags(music, tmp_path / "t.npz") == 2
    assert (tmp_path / "t.npz").read_text() == "mine"
