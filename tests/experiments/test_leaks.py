"""Nothing of the test songs reaches what is learnt or chosen; Tables 2 and 3 anew from the files of their run.

Every script runs twice, on two corpora that differ in their test songs alone: in the second one these are white noise,
longer, and each in another class. What was learnt and chosen must be equal to the last bit, the accuracies must not.

Broken on purpose, and what failed:

network trained on test songs, or on validation songs     test_networks, both; and what stands upon them
scaling fitted to test songs too                          test_networks, both
test songs among those of the search, or its scaling      test_search
early stopping on the test songs                          test_networks, both; test_choices_of_the_svms, both tables
SVMs taught the test songs                                test_choices_of_the_svms, test_training_examples_of_the_svms
Table 3's SVMs trained on training and validation songs   test_table_anew[table3]
SVMs fitted again with validation songs after the choice  test_table_anew, both tables
C and gamma chosen on the test songs                      test_table_anew, test_choices_of_the_svms, both tables
C and gamma of Table 4 chosen on the fold's test clips    test_tags_of_a_fold
every seventh frame of a test song votes                  test_table_anew[table2]
windows every 5 s                                         test_table_anew[table3]
all seeds but the first dropped from a pool               test_tables.py: test_two_seeds_anew_from_the_json_alone
"""
import csv
import hashlib
import json
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
from matplotlib.figure import Figure
from sklearn.svm import SVC

from dbn.cli.parser import main as dbn_command
from dbn.datasets import majorminer
from dbn.evaluation.svm import RBFSVM
from dbn.evaluation.tag_draws import group_folds
from experiments import sweep, table1, table2, table3, table4
from experiments.profiles import Choice, LogUniform
from experiments.search import report as sweep_report
from experiments.steps.options import parse

RATE, MOMENT = 22050, 1050  # a second, and what has one spectrum, in samples
CLASSES = ("bright", "dark", "dull")
SONGS = {"train": 7, "valid": 3, "test": 5}  # of each class
NETWORK = ["--hidden-layers-sizes", "12,10,8", "--finetune-lr", "0.5", "--finetune-epochs", "8"]
N_FRAMES = 300  # that Table 2's SVMs are trained on
GRIDS = {"table2": [(C, gamma) for C in (1, 10) for gamma in (0.3, 1)],  # gamma: times the number of features
         "table3": [(C, gamma) for C in (1, 10) for gamma in (0.03, 0.3)]}
TABLES = ["--svm-frames", str(N_FRAMES), "--frame-C", "1,10", "--frame-gamma", "0.3,1", "--window-C", "1,10",
          "--window-gamma", "0.03,0.3"]
SPACE = {"units": Choice(10, 14), "finetune_lr": LogUniform(0.4, 1.0), "pretrain_lr": LogUniform(1e-3, 1e-2)}
SEARCH = ["--sweep-points", "3", "--sweep-epochs", "9", "--sweep-frames", "none", "--sweep-valid-frames", "1500"]

N_TAGS, N_POINTS, GARBLED = 3, 2, 1  # Table 4: tags, points of its grid, the fold whose clips are garbled
TAGGING = ["--tag-C", "1,10", "--tag-gamma", "1", "--min-tagged-clips", "5", "--window-seconds", "0.5",
           "--window-hop", "0.25"]


# ------------------------------------------------------------------------------------------------ two corpora

