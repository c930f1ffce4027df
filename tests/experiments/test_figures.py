"""Figures 1 and 2: what is drawn is what the network and its test songs hold."""
import json

import matplotlib.pyplot as plt
import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors

from dbn.audio import load_audio
from dbn.audio.scaling import Scaling
from dbn.errors import DBNError
from dbn.features.mfcc import mfcc
from dbn.trained.model import Model
from experiments import figure1, figure2
from experiments.steps import pictures
from experiments.steps.options import parse
from experiments.steps.pipeline import prepared_runs


@pytest.fixture(autouse=True)
def no_figures_left():
    yield
    plt.close("all")


# --- Figure 1 ---

def untrained(sizes, visible="bernoulli", output="softmax", n_pretrained=None, activation="sigmoid"):
    """A model of these layer sizes, all zeros, with epochs of pre-training of all its layers or of fewer."""
    scaling = Scaling("none").fit([np.zeros((2, sizes[0]), dtype=np.float32)])
    weights = [np.zeros(shape, dtype=np.float32) for shape in zip(sizes, sizes[1:])]
    return Model(weights, [np.zeros(size, dtype=np.float32) for size in sizes[1:]],
                 [np.zeros(size, dtype=np.float32) for size in sizes[:-2]], visible, output, scaling,
                 tuple(str(i) for i in range(sizes[-1])), {}, activation=activation, history=[
                     {"stage": "pretrain", "layer": layer, "epoch": 1, "cost": 0.0, "seconds": 0.0}
                     for layer in range(1, (len(sizes) - 1 if n_pretrained is None else 1 + n_pretrained))])


def texts_of(figure):
    return [text.get_text() for axes in figure.axes for text in axes.texts]


@pytest.mark.parametrize("hidden", [[50], [50, 50], [500, 3, 25], [11, 10, 9, 1], [50, 1000, 2, 200, 201]])
def test_every_layer_is_drawn_with_its_true_size(hidden):
    sizes = [513, *hidden, 10]
    texts = texts_of(figure1.draw(untrained(sizes)))
    units = [text for text in texts if "units" in text or "outputs" in text]
    assert [int(text.split()[0].replace(",", "")) for text in units] == sizes
    assert [text for text in texts if text.startswith("RBM")] == [f"RBM {i + 1}" for i in range(len(hidden))]
    weights = [text for text in texts if "weights" in text]
    assert weights[0] == f"513 × {hidden[0]:,} weights"
    assert len(weights) == len(hidden) + 1 and weights[-1].startswith(f"{hidden[-1]:,} × 10 weights")


def test_layers_that_were_not_pretrained_are_no_rbms():
    texts = texts_of(figure1.draw(untrained([513, 50, 60, 10], n_pretrained=1, activation="relu")))
    assert [text for text in texts if text.startswith(("RBM", "Layer", "Output"))] == [
        "RBM 1", "Layer 2", "Output layer"]
    assert "50 × 60 weights, not pre-trained" in texts and "50 rectified units" in texts


@pytest.mark.parametrize("epoch, label", [(0, []), (2, ["best: 0.600, epoch 2"])])
def test_the_epoch_that_was_kept_is_marked(tmp_path, monkeypatch, epoch, label):
    """Not the lowest of the errors, where the parameters before the first epoch were better or another was kept."""
    kept = []
    monkeypatch.setattr(pictures, "save", lambda figure, path: kept.append(figure))
    history = [{"stage": "finetune", "epoch": i, "cost": 1.0, "valid_error": error, "seconds": 1.0}
               for i, error in enumerate((0.7, 0.6, 0.5), 1)]
    pictures.learning_curves(tmp_path / "curves", history, epoch, "title")
    assert kept[0].axes[2].get_legend_handles_labels()[1] == label


@pytest.mark.parametrize("units", [1, 2, 10, 11, 50, 200, 201, 100_000])
def test_circles_are_all_units_or_leave_room_for_dots(units):
    places = figure1.circle_positions(units)
    assert places == sorted(places) and sum(places) == pytest.approx(0)
    gaps = np.diff(places)
    if units <= 10:
        assert len(places) == units and np.all(gaps == 1)
    else:
        assert len(places) < units and sorted(gaps)[-2:] == [1, 4]


def test_no_text_of_figure_1_lies_on_another():
    figure = figure1.draw(untrained([513, 50, 1000, 10], visible="gaussian", output="sigmoid"))
    figure.canvas.draw()
    boxes = [text.get_window_extent() for axes in figure.axes for text in axes.texts]
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
    assert "513 Gaussian units" in texts_of(figure) and "10 sigmoid outputs" in texts_of(figure)


# --- the measure of Figure 2 ---

