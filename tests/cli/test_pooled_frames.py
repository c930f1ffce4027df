"""The commands with networks that take several frames at once: the numbers of the whole file, and what is refused."""
import json
from dataclasses import replace

import numpy as np
import pytest

from command_line import SETTINGS, refusal
from dbn.audio import dft_magnitudes, load_audio, pool
from dbn.audio.pooling import pooled_width
from dbn.audio.scaling import Scaling
from dbn.cli.parser import main
from dbn.trained.model import load_model, save_model

KINDS = ("stack-3", "stack-7", "meanvar-5")


def write_model(name, kind, width=None):
    """The folder's model with another lowest layer: for frames that are pooled so."""
    model, width = load_model("model.npz"), width or pooled_width(kind, 33)
    weights = np.random.default_rng(0).normal(size=(width, 5)).astype("f4") / 3
    save_model(name, replace(model, weights=[weights, *model.weights[1:]],
                             visible_biases=[np.zeros(width, "f4"), *model.visible_biases[1:]],
                             scaling=Scaling("max").fit([np.full((1, width), 8, "f4")]),
                             frame_settings=SETTINGS | {"pooling": kind}))


@pytest.mark.parametrize("kind", KINDS)
def test_features_are_those_of_the_whole_file(folder, here, capsys, kind):
    """The recording has 1,377 frames: windows lie across the blocks' borders, and the last one is not full."""
    write_model("pooled.npz", kind)
    path, n_pooled = folder / "music" / "one.wav", int(kind.split("-")[1])
    assert main(["extract", "pooled.npz", str(path), "-o", "out.npz", "--jobs", "1"]) == 0
    model = load_model("pooled.npz")
    frames = pool(dft_magnitudes(load_audio(path), 64, 32), kind)
    assert len(frames) == -(-1377 // n_pooled)
    with np.load("out.npz") as found:
        np.testing.assert_allclose(found["features"], np.hstack(model.activations(frames)), atol=1e-5)
        np.testing.assert_allclose(found["times"], np.arange(len(frames)) * n_pooled * 32 / 22050)
    assert main(["classify", "pooled.npz", str(path), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["n_frames"] == len(frames)
    assert said["seconds"] == round((1376 * 32 + 64) / 22050, 3)  # to the end of the last frame, in a short window too
    np.testing.assert_allclose(list(said["probabilities"].values()), model.predict_proba(frames).mean(axis=0),
                               atol=1e-5)


def test_info_says_how_frames_are_put_together(here, capsys):
    write_model("pooled.npz", "stack-3")
    assert main(["info", "pooled.npz"]) == 0
    said = capsys.readouterr().out
    assert "pooling: stack-3" in said and "layers: 99, 5, 4, 3" in said


@pytest.mark.parametrize("kind, width, message", [
    ("stack-3", 33, "its frames have 99 values and its network takes 33"),
    ("stack-65", 99, "pooling 'stack-65' is unknown"), ("stack", 99, "pooling 'stack' is unknown"),
    (["stack-3"], 99, "is unknown")])
def test_frames_that_do_not_fit_are_refused(here, capsys, kind, width, message):
    write_model("pooled.npz", kind, width)
    assert message in refusal(capsys, "info", "pooled.npz")
