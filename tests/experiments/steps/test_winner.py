"""The scripts that take the search's winner, and when they refuse it."""
import json
import re
import shutil

import librosa
import numpy as np
import pytest

from damage import assert_noticed, damaged_json
from dbn.audio import load_audio
from dbn.errors import DBNError
from dbn.evaluation.svm import RBFSVM
from dbn.features.mfcc import mfcc
from dbn.trained.model import load_model
from dbn.training.settings import TrainingSettings
from experiments import figure1, report, sweep, table1, table2, table4
from experiments.profiles import PROFILES
from experiments.search import report as sweep_report
from experiments.steps.features import FeatureSets, mfcc_choices
from experiments.steps.options import parse
from experiments.steps.pipeline import Corpora, Run
from experiments.steps.winner import check_songs, read_winner, songs_of_plan, winner_elsewhere
from experiments.table2 import frame_examples
from search_records import record, smoke, write_records, write_report
from small_search import SPACE

WINNER = {"hidden_layers_sizes": [6, 6], "finetune_lr": 0.2, "batch_size": 50, "output": "sigmoid",
          "pretrain_epochs": 0, "scaling": "standardize", "visible": "gaussian"}


@pytest.fixture(scope="module")
def swept(smoke_run, tmp_path_factory):
    """A results folder with a search that two points were enough for; the first won."""
    out = tmp_path_factory.mktemp("swept")
    for name in ("corpus", "frames"):
        shutil.copytree(smoke_run / name, out / name)
    write_records(out, [record(0, [0.5, 0.4], **WINNER), record(1, [0.5, 0.45])], record("paper", [0.42]))
    run = Run(Corpora(parse("", smoke(out))), 0)
    plan = json.loads((out / "sweep" / "plan.json").read_text()) | songs_of_plan(run.corpora.store, run.split)
    (out / "sweep" / "plan.json").write_text(json.dumps(plan))
    write_report(out)
    return out


@pytest.fixture
def write_result(swept, tmp_path):
    """Writes that search's result, changed, into a folder of its own, and gives the folder."""
    def write(**changes):
        result = json.loads((swept / "sweep.json").read_text()) | changes
        (tmp_path / "sweep.json").write_text(json.dumps(result))
        return tmp_path
    return write


def test_the_profile_with_the_winner(write_result):
    out = write_result()
    options = parse("", smoke(out, "--from-sweep", "--finetune-epochs", "7"))
    assert options.winner == {"point": 0, "n_points": 2, "best_error": 0.4}
    assert options.profile.scaling == "standardize"
    plain = PROFILES["smoke"].training
    expected = {name: value for name, value in WINNER.items() if name != "scaling"}
    assert options.profile.training == TrainingSettings(
        **expected, k=1, finetune_epochs=7, pretrain_lr=0.001, patience=plain.patience, shard_frames=plain.shard_frames)
    assert parse("", smoke(out)).winner is None


def test_tables_of_the_winner(swept):
    """The network of Table 1 is the winner's, trained for the profile's epochs, and the others find it."""
    out = swept
    for script in (table1, table2, figure1):
        script.main(smoke(out, "--from-sweep", "--frame-C", "1", "--frame-gamma", "1"))
    path, = (out / "seed-0").glob("dbn-*/model.npz")
    model = load_model(path)
    assert [weights.shape for weights in model.weights] == [(513, 6), (6, 6), (6, 10)]
    assert (model.visible, model.output, model.scaling.kind) == ("gaussian", "sigmoid", "standardize")
    assert [entry["epoch"] for entry in model.history if entry["stage"] == "finetune"] == [1, 2, 3, 4, 5]
    rows = {row["name"]: row for row in json.loads((out / "table1.json").read_text())["rows"]}
    assert [rows[name]["value"] for name in ("Number of hidden layers", "Units per layer", "Supervised learning rate",
                                             "Number of unsupervised epochs")] == [2, "6", 0.2, 0]
    said = "point 0, which won the search among 2 points with a validation frame error of 0.4000"
    text = (out / "table1.md").read_text()
    assert said in text and "the test songs are scored here, once" in text
    assert said in (out / "table2.md").read_text()
    rows = json.loads((out / "table2.json").read_text())["rows"]
    assert [row["name"] for row in rows] == ["MFCCs", "Layer 1", "Layer 2", "All Layers"]
    assert "The MFCCs were chosen on the validation songs too, among 12 settings" in (out / "table2.md").read_text()
    report.main(smoke(out))
    page = (out / "report.html").read_text()
    assert "the settings that won the search, point 0 of 2" in page
    assert "ours is the best of 2 drawn at random" in page
    commands = page.split("Make it again")[-1]
    assert commands.index("experiments.sweep") < commands.index("experiments.figure1")
    assert "experiments.figure1 --profile smoke --jobs 1" in commands


