"""Other music: what is learnt from it, and that no song of it is one that is tested here."""
import json
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

from dbn.datasets.splits import read_split
from dbn.errors import DBNError
from dbn.trained.model import load_model
from experiments.questions import pretraining, transfer
from experiments.steps import pipeline
from experiments.steps.options import parse
from experiments.steps.pipeline import Corpora, Run
from search_records import record
from small_questions import arguments, run_of

REPOSITORY = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def smoke_run(smoke_run, tmp_path_factory):
    """A copy, in which networks may be trained."""
    return shutil.copytree(smoke_run, tmp_path_factory.mktemp("other-music") / "smoke")


def transfer_options(out, *more):
    return parse("", arguments(out, "--pretrain-epochs", "0", "--finetune-epochs", "1", *more), transfer.OWN_OPTIONS)


def make_corpus(root, classes, seed):
    """A folder of short clips of noise, four a class."""
    rng = np.random.default_rng(seed)
    for number, name in enumerate(classes):
        (root / name).mkdir(parents=True)
        for clip in range(4):
            noise = rng.normal(size=22050) * np.exp(-np.arange(22050) / (2000 * (number + 1)))
            soundfile.write(root / name / f"{clip}.wav", 0.1 * noise, 22050)
    return root


def test_another_corpus_s_networks_learn_from_no_song_that_is_tested_here(tmp_path):
    """Here the same songs, so that all of them would be known; and classes of other names are no decisions."""
    here = make_corpus(tmp_path / "here", ("a", "b"), 0)
    options = transfer_options(tmp_path / "out", "--dataset", "folder", "--root", str(here), "--other-dataset",
                               "folder", "--other-root", str(here), "--repeats", "2", "--seed", "3")
    folders = transfer.other_networks(options)
    for seed, folder in zip((3, 4), folders):
        own = read_split(tmp_path / "out" / f"seed-{seed}" / "split.csv")
        others = read_split(tmp_path / "out" / "other" / f"seed-{seed}" / "split.csv")
        assert own.test and not set(own.test) & {*others.train, *others.valid, *others.test}
        assert load_model(Path(folder) / "model.npz").about["n_frames"]["train"] > 0
    elsewhere = make_corpus(tmp_path / "elsewhere", ("c", "d", "e"), 1)
    transfer.main(arguments(tmp_path / "out", "--dataset", "folder", "--root", str(here), "--other-dataset", "folder",
                            "--other-root", str(elsewhere), "--finetune-epochs", "1", "--question-rows", "4"))
    rows = {row["name"]: row for row in json.loads((tmp_path / "out" / "transfer.json").read_text())["rows"]}
    assert list(rows) == ["as in the profile", "weights as they are drawn", "pre-trained and no more",
                          "networks of folder in elsewhere"]
    borrowed = rows["networks of folder in elsewhere"]
    assert borrowed["accuracy"] is not None and borrowed["minus"] is not None
    assert borrowed["valid_error"] is None  # it was measured on other songs
    assert borrowed["network_accuracy"] is borrowed["network_p_holm"] is None
    assert rows["weights as they are drawn"]["epoch_seconds"] is None


def as_flac(root, target):
    """The clips of a folder once more, with other bytes and another suffix."""
    for path in root.rglob("*.wav"):
        copy = target / path.relative_to(root).with_suffix(".flac")
        copy.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(copy, *soundfile.read(path))
    return target


def test_the_same_songs_in_another_form_are_known(tmp_path, monkeypatch):
    """As networks of another corpus, and as unlabelled songs: what is tested here is not among them, and is named."""
    monkeypatch.setattr(transfer, "prepared_systems", lambda systems: [(None, [Run(Corpora(systems[0]), 0)])])
    here = make_corpus(tmp_path / "here", ("a", "b"), 0)
    copies = as_flac(here, tmp_path / "copies")
    corpus = "--dataset", "folder", "--root", str(here)
    options = transfer_options(tmp_path / "out", *corpus, "--other-dataset", "folder", "--other-root", str(copies))
    transfer.other_networks(options)
    tested = read_split(tmp_path / "out" / "seed-0" / "split.csv").test
    others = read_split(tmp_path / "out" / "other" / "split-0.csv")
    assert tested and len([*others.train, *others.valid, *others.test]) == 8 - len(tested)
    assert not {name.replace(".wav", ".flac") for name in tested} & {*others.train, *others.valid, *others.test}
    make_corpus(copies / "other", ("c",), 1)
    run = run_of(tmp_path / "out", *corpus, "--pretrain-songs", str(copies))
    assert run.tested_unlabelled == sorted(name.replace(".wav", ".flac") for name in tested)
    assert run.pretraining_frames().n_segments == len(run.split.train) + 8 - len(tested) + 4
    [warning] = run.warnings
    assert f"{len(tested)} songs of {copies} are test songs" in warning and run.tested_unlabelled[0] in warning
    assert warning in pipeline.warnings_of([(run.corpora, [run])])
    other = run_of(tmp_path / "out", *corpus, "--pretrain-songs", str(copies))
    other.split = replace(run.split, test=run.split.test[1:])
    assert other.network_folder != run.network_folder  # one song more was learnt from


