"""Every result names the corpus and the versions of its computation, not of the printing; and identical songs."""
import json
import shutil
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dbn.datasets import identical
from dbn.errors import DBNError
from dbn.system.versions import versions
from dbn.trained.model import load_model, save_model
from experiments import figure1, figure2, figure3, report, sweep, table1, table2, table3, table4
from experiments.search import report as sweep_report
from experiments.steps.options import parse
from experiments.steps.pipeline import Corpora
from experiments.steps.provenance import made_with
from small_search import SPACE

SMALL = ["--hidden-layers-sizes", "6", "--pretrain-epochs", "0", "--finetune-epochs", "2", "--frame-C", "1",
         "--frame-gamma", "1", "--window-C", "1", "--window-gamma", "1", "--figure2-frames", "100"]
TAGS = ["--n-tagged-clips", "48", "--tagged-seconds", "1.5", "--window-seconds", "0.8", "--window-hop", "0.4",
        "--min-tagged-clips", "5"]


def smoke(out, *arguments):
    return ["--profile", "smoke", "--jobs", "1", "--out", str(out), *arguments]


def read(out, table):
    return json.loads((Path(out) / f"{table}.json").read_text(), parse_constant=pytest.fail)


@pytest.fixture
def at_version(monkeypatch):
    """Lets this process believe that it has another NumPy, and gives what its record is then."""
    def at_version(number):
        record = versions() | {"numpy": number}
        monkeypatch.setattr("dbn.system.versions._versions", lambda: record)
        return record
    return at_version


@pytest.fixture
def music(smoke_run, tmp_path):
    """A folder of two classes of six songs, one of them twice under two names."""
    root = tmp_path / "music"
    for genre in ("blues", "metal"):
        shutil.copytree(smoke_run / "corpus" / "genres" / genre, root / genre, ignore=shutil.ignore_patterns("*.json"))
    shutil.copy(root / "blues" / "blues.00000.wav", root / "metal" / "again.wav")
    return root


def of_folder(root, *arguments):
    return ["--profile", "smoke", "--jobs", "1", "--dataset", "folder", "--root", str(root), *SMALL, *arguments]


# --- versions ---

def test_a_number_that_was_kept_keeps_its_versions(smoke_run, tmp_path, at_version):
    """Frames and network of one NumPy, SVMs and MFCCs of a second; a third one prints them."""
    out = tmp_path / "out"
    shutil.copytree(smoke_run, out)
    for leftover in [*out.glob("frames/mfcc-*"), *out.glob("seed-0/table*")]:
        leftover.unlink()
    first, options = versions()["numpy"], ["--frame-C", "1", "--frame-gamma", "1", "--figure2-frames", "100"]
    at_version("second")
    table2.main(smoke(out, *options))
    assert read(out, "table2")["made_with"]["numpy"] == {
        first: ["frames", "network, seed 0"], "second": ["MFCCs", "SVMs, seed 0", "table2"]}
    at_version("third")
    for script in (table1, table2, figure1, figure2):
        script.main(smoke(out, *options))
    network = ["frames", "network, seed 0"]
    assert {table: read(out, table)["made_with"]["numpy"] for table in ("table1", "table2", "figure1", "figure2")} == {
        "table1": {first: network, "third": ["table1"]}, "figure1": {first: network, "third": ["figure1"]},
        "table2": {first: network, "second": ["MFCCs", "SVMs, seed 0"], "third": ["table2"]},
        "figure2": {first: network, "second": ["MFCCs"], "third": ["figure2"]}}
    assert read(out, "table2")["made_with"]["scipy"] == versions()["scipy"]
    report.main(smoke(out))
    page = (out / "report.html").read_text()
    assert f"numpy {first} (frames, network, seed 0), second (MFCCs, SVMs, seed 0), third (table2)" in page


def test_frames_that_were_made_anew_do_not_speak_for_the_old_ones(smoke_run, tmp_path, at_version):
    """The network was trained on the frames of another NumPy than those that are there now."""
    out = tmp_path / "out"
    shutil.copytree(smoke_run, out)
    shutil.rmtree(out / "frames")
    at_version("later")
    table1.main(smoke(out))
    assert read(out, "table1")["made_with"]["numpy"] == {
        versions()["numpy"]: ["frames", "table1"], load_numpy(out): ["frames", "network, seed 0"]}


def load_numpy(out):
    path, = out.glob("seed-0/dbn-*/model.npz")
    return load_model(path).about["versions"]["numpy"]


