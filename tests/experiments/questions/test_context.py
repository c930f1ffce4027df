"""Longer stretches of time: what the SVM is shown, that windows need no network of their own, what an answer is of."""
import json
import shutil
from types import SimpleNamespace

import numpy as np
import pytest

from dbn.audio import load_audio
from dbn.errors import DBNError
from dbn.features.mfcc import mfcc
from experiments.questions import context
from experiments.steps import pipeline, question
from experiments.steps.features import FeatureSets
from experiments.steps.options import parse
from experiments.steps.pipeline import Corpora, Run
from experiments.steps.question import Variant
from experiments.table3 import window_examples
from experiments.tagging.experiment import parse_tagging
from small_questions import arguments, run_of

RATE = 22050 / 512
FUNCTIONS = {"mean": np.mean, "variance": np.var, "maximum": np.max, "minimum": np.min}
ALL_LAYERS = "All Layers"


@pytest.fixture(scope="module")
def smoke_run(smoke_run, tmp_path_factory):
    """A copy, in which networks may be trained."""
    return shutil.copytree(smoke_run, tmp_path_factory.mktemp("context") / "smoke")


@pytest.fixture(scope="module")
def asked(smoke_run):
    """The answer, with every fifth row, and the names of the networks that were trained for it."""
    trained, fit_model = [], pipeline.fit_model

    def noted(*args, **options):
        trained.append(options["data_key"])
        return fit_model(*args, **options)

    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(pipeline, "fit_model", noted)
        context.main(arguments(smoke_run, "--question-rows", "5"))
    return json.loads((smoke_run / "context.json").read_text()), trained


def test_windows_are_of_the_first_rows_network(asked, smoke_run):
    result, trained = asked
    first, stacked, over_time, *windows = result["rows"]
    assert [row["name"] for row in result["rows"]] == [
        "as in the profile", "9 frames side by side, minibatches of 2",
        "bases of 6 frames, blocks of 3, not pre-trained", "windows of 2.5 s",
        "mean, variance, maximum and minimum, all lengths"]
    assert len(trained) == 2
    assert trained[0] == run_of(smoke_run, "--pooling", "stack-9", "--batch-size", "2").network_folder.name
    for row in windows:
        for name in ("network_accuracy", "best_seconds", "valid_error", "training_bytes"):
            assert row[name] == first[name]
        assert row["network_minus"] is row["network_p"] is row["network_p_holm"] is None and row["p"] is not None
    for row in (stacked, over_time):  # only these are tested
        assert row["network_p_holm"] >= row["network_p"] is not None
    assert stacked["training_bytes"] >= first["training_bytes"]
    assert over_time["training_bytes"] == first["training_bytes"] * 80 / 513
    assert (smoke_run / "context.png").exists()


def test_convolutional_networks_have_as_many_features_and_epochs(asked, smoke_run):
    """As the paper's network has units, whatever the profile says they are."""
    options = parse("", arguments(smoke_run))
    rows = [variant for variant in context.VARIANTS(options) if variant.network == "convolutional"]
    for variant in rows:
        training = variant.of(options).profile.training
        assert sum(training.hidden_layers_sizes) == 150 and training.patience == options.profile.training.patience
        assert training.finetune_epochs == (0 if "alone" in variant.name else 5)
        assert training.pretrain_epochs == (0 if "not pre-trained" in variant.name else 1)
    assert {(variant.training["widths"], variant.training["pools"]) for variant in rows} == {
        ((1,), (1,)), ((6,), (1,)), ((6,), (3,)), ((6, 6), (3, 3))}


@pytest.mark.parametrize("records, gap", [([{"layer": 1}, {"layer": 2}], None), ([], None), (
    [{"layer": 1, "free_energy_gap": 3.0}, {"layer": 1, "free_energy_gap": 2.0}, {"layer": 2}], 2.0)])
def test_a_convolutional_network_has_no_gap(monkeypatch, records, gap):
    monkeypatch.setattr(question, "_kept_answer", lambda *_: {})
    run = SimpleNamespace(model=SimpleNamespace(history=records))
    assert question._answer(run, Variant("row"), None, {}, 1) == {"gap": gap}


def test_networks_on_stacks_have_as_many_features(asked, smoke_run):
    """Beside them stand MFCCs of the means of as many frames, of the last ones' where they are fewer."""
    run = run_of(smoke_run, "--pooling", "stack-9", "--batch-size", "2")
    features = FeatureSets(run)
    assert [weights.shape for weights in run.model.weights] == [(9 * 513, 50), (50, 50), (50, 50), (50, 10)]
    song = run.corpora.store.songs[3]
    found = features.at(slice(song.start, song.stop))
    [path] = [track.path for track in run.corpora.corpus.tracks if track.name == song.name]
    single = mfcc(load_audio(path))
    assert len(single) % 9
    expected = [single[start:start + 9].mean(axis=0) for start in range(0, len(single), 9)]
    np.testing.assert_allclose(found["MFCCs"], expected, rtol=1e-4, atol=1e-4)
    assert found[ALL_LAYERS].shape == (len(expected), 150)


