"""Feature sets of a convolutional network: a table's rows are those of whole songs, whichever frames it asks for."""
from types import SimpleNamespace

import numpy as np
import pytest

from dbn.audio.frames import Song
from dbn.audio.scaling import Scaling
from dbn.errors import DBNError
from dbn.trained.convolutional import ConvolutionalModel
from dbn.training.settings import ConvolutionalSettings
from experiments import figure2, questions, sweep, table1, table2, table3
from experiments.steps.features import FeatureSets
from experiments.steps.options import parse
from experiments.steps.question import Variant
from small_network import leave_uncompiled

SMALL = ["--network", "convolutional", "--hidden-layers-sizes", "6,4", "--widths", "3,2", "--pools", "2,2",
         "--scaling", "log-whitened-pca-8", "--piece-blocks", "5", "--finetune-blocks", "2"]


@pytest.fixture
def features():
    """Those of two songs, of 30 and 50 frames, with a model of random weights; no MFCCs."""
    rng = np.random.default_rng(0)
    weights = [rng.normal(size=shape).astype("f4") for shape in ((12, 5), (10, 4), (4, 2))]
    biases = [np.zeros(n, "f4") for n in (5, 4, 2)]
    model = ConvolutionalModel(weights, biases, [np.zeros(4, "f4"), np.zeros(5, "f4")], (3, 2), (2, 3), "gaussian",
                               "softmax", Scaling("none").fit([np.zeros((1, 4), "f4")]), ("a", "b"))
    songs = [Song("one", 0, 0, 30), Song("two", 1, 30, 80)]
    made = FeatureSets.__new__(FeatureSets)
    made.store = SimpleNamespace(frames=rng.normal(size=(80, 4)).astype("f4"), songs=songs)
    made.model, made.choices, made.names = model, {"MFCCs": []}, ["Layer 1", "Layer 2", "All Layers"]
    return made


@pytest.mark.parametrize("rows", [slice(0, 30), slice(30, 80), slice(30, 80, 7), np.array([79, 3, 31, 30, 29])])
def test_rows_are_those_of_whole_songs(features, rows):
    store, model = features.store, features.model
    expected = [np.concatenate(of_songs) for of_songs in zip(model.activations(store.frames[:30]),
                                                             model.activations(store.frames[30:]))]
    found = features.at(rows)
    for name, layer in zip(("Layer 1", "Layer 2"), expected):
        np.testing.assert_array_equal(found[name], layer[rows])
    np.testing.assert_array_equal(found["All Layers"], np.hstack([layer[rows] for layer in expected]))


def test_tables_and_figure_2_take_a_convolutional_network(smoke_run, tmp_path, monkeypatch, capsys):
    """On the corpus and the frames of another run, with one network for all."""
    leave_uncompiled(monkeypatch)
    out = tmp_path / "smoke"
    out.mkdir()
    for name in ("corpus", "frames"):
        (out / name).symlink_to(smoke_run / name)
    argv = ["--profile", "smoke", "--jobs", "1", "--out", str(out), *SMALL]
    for script in (table1, table2, table3):
        script.main(argv)
    figure2.main([*argv, "--figure2-frames", "100"])
    text = capsys.readouterr().out
    assert "Layer 2" in text and "Layer 3" not in text
    [network] = (out / "seed-0").glob("dbn-*")
    assert (network / "model.npz").exists() and (out / "figure2.png").exists()
    assert "network" in (out / "table3.json").read_text()


def test_its_settings_are_the_profiles_epochs_and_its_own():
    options = parse("", ["--profile", "smoke", "--network", "convolutional", "--widths", "4"])
    training = options.profile.training
    assert isinstance(training, ConvolutionalSettings) and options.profile.scaling == "log-whitened-pca-80"
    assert (training.widths, training.finetune_epochs, training.pretrain_epochs) == ((4,), 5, 1)
    assert (training.hidden_layers_sizes, training.pools) == ((150,), (3,))
    variant = Variant("row", {"svm_frames": 7}, {"pools": (2,)}, network="convolutional")
    profile = variant.of(parse("", ["--profile", "smoke"])).profile
    assert (profile.training.pools, profile.training.finetune_epochs, profile.svm_frames) == ((2,), 5, 7)
    assert profile.scaling == "log-whitened-pca-80"
    assert Variant("row", {"scaling": "log"}, network="convolutional").of(options).profile.scaling == "log"


@pytest.mark.parametrize("main, options, words", [
    (table1.main, ["--network", "convolutional", "--recipe", "log"], "leave --from-sweep and --recipe out"),
    (table1.main, ["--network", "convolutional", "--train-share", "0.5"], "--train-share draws single frames"),
    (table1.main, ["--network", "convolutional", "--dropout", "0.5"], "dropout is no choice of such a network"),
    (table1.main, ["--widths", "3"], "widths is no choice of such a network"),
    (sweep.main, ["--network", "convolutional"], "the search draws settings of the paper's network"),
    (lambda argv: questions.answer("", argv, "", "", []), ["--network", "convolutional"], "a question changes one"),
])
def test_what_does_not_go_together_is_refused(tmp_path, main, options, words):
    with pytest.raises(DBNError, match=words):
        main(["--profile", "smoke", "--out", str(tmp_path / "out"), *options])
    assert not (tmp_path / "out").exists()