def test_what_was_kept_before_versions_were_is_named(smoke_run, tmp_path):
    """Of an older program: no traceback, and nothing claimed of it."""
    out, options = tmp_path / "out", ["--frame-C", "1", "--frame-gamma", "1"]
    shutil.copytree(smoke_run, out)
    table2.main(smoke(out, *options))
    now = read(out, "table2")["made_with"]
    index, = out.glob("frames/*/index.json")
    index.write_text(json.dumps({name: value for name, value in json.loads(index.read_text()).items()
                                 if name != "versions"}))
    for path in out.glob("frames/mfcc-*.json"):
        path.unlink()
    path, = out.glob("seed-0/dbn-*/model.npz")
    model = load_model(path)
    about = {name: value for name, value in model.about.items() if name not in ("versions_of_frames", "corpus_key")}
    about["versions"] = {"python": now["python"], "numpy": "1.26"}
    save_model(path, replace(model, about=about))
    for path in out.glob("seed-0/table2-*.json"):
        answers = json.loads(path.read_text())
        for row in answers["rows"].values():
            del row["parts"]
        path.write_text(json.dumps(answers))
    table2.main(smoke(out, *options))
    found = read(out, "table2")["made_with"]
    assert found["not recorded"] == ["frames", "SVMs, seed 0"]
    assert found["numpy"] == {"1.26": ["network, seed 0"], now["numpy"]: ["table2"]}
    assert found["blas"] == {"not recorded": ["network, seed 0"], now["blas"]: ["table2"]}
    assert found["python"] == now["python"]


def test_two_seeds_of_two_versions(smoke_run, tmp_path, at_version):
    out = tmp_path / "out"
    shutil.copytree(smoke_run, out)
    first = versions()["numpy"]
    at_version("second")
    table1.main(smoke(out, "--repeats", "2"))
    assert read(out, "table1")["made_with"]["numpy"] == {
        first: ["frames", "network, seed 0"], "second": ["network, seed 1", "table1"]}


def test_tags_and_their_network(smoke_run, tmp_path, at_version):
    out = tmp_path / "out"
    shutil.copytree(smoke_run, out)
    shutil.rmtree(out / "tagging", ignore_errors=True)
    first = versions()["numpy"]
    at_version("second")
    table4.main(smoke(out, *TAGS))
    at_version("third")
    figure3.main(smoke(out, *TAGS))
    table, figure = read(out, "table4"), read(out, "figure3")
    made = {first: ["frames", "network"], "second": ["features of the clips", "SVMs of the tags"]}
    assert figure["made_with"]["numpy"] == made | {"third": ["figure3"]}
    assert table["made_with"]["numpy"] == made | {"second": [*made["second"], "table4"]}
    songs = read(out, "table1")["corpus"]
    assert table["corpus"] == figure["corpus"] and table["corpus"]["labels"] == "tags"
    assert table["corpus"]["root"] == str((out / "tagged").resolve()) and table["corpus"]["key"] != songs["key"]
    assert table["network"]["corpus_key"] == songs["key"]
    assert {row["name"]: row["DBN"][0] for row in figure["rows"]} == table["rows"][0]["tags"]
    accuracies = [row["DBN"][0] for row in figure["rows"]]
    assert accuracies == sorted(accuracies, reverse=True)
    report.main(smoke(out))
    # an older program kept no versions with them
    for path in out.glob("tagging/*.json"):
        kept = json.loads(path.read_text())
        if isinstance(kept, dict):  # a list names identical clips
            path.write_text(json.dumps({name: value for name, value in kept.items() if name != "parts"}))
    path, = out.glob("tagging/features-*.npz")
    with np.load(path) as arrays:
        kept = {name: arrays[name] for name in arrays if name != "parts"}
    np.savez(path, **kept)
    table4.main(smoke(out, *TAGS))
    assert read(out, "table4")["made_with"]["not recorded"] == made["second"]
    assert read(out, "table4")["made_with"]["numpy"] == {first: ["frames", "network"], "third": ["table4"]}


# --- corpora ---

def test_every_json_of_a_corpus_says_which(smoke_run):
    corpora = Corpora(parse("", smoke(smoke_run)))
    expected = {"root": str((smoke_run / "corpus").resolve()), "key": corpora.about["key"], "labels": "classes"}
    table1.main(smoke(smoke_run))
    figure1.main(smoke(smoke_run))
    for table in ("table1", "figure1"):
        assert read(smoke_run, table)["corpus"] == expected
        assert read(smoke_run, table)["warnings"] == []
    assert read(smoke_run, "figure1")["made_with"] == made_with([("all", versions())])


def test_the_key_is_of_the_songs_alone(music, tmp_path):
    def key(*arguments):
        return Corpora(parse("", of_folder(music, "--out", str(tmp_path / "out"), *arguments))).about["key"]

    first = key()
    assert key("--hop-length", "256", "--seed", "3") == first
    shutil.copytree(music, tmp_path / "copy")  # with the times of its files
    assert Corpora(parse("", of_folder(tmp_path / "copy", "--out", str(tmp_path / "out")))).about["key"] == first
    (music / "blues" / "blues.00003.wav").rename(music / "metal" / "blues.00003.wav")
    assert key() != first


