"""The page of a run: its own test songs, its network, sound inside for the embedded corpus."""
import json
import shutil

import numpy as np
import pytest
import soundfile

from dbn.trained.model import load_model
from experiments import explore
from experiments.steps.options import parse
from experiments.steps.pipeline import Corpora, Run


def page_of(out):
    text = (out / "explore.html").read_text(encoding="utf-8")
    return json.loads(text.split('id="data">')[1].split("</script>")[0])


@pytest.fixture(scope="module")
def run_folder(smoke_run, tmp_path_factory):
    return shutil.copytree(smoke_run, tmp_path_factory.mktemp("explore") / "smoke")


def test_the_synthetic_corpus(run_folder, capsys, monkeypatch):
    monkeypatch.setattr(explore, "N_FRAMES", 200)
    arguments = ["--profile", "smoke", "--jobs", "1", "--out", str(run_folder)]
    explore.main(arguments)
    assert f"written: {run_folder / 'explore.html'}" in capsys.readouterr().out
    data, run = page_of(run_folder), Run(Corpora(parse("", arguments)), 0)
    assert [song["name"] for song in data["songs"]] == list(run.songs("test").names)
    labels = {track.name: track.label for track in run.corpora.corpus.tracks}
    assert all(data["genres"][song["genre"]] == labels[song["name"]] for song in data["songs"])
    answers = [data["classes"][song["answer"]] for song in data["songs"]]
    assert answers == [run.model.classes[i] for i in run.test_predictions["predicted"]]
    assert data["synthetic"] is True and len(data["points"]["time"]) == 200
    assert all(song["sound"].startswith("data:audio/mpeg") for song in data["songs"])
    assert (run_folder / "explore.html").stat().st_size < 15e6


def test_a_folder_is_linked_to(tmp_path):
    rng = np.random.default_rng(0)
    for number in range(8):
        genre = tmp_path / "music" / "ab"[number % 2]
        genre.mkdir(parents=True, exist_ok=True)
        soundfile.write(genre / f"{number}.wav", rng.uniform(-0.5, 0.5, 22050), 22050)
    out = tmp_path / "out"
    explore.main(["--dataset", "folder", "--root", str(tmp_path / "music"), "--profile", "smoke", "--jobs", "1",
                  "--out", str(out)])
    data = page_of(out)
    [model] = out.glob("seed-0/dbn-*/model.npz")
    assert data["layers"] == [len(bias) for bias in load_model(model).biases[:-1]]
    assert all((out / song["sound"]).is_file() for song in data["songs"])