def test_the_mfccs_get_a_search_too(swept):
    """Every setting's SVM is tried on the validation songs, and the row is that of the best."""
    arguments = smoke(swept, "--from-sweep", "--frame-C", "1", "--frame-gamma", "1,3")
    table2.main(arguments)
    result = json.loads((swept / "table2.json").read_text())
    run = Run(Corpora(parse("", arguments)), 0)
    features = FeatureSets(run, mfcc_choices(run.corpora.options))
    names = list(mfcc_choices(run.corpora.options))
    assert result["mfccs"]["searched"] == names == features.choices["MFCCs"] and len(names) == 12
    log = result["selection"][0]["MFCCs"]
    assert [point["features"] for point in log] == [name for name in names for _ in range(2)]
    best = max(log, key=lambda point: (point["song_accuracy"], point["example_accuracy"]))
    assert result["mfccs"]["chosen"] == [best["features"]]
    assert (best["song_accuracy"], best["example_accuracy"]) > (log[-1]["song_accuracy"], log[-1]["example_accuracy"])
    examples = frame_examples(run, features)
    row = result["rows"][0]
    svm = RBFSVM(row["C"], row["gamma"]).fit(examples.train_x[best["features"]], examples.train_y)
    of_valid = svm.predict_songs(examples.valid_songs[best["features"]], progress=False)
    assert best["song_accuracy"] == pytest.approx(np.mean(of_valid == examples.valid_labels))
    assert len(examples.valid_songs[best["features"]]) == len(run.split.valid) != len(run.split.test)
    right = [svm.predict_songs([examples.of_song(song)[best["features"]]], progress=False)[0]
             == run.corpora.corpus.classes[song.label] for song in examples.test_songs]
    assert row["accuracy"] == np.mean(right)


def test_the_mfccs_of_every_setting_are_those_of_the_audio(swept):
    """They are columns of two files."""
    run = Run(Corpora(parse("", smoke(swept, "--from-sweep"))), 0)
    features = FeatureSets(run, mfcc_choices(run.corpora.options))
    song = run.corpora.store.songs[1]
    path, = (track.path for track in run.corpora.corpus.tracks if track.name == song.name)
    at_song = features.at(slice(song.start, song.stop))
    for n_mels in (40, 80):
        for n_mfcc in (13, 20, 30):
            name, rows = f"{n_mfcc} MFCCs of {n_mels} bands", mfcc(load_audio(path), n_mels=n_mels, n_mfcc=n_mfcc)
            np.testing.assert_array_equal(at_song[name], rows)
            both = np.hstack([rows, librosa.feature.delta(rows.T, mode="nearest").T])
            np.testing.assert_allclose(at_song[f"{name} and their deltas"], both, rtol=1e-4, atol=1e-5)
    assert len(list((swept / "frames").glob("mfcc-*.npy"))) <= 3  # one of them for the profile's own


@pytest.mark.parametrize("name", ["n_mfcc", "n_mels", "mfcc_deltas"])
def test_mfccs_that_are_chosen_and_named(swept, name):
    given = ["--mfcc-deltas"] if name == "mfcc_deltas" else [f"--{name.replace('_', '-')}", "25"]
    with pytest.raises(DBNError, match=f"--{name.replace('_', '-')}: where the network won a search"):
        table2.main(smoke(swept, "--from-sweep", *given))


@pytest.mark.parametrize("arguments, message", [
    (["--finetune-lr", "0.3"], "--from-sweep and --finetune-lr both"),
    (["--scaling", "max"], "--from-sweep and --scaling both"),
    (["--seed", "1"], "sweep.json was made with --seed 0, and this is --seed 1"),
    (["--clips-per-genre", "5"], "made with --clips-per-genre 6, and this is --clips-per-genre 5"),
    (["--split", "artist"], "made with --split class"),
    (["--profile", "demo"], "made with --profile smoke"),
    (["--repeats", "2"], "one seed")])
