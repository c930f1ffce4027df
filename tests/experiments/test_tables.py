"""The scripts of Tables 1 to 3, end to end on the smoke profile."""
import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from scipy import stats as scipy_stats

from damage import damaged_json
from dbn.audio import dft_magnitudes, load_audio
from dbn.datasets.splits import read_split
from dbn.errors import DBNError
from dbn.evaluation.stats import holm, mcnemar_exact, wilson_interval
from dbn.system.stored import kept_json
from dbn.trained.model import load_model
from experiments import paper, table1, table2, table3
from experiments.steps import comparison
from experiments.steps.judging import Judge
from experiments.steps.options import parse
from experiments.steps.pipeline import Corpora, Run

REPOSITORY = Path(__file__).parents[2]
KEYS = {"table", "dataset", "profile", "seed", "n_songs", "rows", "settings", "seconds", "made_with", "corpus",
        "skipped", "warnings"}


def script(name, *arguments, **options):
    """Start a script as a user would."""
    return subprocess.Popen([sys.executable, "-m", f"experiments.{name}", *arguments], cwd=REPOSITORY, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)


def smoke(out, *arguments):
    return ["--profile", "smoke", "--jobs", "1", "--out", str(out), *arguments]


def read(out, table):
    return json.loads((Path(out) / f"{table}.json").read_text())


def model_of(out, seed=0):
    path, = (Path(out) / f"seed-{seed}").glob("dbn-*/model.npz")
    return path


def parameters(path):
    model = load_model(path)
    return [*model.weights, *model.biases, *model.visible_biases]


def test_table1_is_what_its_parts_give(smoke_run):
    """The song accuracy, computed anew from the audio files and the model file."""
    result, model = read(smoke_run, "table1"), load_model(model_of(smoke_run))
    assert KEYS <= set(result)
    assert {row["name"]: row["paper"] for row in result["rows"] if row["paper"] is not None} == paper.TABLE1
    split = read_split(smoke_run / "seed-0" / "split.csv")
    assert result["n_songs"] == {"train": 30, "valid": 10, "test": 20}
    correct = []
    for name in split.test:
        genre = name.split(".")[0]
        frames = dft_magnitudes(load_audio(smoke_run / "corpus" / "genres" / genre / f"{name}.wav"))
        correct.append(model.classes[model.predict_proba(frames).mean(axis=0).argmax()] == genre)
    row, = (row for row in result["rows"] if row["name"] == "Classification accuracy")
    assert (row["accuracy"], row["n_test"]) == (np.mean(correct), 20)
    assert tuple(row["ci95"]) == wilson_interval(sum(correct), 20)
    text = (smoke_run / "table1.md").read_text()
    assert "synthetic" in text.lower() and f"{row['accuracy']:.3f}" in text
    assert all((smoke_run / f"table1-{picture}.png").stat().st_size > 5000 for picture in ("confusion", "learning"))


def test_second_run_makes_nothing_again(smoke_run, capsys):
    made = {path: path.stat().st_mtime_ns for folder in ("corpus", "frames", "seed-0")
            for path in (smoke_run / folder).rglob("*") if path.is_file() and path.name != "split.csv"}
    before = read(smoke_run, "table1")["rows"]
    table1.main(smoke(smoke_run))
    assert {path: path.stat().st_mtime_ns for path in made} == made
    assert read(smoke_run, "table1")["rows"] == before
    assert "Classification accuracy" in capsys.readouterr().out


def test_another_place_same_bits(smoke_run, tmp_path):
    """Same seed, same bits, in a process of its own and with two jobs."""
    process = script("table1", "--profile", "smoke", "--jobs", "2", "--out", str(tmp_path / "again"))
    log = process.communicate()[1].splitlines()
    assert log == ["synthesising", "frames", *(f"pre-training layer {n}" for n in (1, 2, 3)), "fine-tuning"]
    assert process.returncode == 0
    for ours, theirs in zip(parameters(model_of(smoke_run)), parameters(model_of(tmp_path / "again"))):
        np.testing.assert_array_equal(ours, theirs)


def test_killed_and_started_again(smoke_run, tmp_path):
    """SIGKILL during the corpus, the frames and the training; then the same bits as undisturbed."""
    out = tmp_path / "killed"
    moments = [lambda: list(out.glob("corpus/genres/*/*.wav")), lambda: list(out.glob("frames/*")),
               lambda: list(out.glob("seed-0/dbn-*"))]
    for moment in moments:
        process = script("table1", *smoke(out))
        while not moment() and process.poll() is None:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    table1.main(smoke(out))
    for ours, theirs in zip(parameters(model_of(smoke_run)), parameters(model_of(out))):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("module, paper_accuracies", [(table2, paper.TABLE2), (table3, paper.TABLE3)],
                         ids=["table2", "table3"])