def brute_force_share(x, labels, n_neighbours, songs=None):
    same = 0
    for i in range(len(x)):
        others = [j for j in range(len(x)) if j != i and (songs is None or songs[j] != songs[i])]
        others.sort(key=lambda j: sum((x[i] - x[j]) ** 2))
        same += sum(labels[j] == labels[i] for j in others[:n_neighbours])
    return same / (len(x) * n_neighbours)


@pytest.fixture(scope="module")
def points():
    rng = np.random.default_rng(0)
    labels = rng.integers(3, size=70)
    songs = labels * 3 + rng.integers(3, size=70)
    return (rng.normal(size=(70, 4)) + labels[:, None]).astype(np.float32), labels, songs


@pytest.mark.parametrize("n_neighbours", [1, 5, 10])
def test_neighbour_share_against_scikit_learn(points, n_neighbours):
    x, labels, _ = points
    nearest = NearestNeighbors(n_neighbors=n_neighbours).fit(x.astype(float)).kneighbors(return_distance=False)
    assert figure2.neighbour_share(x, labels, n_neighbours) == (labels[nearest] == labels[:, None]).mean()


@pytest.mark.parametrize("block_rows", [1, 7, 1000])
def test_neighbour_share_against_sorting_in_blocks_of_any_size(points, block_rows, monkeypatch):
    monkeypatch.setattr(figure2, "_BLOCK_ROWS", block_rows)
    x, labels, songs = points
    assert figure2.neighbour_share(x, labels, 10) == brute_force_share(x, labels, 10)
    assert figure2.neighbour_share(x, labels, 10, songs) == brute_force_share(x, labels, 10, songs)


def test_a_point_is_not_its_own_neighbour_even_among_duplicates():
    x, labels = np.zeros((4, 2)), np.arange(4)
    assert figure2.neighbour_share(x, labels, 3) == 0


def test_songs_that_are_clusters_count_for_nothing_without_themselves():
    songs = np.repeat([0, 1, 2, 3], 5)
    labels = np.repeat([0, 1, 0, 1], 5)  # the nearest other song is of the other class
    x = songs[:, None] * 10.0 + np.random.default_rng(0).uniform(size=(20, 1))
    assert figure2.neighbour_share(x, labels, 4) == 1
    assert figure2.neighbour_share(x, labels, 4, songs) == 0


def test_chance_counts_the_frames_that_may_be_neighbours():
    # two classes, each of two songs of two frames: of 7 others 3 are of the class, of 6 in other songs 2
    drawn = figure2.Drawn(np.arange(8), np.repeat([0, 1], 4), np.repeat([0, 1, 2, 3], 2))
    assert figure2.chance(drawn) == pytest.approx({"neighbour_share": 3 / 7, "other_songs_share": 2 / 6})


# --- the frames and panels of Figure 2 ---

@pytest.fixture(scope="module")
def options(smoke_run):
    return parse("", ["--profile", "smoke", "--jobs", "1", "--out", str(smoke_run), "--figure2-frames", "120"])


@pytest.fixture(scope="module")
def run(options):
    return prepared_runs(options)[1][0]


@pytest.fixture(scope="module")
def drawn(run):
    return figure2.draw_frames(run)


def test_frames_are_as_many_of_each_test_song(run, drawn):
    assert len(drawn.rows) == len(np.unique(drawn.rows)) == 120
    songs = {song.name: song for song in run.corpora.store.songs}
    counts = []
    for number, name in enumerate(run.split.test):
        rows = drawn.rows[drawn.songs == number]
        assert songs[name].start <= rows.min() and rows.max() < songs[name].stop
        assert set(drawn.labels[drawn.songs == number]) == {songs[name].label}
        counts.append(len(rows))
    assert sum(counts) == 120 and max(counts) - min(counts) <= 1


def test_frames_depend_on_the_seed_alone(options, run, drawn):
    again = figure2.draw_frames(prepared_runs(options)[1][0])
    np.testing.assert_array_equal(drawn.rows, again.rows)
    other = figure2.draw_frames(type(run)(run.corpora, seed=1))
    assert not np.array_equal(drawn.rows, other.rows)