def noise(seed, slope, seconds):
    """Noise whose spectrum falls about as steeply as `slope` says, at each moment otherwise: classes overlap."""
    rng = np.random.default_rng([0, seed])  # by which the wrong tables, at the end, differ from the right ones
    octaves = np.log2(1 + np.fft.rfftfreq(MOMENT, 1 / RATE) / 200)
    slopes = slope + 0.2 * rng.normal() + 0.7 * rng.normal(size=(seconds * RATE // MOMENT, 1))
    moments = np.fft.irfft(np.fft.rfft(rng.standard_normal((len(slopes), MOMENT))) * 2 ** (-slopes * octaves), MOMENT)
    return (0.1 * moments / moments.std(axis=1, keepdims=True)).ravel()


def garbage(seed, seconds):
    """White noise."""
    return 0.1 * np.random.default_rng([seed, 1]).standard_normal(seconds * RATE)


def write(path, signal):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, signal, RATE)


def write_songs(root, garbled):
    """The songs, and beside their folder the split, ``split.csv``, and the table of labels, ``labels.csv``."""
    rows, seed = [], 0
    for part, n_songs in SONGS.items():
        for number in range(n_songs * len(CLASSES)):
            seed, label = seed + 1, number % len(CLASSES)
            is_garbage = garbled and part == "test"
            name = f"{CLASSES[label - is_garbage]}/{part}-{number:02d}.wav"
            write(root / name, garbage(seed, 13) if is_garbage else noise(seed, 0.3 * label, 11))
            rows.append((name, name.split("/")[0], part))
    for file, header, columns in (("split.csv", ("track", "part"), (0, 2)),
                                  ("labels.csv", ("file", "label", "part"), (0, 1, 2))):
        with open(root.parent / file, "w", newline="") as out:
            csv.writer(out).writerows([header, *([row[i] for i in columns] for row in rows)])


def write_clips(root, garbled):
    """A MajorMiner of ten artists with three clips each, and tags that hold for bright clips, or for dark ones."""
    rng = np.random.default_rng(5)
    artists = [f"artist {clip // 3}" for clip in range(30)]
    slopes = rng.random(30)
    tags = slopes[:, None] + 0.3 * rng.normal(size=(30, N_TAGS)) > [0.4, 0.5, 0.6]
    folds = group_folds(artists, 3, [0])
    if garbled:
        tags[folds == GARBLED] = tags[folds == GARBLED][::-1]
    lines = []
    for clip, artist in enumerate(artists):
        is_garbage = garbled and folds[clip] == GARBLED
        write(root / "audio" / f"clip{clip:02d}.wav", garbage(clip, 2) if is_garbage else noise(clip, slopes[clip], 1))
        lines += [f"clip{clip:02d}\tsong\t{artist}\talbum\t0:00\ttag {tag}\t{1 + holds}\n"
                  for tag, holds in enumerate(tags[clip])]  # what one player alone says does not count
    (root / "clips.tsv").write_text("".join(lines))


# ------------------------------------------------------------------------------------------------ two runs

def digest(*arrays):
    return hashlib.sha256(b"".join(np.ascontiguousarray(array).tobytes() for array in arrays)).hexdigest()


@contextmanager
def spied():
    """A list that gets C, gamma and a digest of the training examples of every SVM; no pictures, which take long."""
    fits, fit = [], RBFSVM.fit

    def noted(self, x, y):
        fits.append((self.C, self.gamma, digest(x, y)))
        return fit(self, x, y)

    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(RBFSVM, "fit", noted)
        monkeypatch.setattr(Figure, "savefig", lambda self, path, **_: Path(path).touch())
        yield fits


def everything(folder, garbled):
    """Tables 1 to 3, a search and ``dbn train`` on one of the two corpora."""
    root, out = folder / "songs", folder / "out"
    write_songs(root, garbled)
    argv = ["--profile", "smoke", "--jobs", "1", "--dataset", "folder", "--root", str(root), "--split",
            str(folder / "split.csv"), "--out", str(out), *NETWORK, *TABLES]
    options = parse("", [*argv, *SEARCH], sweep.OWN_OPTIONS)
    with spied() as fits:
        for table in (table1, table2, table3):
            table.main(argv)
        sweep_report.write(options, sweep.search(options, SPACE))
    assert dbn_command(["train", str(root), "-o", str(folder / "model.npz"), "--labels", str(folder / "labels.csv"),
                        "--jobs", "1", "--recipe", "paper", "--pretrain-epochs", "1", *NETWORK]) == 0
    return SimpleNamespace(folder=folder, out=out, fits=fits)


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    return everything(tmp_path_factory.mktemp("clean"), garbled=False)


@pytest.fixture(scope="module")
def garbled(tmp_path_factory):
    return everything(tmp_path_factory.mktemp("garbled"), garbled=True)


@pytest.fixture(scope="module")
def tagged(clean, tmp_path_factory):
    """Table 4 of the clean clips and of those with one fold garbled, with the clean network; and what SVMs saw."""
    model, found = next((clean.out / "seed-0").glob("dbn-*/model.npz")), []
    for kind in (False, True):
        folder = tmp_path_factory.mktemp("tagged")
        write_clips(folder / "clips", garbled=kind)
        with spied() as fits:
            table4.main(["--profile", "smoke", "--jobs", "1", "--dataset", "majorminer", "--root",
                         str(folder / "clips"), "--model", str(model), "--out", str(folder / "out"), *TAGGING])
        found.append(SimpleNamespace(fits=fits, result=read(folder / "out" / "table4.json"), clips=folder / "clips"))
    return found


def read(path):
    return json.loads(Path(path).read_text())


def timeless(value):
    """Without what no two runs share: seconds."""
    if isinstance(value, dict):
        return {key: timeless(entry) for key, entry in value.items() if key != "seconds"}
    return [timeless(entry) for entry in value] if isinstance(value, list) else value


# ------------------------------------------------------------------------------------------------ what must not change

@pytest.mark.parametrize("pattern", ["out/seed-0/dbn-*/model.npz", "model.npz"], ids=["tables", "dbn train"])
def test_networks(clean, garbled, pattern):
    """Parameters, scaling, every epoch's cost and validation error, and the epoch that was kept."""
    models = []
    for run in (clean, garbled):
        path, = run.folder.glob(pattern)
        with np.load(path) as stored:
            arrays = dict(stored)
        meta = json.loads(arrays.pop("meta").item())
        about = {name: meta["about"][name] for name in ("best_epoch", "best_error", "stopped", "n_frames", "settings")}
        models.append(({name: array.tobytes() for name, array in arrays.items()}, timeless(meta["history"]), about))
    assert models[0] == models[1]
    assert len(models[0][0]) == 2 * 4 + 3 + 2  # weights and biases, the RBMs' visible biases, the scaling
    assert models[0][2]["best_error"] < 0.6  # it learnt something that garbage could spoil


@pytest.mark.parametrize("table", ["table2", "table3"])
def test_choices_of_the_svms(clean, garbled, table):
    """C, gamma and the whole log of the grid: accuracies on validation songs, numbers of support vectors."""
    ours, theirs = (timeless(read(run.out / f"{table}.json")["selection"]) for run in (clean, garbled))
    assert ours == theirs and all(len(ours[0][name]) == len(GRIDS[table]) for name in ours[0] if name != "seed")
    assert len({point["song_accuracy"] for name in ours[0] if name != "seed" for point in ours[0][name]}) > 1
    chosen = [[(row["C"], row["gamma"]) for row in read(run.out / f"{table}.json")["rows"]] for run in (clean, garbled)]
    assert chosen[0] == chosen[1]


def test_training_examples_of_the_svms(clean, garbled):
    assert clean.fits == garbled.fits
    assert len(clean.fits) >= 5 * (len(GRIDS["table2"]) + len(GRIDS["table3"])) and len(set(clean.fits)) > 10


def test_search(clean, garbled):
    """Every point's history and parameters, the ranking and the winner."""
    found = []
    for run in (clean, garbled):
        result = read(run.out / "sweep.json")
        records = {f"{path.parent.name}/{path.name}": timeless(read(path))
                   for path in (run.out / "sweep").glob("rung-*/[!.]*.json")}
        found.append((records, timeless(result["rows"]), timeless(result["winner"])))
    assert found[0] == found[1]
    assert len(found[0][0]) == len({record["parameters"] for record in found[0][0].values()}) == 10
    assert max(record["best_error"] for record in found[0][0].values()) < 0.6


def test_accuracies_change(clean, garbled):
    """Or nothing above would mean anything."""
    for table in ("table1", "table2", "table3"):
        accuracies = [{row["name"]: row["accuracy"] for row in read(run.out / f"{table}.json")["rows"]
                       if "accuracy" in row} for run in (clean, garbled)]
        assert all(accuracies[0][name] > accuracies[1][name] for name in accuracies[0]), accuracies
    assert len({read_about_test(run) for run in (clean, garbled)}) == 2


def read_about_test(run):
    """Test songs that the model of ``dbn train`` labels right."""
    with np.load(run.folder / "model.npz") as stored:
        return json.loads(stored["meta"].item())["about"]["test"]["n_correct"]


def test_tags_of_a_fold(tagged):
    """The fold's clips and tags change neither what its SVMs are trained on nor C and gamma; the others' they do."""
    n_rows = len(tagged[0].result["rows"])
    n_fits = 3 * N_POINTS + 1  # of one SVM: an inner cross-validation, then all training clips
    fits = [np.array(run.fits[:n_rows * N_TAGS * 3 * n_fits], dtype=object).reshape(n_rows, N_TAGS, 3, n_fits, 3)
            for run in tagged]
    same = fits[0] == fits[1]
    assert same[:, :, GARBLED].all()
    assert not same[:, :, [fold for fold in range(3) if fold != GARBLED], -1, 2].any()
    corpora = [majorminer.load(run.clips / "clips.tsv") for run in tagged]
    assert corpora[0].tags == corpora[1].tags and (corpora[0].matrix != corpora[1].matrix).any(axis=0).all()
    accuracies = [[[tag["folds"][row["name"]][GARBLED] for tag in run.result["tags"].values()]
                   for row in run.result["rows"]] for run in tagged]
    assert np.mean(accuracies[0]) > np.mean(accuracies[1])


# ------------------------------------------------------------------------------------------------ Tables 2 and 3 anew

class Files:
    """What a run has left on the disk: features of all frames by the row's name, and the songs of each part."""

    def __init__(self, out):
        index_path, = out.rglob("index.json")
        model_path, = out.glob("seed-0/dbn-*/model.npz")
        mfcc_path, = out.rglob("mfcc-*.npy")
        index = read(index_path)
        songs = {name: (np.arange(start, stop), index["classes"][label]) for name, label, start, stop in index["songs"]}
        with open(out / "seed-0" / "split.csv", newline="") as file:
            split = list(csv.DictReader(file))
        self.songs = {part: [songs[row["track"]] for row in split if row["part"] == part] for part in SONGS}
        self.features = {"MFCCs": np.load(mfcc_path)}
        with np.load(model_path) as model:
            x = np.clip((np.load(index_path.with_name("frames.npy")) - model["scaling_offset"])
                        * model["scaling_gain"], 0, 1)
            for layer in range(3):
                x = 1 / (1 + np.exp(-(x @ model[f"W{layer}"] + model[f"b{layer}"])))
                self.features[f"Layer {layer + 1}"] = x
        self.features["All Layers"] = np.hstack([self.features[f"Layer {layer}"] for layer in (1, 2, 3)])


def svm(x, y, C, gamma):
    """The labels that an SVM of these examples gives to others."""
    mean, scale = x.mean(axis=0, dtype=float), x.std(axis=0, dtype=float)
    fitted = SVC(C=C, gamma=gamma).fit((x - mean) / scale, y)
    return lambda other: fitted.predict((other - mean) / scale)


def majority(labels):
    """The most frequent label; of several, the one that was complete first."""
    most, seen = max(Counter(labels).values()), Counter()
    for label in labels:
        seen[label] += 1
        if seen[label] == most:
            return str(label)


def frames(files, name):
    """Examples of Table 2: what its SVMs are taught (x, y), and of the validation and test songs (x, label)."""
    x = files.features[name]
    rows = np.concatenate([rows for rows, _ in files.songs["train"]])
    y = np.repeat([label for _, label in files.songs["train"]], [len(rows) for rows, _ in files.songs["train"]])
    drawn = np.random.default_rng([0, table2.FRAME_DRAW]).permutation(len(rows))[:N_FRAMES]
    valid, test = ([(x[rows], label) for rows, label in files.songs[part]] for part in ("valid", "test"))
    return (x[rows[drawn]], y[drawn]), [(x[::10], label) for x, label in valid], test


def windows(files, name):
    """The same of Table 3: windows of 5 s, which are 215 frames, every 2.5 s, which are 107."""
    x = files.features[name]

    def of_song(rows):
        starts = range(0, len(rows) - 214, 107)
        return np.array([np.hstack([x[rows[at:at + 215]].mean(axis=0), x[rows[at:at + 215]].var(axis=0)])
                         for at in starts])

    train, *others = ([(of_song(rows), label) for rows, label in files.songs[part]] for part in SONGS)
    return together(train), *others


def together(songs):
    """All examples of some songs, and their labels."""
    return np.concatenate([x for x, _ in songs]), np.repeat([label for _, label in songs], [len(x) for x, _ in songs])


def grid_log(taught, valid, grid):
    """Of every point of a grid the accuracies over songs and examples, C and gamma."""
    log = []
    for C, multiple in grid:
        gamma = multiple / taught[0].shape[1]
        answers = [(svm(*taught, C, gamma)(x), label) for x, label in valid]
        log.append((np.mean([majority(answer) == label for answer, label in answers]),
                    np.mean(np.concatenate([answer == label for answer, label in answers])), C, gamma))
    return log


def decisions(taught, log, test):
    """The label of every test song by the SVM of the best point of a log."""
    _, _, C, gamma = max(log, key=lambda point: (*point[:2], -point[2], -point[3]))
    return [majority(svm(*taught, C, gamma)(x)) for x, _ in test]


@pytest.fixture(scope="module")
def anew(clean):
    """By table and row: examples, log and decisions, from the files alone."""
    files, found = Files(clean.out), {}
    for table, examples_of, stride, skip in (("table2", frames, 10, 7), ("table3", windows, 1, 2)):
        for name in files.features:
            taught, valid, test = examples_of(files, name)
            log = grid_log(taught, valid, GRIDS[table])
            found[table, name] = SimpleNamespace(taught=taught, valid=valid, test=test, grid=GRIDS[table], log=log,
                                                 stride=stride, skip=skip, decisions=decisions(taught, log, test))
    return found


@pytest.mark.parametrize("table", ["table2", "table3"])
def test_table_anew(clean, anew, table):
    result = read(clean.out / f"{table}.json")
    path, = (clean.out / "seed-0").glob(f"{table}-*.json")
    assert [row["name"] for row in result["rows"]] == [name for which, name in anew if which == table]
    for row in result["rows"]:
        ours, name = anew[table, row["name"]], row["name"]
        for (songs, examples, C, gamma), point in zip(ours.log, result["selection"][0][name], strict=True):
            assert (point["C"], point["gamma"]) == pytest.approx((C, gamma))
            assert point["song_accuracy"] == pytest.approx(songs)
            assert point["example_accuracy"] == pytest.approx(examples, abs=0.01)
        assert read(path)["rows"][name]["predicted"] == ours.decisions
        right = [decision == label for decision, (_, label) in zip(ours.decisions, ours.test)]
        assert row["accuracy"] == np.mean(right)
        assert result["test_songs"][0]["correct"][name] == "".join("01"[one] for one in right)


WRONG = {
    "validation songs are taught too": lambda row: decisions(
        [np.concatenate(pair) for pair in zip(row.taught, together(row.valid))], row.log, row.test),
    "C and gamma chosen on test songs": lambda row: decisions(
        row.taught, grid_log(row.taught, [(x[::row.stride], label) for x, label in row.test], row.grid), row.test),
    "every seventh frame votes, or every second window": lambda row: decisions(
        row.taught, row.log, [(x[::row.skip], label) for x, label in row.test]),
}


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("table", ["table2", "table3"])
def test_wrong_tables_are_told_apart(anew, table, wrong):
    """Some song of this corpus would be labelled otherwise, so that the test before this one finds such a table."""
    assert any(WRONG[wrong](row) != row.decisions for (which, _), row in anew.items() if which == table)