def test_the_synthetic_corpus_s_twin_is_other_songs(smoke_run):
    [folder] = transfer.other_networks(transfer_options(smoke_run))
    ours, its = ((smoke_run / name / "genres" / "blues" / "blues.00000.wav").read_bytes()
                 for name in ("corpus", "other/corpus"))
    assert ours != its and load_model(Path(folder) / "model.npz").about["synthetic"]


@pytest.mark.parametrize("song, message", [("blues.00000", "test songs here, such as blues.00000"), ("none", None)])
def test_settings_that_were_chosen_by_test_songs_are_refused(smoke_run, tmp_path, song, message):
    """All songs of the search stand in its plan; here each song of the corpus is tested by one seed or another."""
    settings = record(0, [0.5], **{"finetune_lr": 0.2})["settings"]
    (tmp_path / "sweep").mkdir()
    (tmp_path / "sweep.json").write_text(json.dumps({"dataset": "synthetic", "winner": {"settings": settings}}))
    (tmp_path / "sweep" / "plan.json").write_text(json.dumps(
        {"frames of the corpus": "", "training songs": [], "validation songs": [song]}))
    options = transfer_options(smoke_run, "--repeats", "20", "--other-results", str(tmp_path))
    if message:
        with pytest.raises(DBNError, match=message):
            transfer.VARIANTS(options)
        return
    variant = transfer.searched_elsewhere(options)
    assert variant.training["finetune_lr"] == 0.2 and variant.profile == {"scaling": "minmax"}
    (tmp_path / "sweep.json").write_text("{}")
    with pytest.raises(DBNError, match="holds no finished search with a winner"):
        transfer.searched_elsewhere(options)


@pytest.mark.parametrize("dataset, searched, refused", [("folder", "gtzan", True), ("synthetic", "gtzan", False),
                                                        ("folder", "synthetic", False)])
def test_a_search_on_the_same_music_in_another_form_is_refused(monkeypatch, tmp_path, dataset, searched, refused):
    """Names of the synthetic corpus are those of other songs."""
    tracks = [SimpleNamespace(name=f"blues/blues.0000{i}.wav") for i in range(3)]
    monkeypatch.setattr(transfer, "Corpora", lambda options: SimpleNamespace(corpus=SimpleNamespace(tracks=tracks)))
    monkeypatch.setattr(transfer, "Run", lambda own, seed: SimpleNamespace(
        split=SimpleNamespace(test=[track.name for track in tracks[1:]])))
    monkeypatch.setattr(transfer, "winner_elsewhere", lambda out: ({"scaling": "log"}, searched,
                                                                   {"blues.00000", "blues.00002"}))
    options = SimpleNamespace(dataset=dataset, seed=0, repeats=1, other_results=tmp_path)
    if not refused:
        assert transfer.searched_elsewhere(options).profile == {"scaling": "log"}
        return
    with pytest.raises(DBNError, match="test songs here, such as blues.00002"):
        transfer.searched_elsewhere(options)


def test_other_music_teaches_the_layers_and_not_the_classes(smoke_run, tmp_path):
    """Its songs are among those that pre-training and the scaling see, whatever their folders are called."""
    make_corpus(tmp_path / "music", ("blues", "deeper"), 0)
    run = run_of(smoke_run, "--pretrain-songs", str(tmp_path / "music"), "--train-songs", "0.4")
    frames, labelled = run.pretraining_frames(), run.labelled_frames()
    assert (frames.n_segments, labelled.n_segments) == (30 + 8, 10)
    assert frames.n_frames == run.songs("train").n_frames + 8 * 42
    assert run.network_folder.name != run_of(smoke_run, "--pretrain-songs", "all", "--train-songs",
                                             "0.4").network_folder.name
    options = parse("", arguments(smoke_run, "--unlabelled", str(tmp_path / "music")), pretraining.OWN_OPTIONS)
    names = [variant.name for variant in pretraining.VARIANTS(options)]
    assert "30 labelled songs, pre-trained on all and other music, rate 0.03" in names and len(names) == 42
    with pytest.raises(DBNError, match="no folder with audio files"):
        run_of(smoke_run, "--pretrain-songs", str(REPOSITORY / "data")).pretraining_frames()