def test_comparison(smoke_run, module, paper_accuracies):
    table = module.__name__.split(".")[-1]
    module.main(smoke(smoke_run))
    result = read(smoke_run, table)
    assert KEYS <= set(result)
    assert {row["name"]: row["paper"] for row in result["rows"]} == paper_accuracies
    answers, = (json.loads(path.read_text()) for path in (smoke_run / "seed-0").glob(f"{table}-*.json"))
    true = np.array(answers["true"])
    assert [name.split(".")[0] for name in read_split(smoke_run / "seed-0" / "split.csv").test] == list(true)
    mfcc_correct = true == np.array(answers["rows"]["MFCCs"]["predicted"])
    for row in result["rows"]:
        correct = true == np.array(answers["rows"][row["name"]]["predicted"])
        assert (row["accuracy"], row["n_test"]) == (correct.mean(), 20)
        assert np.mean(list(row["recall"].values())) == pytest.approx(row["accuracy"])  # two songs of every class
        expected = None if row["name"] == "MFCCs" else mcnemar_exact(correct, mfcc_correct)
        assert row["p_vs_mfcc"] == expected and row["p_resampled_t"] is None
        assert tuple(row["ci95"]) == wilson_interval(int(correct.sum()), 20)
        log = answers["rows"][row["name"]]["log"]
        best = max(log, key=lambda point: (point["song_accuracy"], point["example_accuracy"]))
        assert (row["C"], row["gamma"]) == (best["C"], best["gamma"])
    others = result["rows"][1:]
    assert [row["p_vs_mfcc_holm"] for row in others] == holm([row["p_vs_mfcc"] for row in others])
    before = (smoke_run / f"{table}.json").read_text()
    started = time.monotonic()
    module.main(smoke(smoke_run))
    assert json.loads(before)["rows"] == read(smoke_run, table)["rows"]
    assert time.monotonic() > started
    assert (smoke_run / f"{table}-confusion.png").stat().st_size > 5000


def test_every_row_of_table2_has_the_same_frames(smoke_run):
    from experiments.steps.features import FeatureSets
    from experiments.steps.options import parse
    from experiments.steps.pipeline import Corpora, Run
    run = Run(Corpora(parse("", smoke(smoke_run))), 0)
    features = FeatureSets(run)
    examples = table2.frame_examples(run, features)
    assert len(examples.train_y) == run.profile.svm_frames
    assert {len(x) for x in examples.train_x.values()} == {len(examples.train_y)}
    np.testing.assert_array_equal(np.hstack([examples.train_x[f"Layer {i}"] for i in (1, 2, 3)]),
                                  examples.train_x["All Layers"])
    train = {song.name: song for song in features.songs(run.split.train)}
    rows = np.concatenate([np.arange(song.start, song.stop) for song in train.values()])
    among = features.at(rows)["MFCCs"]
    assert all((among == frame).all(axis=1).any() for frame in examples.train_x["MFCCs"][::50])


@pytest.fixture(scope="module")
def two_seeds(smoke_run, tmp_path_factory):
    """Folder of Tables 1 and 3 of two seeds."""
    out = tmp_path_factory.mktemp("two") / "out"
    shutil.copytree(smoke_run, out)
    table1.main(smoke(out, "--repeats", "2"))
    table3.main(smoke(out, "--repeats", "2"))
    return out


def test_table1_of_two_seeds(two_seeds):
    rows = {row["name"]: row for row in read(two_seeds, "table1")["rows"]}
    seeds = [rows[f"Classification accuracy, seed {seed}"] for seed in (0, 1)]
    splits = [read_split(two_seeds / f"seed-{seed}" / "split.csv") for seed in (0, 1)]
    assert splits[0] != splits[1]
    both = rows["Classification accuracy"]
    assert both["n_test"] == 40 == sum(row["n_test"] for row in seeds)
    assert both["n_songs"] == len({*splits[0].test, *splits[1].test})
    assert both["accuracy"] == pytest.approx(np.mean([row["accuracy"] for row in seeds]))
    assert [row["ci95_method"] for row in (both, *seeds)] == ["bootstrap over artists", "Wilson", "Wilson"]
    text = (two_seeds / "table1.md").read_text()
    assert f"40 decisions on {both['n_songs']} different test songs by" in text