def test_options_that_do_not_go_with_the_winner(write_result, arguments, message):
    with pytest.raises(DBNError, match=message):
        parse("", smoke(write_result(), "--from-sweep", *arguments))


def test_a_split_that_is_not_drawn_may_be_repeated(write_result):
    out = write_result(dataset="gtzan", settings=vars(PROFILES["smoke"]) | {"split": "sturm", "training": None})
    options = parse("", smoke(out, "--from-sweep", "--dataset", "gtzan", "--root", str(out), "--split", "sturm",
                              "--seed", "2", "--repeats", "3"))
    assert options.winner["point"] == 0


def test_no_search_no_winner(tmp_path):
    with pytest.raises(DBNError, match="search was not made yet") as error:
        table1.main(smoke(tmp_path, "--from-sweep"))
    assert str(error.value).endswith(f"experiments.sweep --profile smoke --jobs 1 --out {tmp_path}")
    (tmp_path / "sweep").mkdir()
    with pytest.raises(DBNError, match="search is not finished"):
        table1.main(smoke(tmp_path, "--from-sweep"))


@pytest.mark.parametrize("changes, message", [
    ({"counts": {"missing": 3}}, "not finished, 3 of its 2 points"), ({"winner": None}, "has no winner"),
    ({"winner": {"point": 0}}, "sweep.json: is damaged .*lacks 'best_error'.*an older version"),
    ({"counts": None}, "sweep.json: is damaged")])
def test_searches_without_a_winner(write_result, changes, message):
    with pytest.raises(DBNError, match=message):
        table1.main(smoke(write_result(**changes), "--from-sweep"))


def test_a_search_damaged_in_every_way(swept):
    """Whoever takes the winner is told, or gets settings that a network can have."""
    run = {"dataset": "synthetic", "profile": "smoke", "seed": 0, "repeats": 1, **json.loads(
        (swept / "sweep.json").read_text())["settings"]}
    path, plan = swept / "sweep.json", swept / "sweep" / "plan.json"
    split = Run(Corpora(parse("", smoke(swept))), 0).split

    def take():
        settings, about = read_winner(swept, "search", run)
        TrainingSettings(**{name: value for name, value in settings.items() if name != "scaling"})
        assert isinstance(about["point"], int) and 0 <= about["best_error"] <= 1
        winner_elsewhere(swept)

    assert assert_noticed(path, [*damaged_json(path.read_text())][::3], take) > 50
    assert assert_noticed(plan, damaged_json(plan.read_text()), lambda: check_songs(swept, "search", split)) > 100


@pytest.mark.parametrize("content", ["{", "[]", "\xff"])
def test_damaged_result(tmp_path, content):
    (tmp_path / "sweep.json").write_bytes(content.encode("latin-1"))
    with pytest.raises(DBNError, match="sweep.json: is damaged(.|\n)*experiments.sweep"):
        table1.main(smoke(tmp_path, "--from-sweep"))


@pytest.fixture(scope="module")
def own_search(smoke_run, tmp_path_factory):
    """A folder of somebody's songs, two classes of six, and results with a real search on it, of one point."""
    base = tmp_path_factory.mktemp("own")
    for genre in ("blues", "metal"):
        shutil.copytree(smoke_run / "corpus" / "genres" / genre, base / "music" / genre,
                        ignore=shutil.ignore_patterns("*.json"))
    options = parse("", of_folder(base / "out", base / "music", "--sweep-points", "1", "--sweep-halving", "0",
                                  "--hidden-layers-sizes", "6", "--finetune-epochs", "2"), sweep.OWN_OPTIONS)
    sweep_report.write(options, sweep.search(options, SPACE))
    return base


@pytest.fixture
def own(own_search, tmp_path):
    """A copy of it that a test may change."""
    shutil.copytree(own_search, tmp_path, dirs_exist_ok=True)
    return tmp_path


def of_folder(out, root, *arguments):
    return smoke(out, "--dataset", "folder", "--root", str(root), *arguments)