def test_every_panel_shows_the_same_frames(run, drawn):
    """Each representation computed anew from the audio and the weights, for the frames of one song."""
    found = figure2.representations(run, drawn)
    assert list(found) == ["Inputs (DFTs)", "MFCCs", "Layer 1", "Layer 2", "Layer 3", "All Layers"]
    name = run.split.test[4]
    here = drawn.songs == 4
    song = next(song for song in run.corpora.store.songs if song.name == name)
    paths = {track.name: track.path for track in run.corpora.corpus.tracks}

    x = run.model.scaling.transform(run.corpora.store.frames[song.start:song.stop])[drawn.rows[here] - song.start]
    np.testing.assert_array_equal(found["Inputs (DFTs)"][here], x)
    layers = []
    for i, (weights, bias) in enumerate(zip(run.model.weights[:3], run.model.biases)):
        x = 1 / (1 + np.exp(-(x.astype(float) @ weights + bias)))
        np.testing.assert_allclose(found[f"Layer {i + 1}"][here], x, atol=1e-5)
        layers.append(x)
    np.testing.assert_allclose(found["All Layers"][here], np.hstack(layers), atol=1e-5)

    training = np.vstack([mfcc(load_audio(paths[name])) for name in run.split.train]).astype(float)
    song_mfccs = mfcc(load_audio(paths[name]))[drawn.rows[here] - song.start]
    np.testing.assert_allclose(found["MFCCs"][here], (song_mfccs - training.mean(axis=0)) / training.std(axis=0),
                               atol=1e-3)


def test_panels_are_the_same_in_one_process_and_in_two(run, drawn, monkeypatch):
    two_of_them = [*figure2.representations(run, drawn).items()][1:3]
    monkeypatch.setattr(figure2, "representations", lambda *_: dict(two_of_them))
    one, two = figure2.make_panels(run, drawn, jobs=1), figure2.make_panels(run, drawn, jobs=2)
    assert [panel.name for panel in one] == ["MFCCs", "Layer 1"]
    for a, b in zip(one, two, strict=True):
        assert a.row == b.row
        np.testing.assert_array_equal(a.points, b.points)
        assert a.points.shape == (120, 2) and np.isfinite(a.points).all()


@pytest.mark.parametrize("option, why", [
    (["--figure2-frames", "0"], "--figure2-frames is 0"),
    (["--figure2-perplexity", "-1"], "--figure2-perplexity is -1"),
    (["--figure2-perplexity", "300"], "too few for a perplexity of 300"),
    (["--figure2-neighbours", "298"], "298 neighbours in other songs"),
])
def test_numbers_that_cannot_be_are_named(smoke_run, option, why):
    with pytest.raises(DBNError, match=why):
        figure2.main(["--profile", "smoke", "--jobs", "1", "--out", str(smoke_run), *option])


# --- the pictures and files of Figure 2 ---

def test_styles_of_a_hundred_classes_differ():
    styles = [figure2.style(label, 5) for label in range(100)]
    assert len({(style["color"], style["marker"]) for style in styles}) == 100


@pytest.mark.parametrize("n_panels, n_classes", [(1, 2), (3, 10), (4, 12), (7, 30)])
def test_any_number_of_panels_and_classes(n_panels, n_classes):
    rng = np.random.default_rng(0)
    labels = np.arange(60) % n_classes
    drawn = figure2.Drawn(np.arange(60), labels, np.arange(60))
    row = dict.fromkeys(["neighbour_share_space", "neighbour_share_plane", "other_songs_share_space",
                         "other_songs_share_plane"], 0.5)
    panels = [figure2.Panel(f"panel {i}", rng.normal(size=(60, 2)), row) for i in range(n_panels)]
    classes = [f"class {i}" for i in range(n_classes)]
    figure = figure2.draw(panels, drawn, classes, "heading")
    shown = [axes for axes in figure.axes if axes.get_title()]
    assert [axes.get_title() for axes in shown] == [panel.name for panel in panels]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == classes
    for axes in shown:
        assert sum(len(line.get_xdata()) for line in axes.lines) == 60


def test_figure_1_and_2_end_to_end(smoke_run, monkeypatch):
    argv = ["--profile", "smoke", "--jobs", "1", "--out", str(smoke_run), "--figure2-frames", "100"]
    headings = []
    draw = figure2.draw
    monkeypatch.setattr(figure2, "draw", lambda *args: headings.append(args[-1]) or draw(*args))
    figure1.main(argv)
    figure2.main(argv)
    for name in ("figure1", "figure2"):
        assert (smoke_run / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert (smoke_run / f"{name}.pdf").read_bytes().startswith(b"%PDF")
    assert "synthetic" in headings[0]
    result = json.loads((smoke_run / "figure2.json").read_text())
    assert {"table", "dataset", "profile", "seed", "n_songs", "rows", "settings", "seconds", "made_with",
            "corpus", "skipped", "warnings"} <= set(result)
    assert result["table"] == "figure2" and result["n_frames"] == 100
    markdown = (smoke_run / "figure2.md").read_text()
    for row in result["rows"]:
        assert f"{row['neighbour_share_plane']:.3f}" in markdown and row["name"] in markdown
        assert all(0 <= value <= 1 for key, value in row.items() if "share" in key)