def windows_by_loops(x, seconds, hop, statistics, scales):
    """float [n_windows, d] of one song of 6 s, which has windows of 1 s, every 0.5 s."""
    length, step, rows = int(seconds * RATE), int(hop * RATE), []
    for start in range(0, len(x) - length + 1, step):
        row = []
        for size in [length, *(int(scale * RATE) for scale in scales)]:
            low = int(np.floor(start + length / 2 - size / 2))
            frames = x[[i for i in range(low, low + size) if 0 <= i < len(x)]]
            row += [FUNCTIONS[name](frames.astype(float), axis=0) for name in statistics]
        rows.append(np.concatenate(row))
    return np.array(rows)


@pytest.mark.parametrize("statistics, scales", [
    (("mean", "variance"), (0.3, 4.0)), (("mean", "variance", "maximum", "minimum"), ()), (("minimum",), (2.0,))])
def test_what_the_svm_is_shown(smoke_run, statistics, scales):
    more = ["--window-seconds", "1", "--window-hop", "0.5", "--window-statistics", ",".join(statistics)]
    run = run_of(smoke_run, *more, *(["--window-scales", ",".join(map(str, scales))] if scales else []))
    features = FeatureSets(run, {})
    examples = window_examples(run, features)
    by_name = {song.name: song for song in run.corpora.store.songs}
    parts = {}
    for part in ("train", "valid", "test"):
        songs = [by_name[name] for name in getattr(run.split, part)]
        layers = [np.hstack(run.model.activations(run.corpora.store.frames[song.start:song.stop])) for song in songs]
        parts[part] = [windows_by_loops(x, 1.0, 0.5, statistics, scales) for x in layers]
    close = {"rtol": 1e-4, "atol": 1e-6}
    np.testing.assert_allclose(examples.train_x[ALL_LAYERS], np.concatenate(parts["train"]), **close)
    for found, expected in zip(examples.valid_songs[ALL_LAYERS], parts["valid"], strict=True):
        np.testing.assert_allclose(found, expected, **close)
    for song, expected in zip(examples.test_songs, parts["test"], strict=True):
        np.testing.assert_allclose(examples.of_song(song)[ALL_LAYERS], expected, **close)


def test_training_windows_are_no_more_than_the_profile_says(smoke_run):
    """They are drawn without regard to their class, and each keeps its own."""
    options = ["--window-seconds", "1", "--window-hop", "0.5"]
    whole, part = (window_examples(run, FeatureSets(run, {})) for run in
                   (run_of(smoke_run, *options), run_of(smoke_run, *options, "--svm-windows", "50")))
    labels = {row.tobytes(): label for row, label in zip(whole.train_x[ALL_LAYERS], whole.train_y)}
    assert len(labels) == 30 * 11 and len(part.train_y) == 50
    found = [(row.tobytes(), label) for row, label in zip(part.train_x[ALL_LAYERS], part.train_y)]
    assert len({row for row, _ in found}) == 50 and all(labels[row] == label for row, label in found)
    assert len(set(part.train_y)) > 5
    for name in ("Layer 1", "Layer 3"):
        rows = {row.tobytes(): i for i, row in enumerate(whole.train_x[name])}
        order = {row.tobytes(): i for i, row in enumerate(whole.train_x[ALL_LAYERS])}
        assert [rows[row.tobytes()] for row in part.train_x[name]] == [
            order[row.tobytes()] for row in part.train_x[ALL_LAYERS]]


@pytest.mark.parametrize("change", [
    {"window_seconds": 2.0}, {"window_hop": 1.0}, {"window_statistics": ("mean",)},
    {"window_statistics": ("variance", "mean")}, {"window_scales": (1.0,)}, {"svm_windows": 20},
    {"window_C": (1.0,)}])
def test_an_answer_is_kept_for_its_own_windows_alone(smoke_run, monkeypatch, change):
    options = parse("", arguments(smoke_run))

    class Asked(Exception):
        pass

    def examples(run, features):
        raise Asked

    def answer(variant):
        run = Run(Corpora(variant.of(options)), 0)
        return question._kept_answer(run, variant, examples, {"C": run.profile.window_C}, 1)

    def no_reading(path, *_):
        asked_for.append(path)

    asked_for = []
    monkeypatch.setattr(question, "kept_json", no_reading)
    for variant in (Variant("first"), Variant("other", change), Variant("first again")):
        with pytest.raises(Asked):
            answer(variant)
    first, other, again = asked_for
    assert first == again != other


def test_a_network_is_trained_once_for_all_that_share_it(smoke_run, monkeypatch):
    tasks = []
    monkeypatch.setattr(pipeline, "in_parallel", lambda function, given, jobs: tasks.extend(given) or ())
    systems = [variant.of(parse("", arguments(smoke_run, "--repeats", "2"))) for variant in
               (Variant("first"), Variant("windows", {"window_seconds": 1.0}), Variant("deep", {}, {"batch_size": 7}))]
    pipeline.prepared_systems(systems)
    assert [(options.profile.training.batch_size, seed) for options, seed in tasks] == [
        (20, 0), (20, 1), (7, 0), (7, 1)]


@pytest.mark.parametrize("option, value", [("--window-statistics", "mean,median"), ("--window-scales", "0.5,0")])
def test_windows_that_cannot_be_meant(tmp_path, option, value):
    with pytest.raises(DBNError, match="window"):
        parse("", arguments(tmp_path, option, value))


@pytest.mark.parametrize("option, value", [("--window-statistics", "mean"), ("--window-scales", "0.5")])
def test_tags_have_the_papers_windows(tmp_path, option, value):
    with pytest.raises(DBNError, match="are for Table 3 and the questions"):
        parse_tagging("", arguments(tmp_path, option, value))