def taken(own, *arguments):
    table1.main(of_folder(own / "out", own / "music", "--from-sweep", "--finetune-epochs", "2", *arguments))


def test_the_winner_of_the_same_songs(own):
    taken(own)
    assert json.loads((own / "out" / "table1.json").read_text())["winner_of_search"]["point"] == 0


def test_the_winner_of_another_folder_is_refused(own):
    """The same names, other audio: each song is now what the next one was."""
    paths = sorted((own / "music" / "blues").iterdir())
    contents = [path.read_bytes() for path in paths]
    for path, content in zip(paths, [*contents[1:], contents[0]]):
        path.write_bytes(content)
    with pytest.raises(DBNError, match=r"its winner for other songs. What differs: frames of the corpus \(the key "
                                       r"was \w{12}, now \w{12}\): a file was added"):
        taken(own)
    assert not list((own / "out" / "seed-0").glob("dbn-*"))


def test_the_winner_before_a_song_was_added_is_refused(own):
    """The split is drawn anew: a song that the search did not train on is a training song now."""
    shutil.copy(own / "music" / "blues" / "blues.00000.wav", own / "music" / "blues" / "added.wav")
    plan = json.loads((own / "out" / "sweep" / "plan.json").read_text())
    with pytest.raises(DBNError, match="What differs: training songs: 1 here alone(.|\n)*"
                                       "experiments.sweep --profile smoke") as error:
        taken(own)
    name, = re.findall(r"here alone \(([^,)]*)\)", str(error.value))
    assert name in {"blues/added.wav", *(f"blues/blues.{i:05d}.wav" for i in range(6))} - set(plan["training songs"])
    assert not list((own / "out" / "seed-0").glob("dbn-*"))


def test_the_winner_before_a_test_song_was_added_is_refused(own, tmp_path):
    """A split from a file keeps training and validation songs; the frames tell."""
    shutil.copy(own / "music" / "blues" / "blues.00000.wav", own / "music" / "blues" / "added.wav")
    lines = (own / "out" / "seed-0" / "split.csv").read_text()
    (tmp_path / "split.csv").write_text(lines + "blues/added.wav,test\n")
    result = json.loads((own / "out" / "sweep.json").read_text())
    result["settings"]["split"] = str(tmp_path / "split.csv")
    (own / "out" / "sweep.json").write_text(json.dumps(result))
    with pytest.raises(DBNError, match="What differs: frames of the corpus"):
        taken(own, "--split", str(tmp_path / "split.csv"))


def test_another_split_under_the_same_name_is_refused(own, tmp_path):
    """A validation song of the search is a test song now: the file was changed after the search."""
    path = tmp_path / "split.csv"
    lines = (own / "out" / "seed-0" / "split.csv").read_text().splitlines()
    valid, test = (next(line for line in lines if line.endswith(part)) for part in (",valid", ",test"))
    moved = {valid: valid.replace(",valid", ",test"), test: test.replace(",test", ",valid")}
    path.write_text("\n".join(moved.get(line, line) for line in lines) + "\n")
    result = json.loads((own / "out" / "sweep.json").read_text())
    result["settings"]["split"] = str(path)
    (own / "out" / "sweep.json").write_text(json.dumps(result))
    there, here = valid.split(",")[0], test.split(",")[0]
    with pytest.raises(DBNError, match=rf"What differs: validation songs: 1 in the search alone \({there}\), 1 here "
                                       rf"alone \({here}\)\."):
        taken(own, "--split", str(path))


@pytest.mark.parametrize("damage, message", [
    (lambda path: path.unlink(), "plan.json is not there(.|\n)*experiments.sweep"),
    (lambda path: path.write_text("{"), "plan.json: is damaged"),
    (lambda path: path.write_text('{"training songs": []}'), "plan.json: is damaged")])
def test_a_search_that_does_not_say_its_songs(own, damage, message):
    damage(own / "out" / "sweep" / "plan.json")
    with pytest.raises(DBNError, match=message):
        taken(own)


def test_two_networks_are_one_too_many(write_result):
    with pytest.raises(DBNError, match="--model and --from-sweep both"):
        table4.main(smoke(write_result(), "--from-sweep", "--model", "synthetic-demo"))
