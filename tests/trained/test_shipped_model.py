"""The model that comes with the package."""
import configparser
from pathlib import Path

import numpy as np
import pytest

from dbn.audio import dft_magnitudes, load_audio
from dbn.datasets import synthetic
from dbn.errors import ModelFileError
from dbn.trained.archive import SHIPPED
from dbn.trained.model import open_model


def test_it_is_small_says_synthetic_and_is_packaged():
    model = open_model("synthetic-demo")
    assert model.about["synthetic"] is True and model.about["dataset"] == "synthetic"
    assert model.frame_settings["sample_rate"] == 22050
    path = SHIPPED / "synthetic-demo.npz"
    assert path.stat().st_size < 500_000
    config = configparser.ConfigParser()
    config.read(Path(__file__).parents[2] / "setup.cfg")
    patterns = config["options.package_data"]["dbn"].split(", ")
    packaged = {found for pattern in patterns for found in Path(__file__).parents[2].glob(f"dbn/{pattern}")}
    assert path in packaged and SHIPPED.parent / "explorer" / "page" / "page.html" in packaged


def test_it_labels_new_clips_of_its_corpus(tmp_path):
    """Clips of another seed than it was trained on: far better than one in ten."""
    model = open_model("synthetic-demo")
    corpus = synthetic.generate(tmp_path, clips_per_genre=2, seconds=6.0, seed=77, jobs=1)
    right = [model.classes[model.predict_proba(dft_magnitudes(load_audio(track.path))).mean(axis=0).argmax()]
             == track.label for track in corpus.tracks]
    assert np.mean(right) >= 0.4


def test_a_file_goes_before_a_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "synthetic-demo").write_bytes(b"broken")
    with pytest.raises(ModelFileError, match="not a model file"):
        open_model("synthetic-demo")


def test_an_unknown_name_says_which_are_known():
    with pytest.raises(ModelFileError, match=r"jazz-1: No such file, .*\(synthetic-demo does\)"):
        open_model("jazz-1")
