"""What the tests of the commands stand on: a model, three recordings, and a working folder."""
import numpy as np
import pytest
import soundfile

from command_line import REPOSITORY, SETTINGS, SIZES
from dbn.audio.scaling import Scaling
from dbn.trained.model import Model, save_model


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model of random weights and three recordings, to be read only."""
    root = tmp_path_factory.mktemp("cli")
    rng = np.random.default_rng(7)
    model = Model(weights=[rng.normal(size=shape).astype("f4") for shape in zip(SIZES, SIZES[1:])],
                  biases=[rng.normal(size=n).astype("f4") for n in SIZES[1:]],
                  visible_biases=[np.zeros(n, dtype="f4") for n in SIZES[:-2]], visible="bernoulli", output="softmax",
                  scaling=Scaling("max").fit([np.full((1, 33), 8, dtype="f4")]), classes=("a", "b", "ü\n"),
                  frame_settings=SETTINGS, history=[{"stage": "finetune", "cost": 1.0}], about={"dataset": "test"})
    save_model(root / "model.npz", model)
    (root / "music" / "deep").mkdir(parents=True)
    for name, rate, channels in (("one.wav", 22050, 1), ("two.flac", 44100, 2), ("deep/three.wav", 8000, 1)):
        soundfile.write(root / "music" / name, rng.uniform(-0.5, 0.5, (2 * rate, channels)), rate)
    (root / "music" / "notes.txt").write_text("not audio")
    (root / "music" / ".hidden.wav").write_bytes(b"not audio")
    return root


@pytest.fixture
def here(folder, tmp_path, monkeypatch):
    """An empty working folder with a copy of the model; processes find the package from there."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    (tmp_path / "model.npz").write_bytes((folder / "model.npz").read_bytes())
    return tmp_path