def test_two_seeds_anew_from_the_json_alone(two_seeds):
    """Intervals and p-values by SciPy and by every choice of signs, from what the result says of the test songs."""
    result = read(two_seeds, "table3")
    artists, seeds = result["artists"], result["test_songs"]
    for seed in seeds:
        split = read_split(two_seeds / f"seed-{seed['seed']}" / "split.csv")
        assert (tuple(seed["songs"]), seed["n_train"]) == (split.test, len(split.train))
        path, = (two_seeds / f"seed-{seed['seed']}").glob("table3-*.json")
        kept = json.loads(path.read_text())  # each seed's own decisions, and not one's for all
        for name, correct in seed["correct"].items():
            assert correct == "".join("01"[label == said] for label, said in
                                      zip(kept["true"], kept["rows"][name]["predicted"], strict=True))
    of_artist = {artist: [(i, place) for i, seed in enumerate(seeds) for place, song in enumerate(seed["songs"])
                          if artists[song] == artist] for artist in sorted(set(artists.values()))}
    assert result["judged"]["n_units"] == len(of_artist)

    def sums(name):
        return np.array([sum(seeds[i]["correct"][name][place] == "1" for i, place in decided)
                         for decided in of_artist.values()])

    counts = np.array([len(decided) for decided in of_artist.values()])
    for row in result["rows"]:
        accuracies = np.array([seed["correct"][row["name"]].count("1") / len(seed["songs"]) for seed in seeds])
        assert row["accuracies"] == pytest.approx(accuracies)
        assert row["accuracy"] == pytest.approx(sums(row["name"]).sum() / 40)
        n = len(counts)
        z = np.sqrt(n / (n - 1)) * scipy_stats.t.ppf(0.975, n - 1)
        expected = scipy_stats.bootstrap(
            (sums(row["name"]), counts), lambda s, n, axis: s.sum(axis=axis) / n.sum(axis=axis), paired=True,
            n_resamples=20_000, confidence_level=2 * scipy_stats.norm.cdf(z) - 1, random_state=0).confidence_interval
        assert row["ci95"] == pytest.approx(tuple(expected), abs=0.02)
        if row["name"] == "MFCCs":
            continue
        differences = sums(row["name"]) - sums("MFCCs")
        drawn = scipy_stats.permutation_test((differences,), np.sum, permutation_type="samples", n_resamples=20_000,
                                             random_state=0)
        assert row["p_vs_mfcc"] == pytest.approx(drawn.pvalue, abs=0.015)
        of_mfcc = np.array([seed["correct"]["MFCCs"].count("1") / len(seed["songs"]) for seed in seeds])
        d = accuracies - of_mfcc
        error = np.sqrt((1 / 2 + 20 / 30) * d.var(ddof=1))
        expected = 2 * scipy_stats.t.sf(abs(d.mean()) / error, 1) if error else None if d.any() else 1
        assert row["p_resampled_t"] == pytest.approx(expected)
    text = (two_seeds / "table3.md").read_text()
    assert "by a bootstrap over artists" in text and "corrected t-test over the splits" in text