def test_a_song_that_is_added_makes_another_corpus_in_the_same_folder(music, monkeypatch):
    monkeypatch.chdir(music.parent)
    table1.main(of_folder(music))
    before, = Path("results").iterdir()
    shutil.copy(music / "blues" / "blues.00001.wav", music / "blues" / "new.wav")
    figure1.main(of_folder(music))
    assert list(Path("results").iterdir()) == [before]
    with pytest.raises(DBNError, match="figure1.json and .*table1.json are of two corpora.* make all results anew"):
        report.main(of_folder(music))
    table1.main(of_folder(music))
    report.main(of_folder(music))


def test_two_folders_of_music_are_not_mixed(music, monkeypatch):
    monkeypatch.chdir(music.parent)
    others = music.parent / "others" / "music"
    shutil.copytree(music, others)
    (others / "metal" / "metal.00005.wav").unlink()
    for root in (music, others):
        table1.main(of_folder(root))
    ours, theirs = sorted(Path("results").iterdir())
    assert {read(out, "table1")["corpus"]["root"] for out in (ours, theirs)} == {str(music), str(others)}
    shutil.copy(theirs / "table1.json", ours / "table3.json")
    with pytest.raises(DBNError, match="table1.json and .*table3.json are of two corpora"):
        report.write_report(ours, [])


# --- warnings ---

@pytest.fixture
def looked(monkeypatch):
    """How often identical songs were looked for: a list that grows."""
    calls, look = [], identical.identical_files
    monkeypatch.setattr(identical, "identical_files", lambda tracks: calls.append(1) or look(tracks))
    return calls


def test_identical_songs_stand_in_the_result_and_are_looked_for_once(music, looked):
    out = music.parent / "out"
    arguments = of_folder(music, "--out", str(out), "--repeats", "3")
    with pytest.warns(UserWarning, match="identical files") as caught:
        table3.main(arguments)
    assert len(looked) == 1
    splits = {seed: dict(line.split(",") for line in (out / f"seed-{seed}" / "split.csv").read_text().split()[1:])
              for seed in range(3)}
    pair = ("blues/blues.00000.wav", "metal/again.wav")
    expected = [f"seed {seed}: 1 pair(s) of identical files are on two sides of the split: {pair[0]} "
                f"({split[pair[0]]}) = {pair[1]} ({split[pair[1]]})" for seed, split in splits.items()
                if split[pair[0]] != split[pair[1]]]
    assert expected and read(out, "table3")["warnings"] == expected
    assert [str(warning.message) for warning in caught if "identical" in str(warning.message)] == expected
    assert all(f"\n- {text}\n" in (out / "table3.md").read_text() for text in expected)
    report.main(arguments)
    assert all(text in (out / "report.html").read_text() for text in expected)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        figure1.main(of_folder(music, "--out", str(out)))
        assert len(looked) == 1
        shutil.copy(music / "blues" / "blues.00001.wav", music / "blues" / "new.wav")
        figure1.main(of_folder(music, "--out", str(out)))
    assert len(looked) == 2  # in another corpus


def test_identical_songs_stand_in_the_search(music):
    out = music.parent / "out"
    options = parse("", of_folder(music, "--out", str(out), "--sweep-points", "1", "--sweep-halving", "0"),
                    sweep.OWN_OPTIONS)
    with pytest.warns(UserWarning, match="identical files") as caught:
        sweep_report.write(options, sweep.search(options, SPACE))
    assert read(out, "sweep")["warnings"] == [str(warning.message) for warning in caught]


@pytest.mark.parametrize("dataset", ["synthetic", "folder", "majorminer"])
def test_sturm_s_split_is_of_gtzan_alone(tmp_path, dataset):
    """The synthetic clips have the names of GTZAN's tracks."""
    root = [] if dataset == "synthetic" else ["--root", str(tmp_path)]
    with pytest.raises(DBNError, match=f"names tracks of GTZAN, and the data set is {dataset}.*--profile paper"):
        parse("", ["--dataset", dataset, *root, "--split", "sturm", "--out", str(tmp_path / "out")])


@pytest.mark.parametrize("profile, n_epochs, n_frames", [("demo", "40", "4,000"), ("smoke", "5", "500"),
                                                         ("paper", None, None)])
def test_sturm_s_split_says_which_sizes_the_profile_has(tmp_path, profile, n_epochs, n_frames):
    options = parse("", ["--dataset", "gtzan", "--root", str(tmp_path), "--profile", profile, "--split", "sturm",
                         "--out", str(tmp_path / "out")])
    expected = [] if profile == "paper" else [
        f"--split sturm with the profile {profile}: networks of at most {n_epochs} epochs, SVMs of {n_frames} frames; "
        "the paper's sizes are --profile paper"]
    assert Corpora(options).warnings == expected