def test_answers_kept_for_other_songs_are_refused(two_seeds, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(two_seeds, out)
    path, = (out / "seed-1").glob("table3-*.json")
    kept = json.loads(path.read_text())
    kept["true"].reverse()
    path.write_text(json.dumps(kept))
    with pytest.raises(DBNError, match="seed 1: the answers kept .* 20 test songs"):
        table3.main(smoke(out, "--repeats", "2"))


def test_folder_of_ones_own_with_a_bad_file(smoke_run, tmp_path, capsys):
    """Two classes, a split file, one damaged song: it is named, the rest goes on."""
    root = tmp_path / "music"
    for genre in ("blues", "metal"):
        shutil.copytree(smoke_run / "corpus" / "genres" / genre, root / genre,
                        ignore=shutil.ignore_patterns("*.json"))
    (root / "blues" / "broken.wav").write_bytes(b"RIFF")
    parts = ["train", "train", "valid", "valid", "test", "test"]
    lines = [f"{genre}/{genre}.{i:05d}.wav,{part}" for genre in ("blues", "metal") for i, part in enumerate(parts)]
    (tmp_path / "split.csv").write_text("\n".join(["track,part", *lines, "blues/broken.wav,test"]) + "\n")
    arguments = smoke(tmp_path / "out", "--dataset", "folder", "--root", str(root), "--split",
                      str(tmp_path / "split.csv"), "--pretrain-epochs", "0", "--finetune-epochs", "2",
                      "--hidden-layers-sizes", "8,8,8")
    table1.main(arguments)
    result = read(tmp_path / "out", "table1")
    assert result["n_songs"] == {"train": 4, "valid": 4, "test": 4}
    assert [Path(entry["file"]).name for entry in result["skipped"]] == ["broken.wav"]
    printed = capsys.readouterr().out
    assert "broken.wav" in printed and "synthetic" not in printed.lower()
    assert result["settings"]["training"]["hidden_layers_sizes"] == [8, 8, 8]


def test_a_reader_that_goes_away(smoke_run):
    process = script("table1", *smoke(smoke_run))
    process.stdout.close()
    assert process.stderr.read() == "" and process.wait(timeout=120) == 141


BAD = {
    "no root": (["--dataset", "gtzan"], "--root"),
    "root of the synthetic corpus": (["--root", "x"], "--root"),
    "no such folder": (["--dataset", "folder", "--root", "no/such"], "--root no/such: there is no such folder"),
    "no such split": (["--split", "no.csv"], "no.csv"),
    "negative rate": (["--finetune-lr", "-1"], "finetune_lr"),
    "no layers": (["--hidden-layers-sizes", "0"], "hidden_layers_sizes"),
    "text for a number": (["--batch-size", "many"], "batch-size"),
    "no jobs": (["--jobs", "0"], "--jobs"),
    "no repeats": (["--repeats", "0"], "--repeats"),
    "unknown scaling": (["--scaling", "other"], "other"),
    "unknown visible units": (["--visible", "other"], "visible"),
    "short clips": (["--clip-seconds", "-1"], "seconds"),
    "diverging rate": (["--finetune-lr", "1e30"], "finetune_lr"),
}


@pytest.mark.parametrize("arguments, named", BAD.values(), ids=BAD.keys())
def test_bad_options_end_with_a_message(smoke_run, tmp_path, monkeypatch, capsys, arguments, named):
    from experiments.steps.options import run_script
    out = tmp_path / "out"
    shutil.copytree(smoke_run, out)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as exit_status:
        run_script(table1.main, smoke(out, *arguments))
    assert exit_status.value.code == 2
    message = capsys.readouterr().err
    assert named in message and "Traceback" not in message


@pytest.mark.parametrize("songs", [None, 0, 1], ids=["no folder", "no songs", "too few"])
def test_a_root_without_songs_leaves_no_results_folder(tmp_path, monkeypatch, songs):
    monkeypatch.chdir(tmp_path)
    if songs is not None:
        for genre in ("blues", "metal"):
            (tmp_path / "music" / genre).mkdir(parents=True)
            for number in range(songs):
                (tmp_path / "music" / genre / f"{number}.wav").write_bytes(b"RIFF")
    with pytest.raises(DBNError, match="music|'blues' has 1 song"):
        table1.main(["--dataset", "folder", "--root", "music", "--jobs", "1"])
    assert not (tmp_path / "results").exists()


def test_what_a_table_keeps_damaged_is_made_again(smoke_run, tmp_path, capsys, recwarn):
    """Announced; the same numbers again."""
    out = tmp_path / "out"
    shutil.copytree(smoke_run, out)
    table3.main(smoke(out))
    expected = read(out, "table3")["rows"]
    kinds = ("seconds.json", "frames/identical-*.json", "frames/mfcc-*.json", "frames/mfcc-*.npy",
             "seed-0/table3-*.json", "frames/synthetic-*/index.json", "frames/synthetic-*/frames.npy")
    for path in [next(out.glob(kind)) for kind in kinds]:
        whole = path.read_bytes()
        for data in (b"", b"[[" + whole):
            path.write_bytes(data)
            if "mfcc" in path.name:
                next(out.glob("seed-0/table3-*.json")).unlink()  # else nobody would look
            table3.main(smoke(out))
            said = capsys.readouterr().err + "".join(str(warning.message) for warning in recwarn)
            recwarn.clear()
            assert f"{path.name}: is damaged" in said or "a damaged frame store" in said, (path.name, data[:50])
            assert read(out, "table3")["rows"] == expected and path.read_bytes() != data


def test_a_tables_answers_damaged_in_every_way(two_seeds, tmp_path, capsys):
    """Announced, or fit to make rows of."""
    path, = (two_seeds / "seed-0").glob("table3-*.json")
    text, path = path.read_text(), tmp_path / path.name
    run = Run(Corpora(parse("", smoke(two_seeds))), 0)
    classes, judge, true = run.corpora.corpus.classes, Judge.of_runs([run]), json.loads(text)["true"]
    n_announced = 0
    for what, data in [*damaged_json(text)][::3]:
        path.write_bytes(data)
        kept = kept_json(path, comparison.answers_form(classes), comparison.answers_fit)
        n_announced += kept is None
        assert (kept is None) == ("is damaged" in capsys.readouterr().err), what
        if kept is not None and kept["true"] == true:  # else the table refuses them
            for name, row in kept["rows"].items():
                assert 0 <= judge.row(name, [np.array(true) == np.array(row["predicted"])], None)["accuracy"] <= 1
    assert n_announced > 150
