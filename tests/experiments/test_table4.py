"""Table 4 and Figure 3, end to end on the smoke profile: the same numbers from the audio and the library alone."""
import json
import shutil
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
from scipy.stats import wilcoxon

from damage import assert_noticed, damaged_archive, damaged_json
from dbn.audio import dft_magnitudes, load_audio
from dbn.cli.parser import main
from dbn.datasets import majorminer
from dbn.evaluation.autotag import TagResults, TagScore, evaluate_tags, train_tags
from dbn.evaluation.stats import bootstrap_interval, holm
from dbn.features.aggregate import aggregate
from dbn.features.mfcc import mfcc
from dbn.features.mim import MIMSettings, mim_features
from dbn.system.stored import kept_json
from dbn.trained.model import load_model
from dbn.trained.tagger import load_tagger
from experiments import figure3, paper, table1, table4
from experiments.steps.options import run_script
from experiments.tagging import experiment as tagging
from experiments.tagging import features as tag_features
from experiments.tagging import keep as tagger
from experiments.tagging.features import MIM, ROWS

KEYS = {"table", "dataset", "profile", "seed", "n_songs", "rows", "settings", "seconds", "made_with", "corpus",
        "skipped", "warnings"}
# 48 clips of 1.5 s, more clips an artist than tags need
SMALL = ["--n-tagged-clips", "48", "--tagged-seconds", "1.5", "--window-seconds", "0.8", "--window-hop", "0.4",
         "--min-tagged-clips", "5"]


def arguments(out, *more, jobs="1"):
    return ["--profile", "smoke", "--jobs", jobs, "--out", str(out), *SMALL, *more]


def read(out):
    return json.loads((Path(out) / "table4.json").read_text())


def files(folder):
    return {path: path.stat().st_mtime_ns for path in Path(folder).rglob("*") if path.is_file()}


def windows(x):
    return aggregate(x, 22050 / 512, 0.8, 0.4)


@pytest.fixture(autouse=True)
def no_figures_left():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def made(smoke_run):
    """A finished Table 4 beside the Table 1 of `smoke_run`."""
    table4.main(arguments(smoke_run))
    return smoke_run


@pytest.fixture(scope="module")
def root(made, tmp_path_factory):
    """The same clips as somebody's MajorMiner folder: a damaged file, a silent one, and one without audio."""
    root = tmp_path_factory.mktemp("majorminer")
    shutil.copytree(made / "tagged", root, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.json"))
    (root / "audio" / "tagged-00000.wav").write_bytes(b"RIFF")
    (root / "audio" / "tagged-00001.wav").unlink()
    return root


@pytest.fixture(scope="module")
def model_path(made):
    path, = (made / "seed-0").glob("dbn-*/model.npz")
    return path


def test_rows_are_what_the_library_gives(made, model_path):
    """Every row from the audio files and the model file, by the library's functions alone."""
    result, model = read(made), load_model(model_path)
    assert KEYS <= set(result) and [row["name"] for row in result["rows"]] == list(ROWS)
    corpus = majorminer.load(made / "tagged" / "clips.tsv", made / "tagged" / "audio")
    signals = [load_audio(clip.path) for clip in corpus.clips]
    features = {"DBN": [windows(np.hstack(model.activations(dft_magnitudes(x)))) for x in signals],
                "MIM": [mim_features(x)[None] for x in signals], "MFCCs": [windows(mfcc(x)) for x in signals]}
    assert {len(x) for x in features["DBN"]} == {2} and features["DBN"][0].shape[1] == 2 * 3 * 50
    features |= {"MIM, timbral half": [x[:, :189] for x in features["MIM"]],
                 "MIM, temporal half": [x[:, 189:] for x in features["MIM"]]}
    artists = [clip.artist for clip in corpus.clips]
    expected = {name: evaluate_tags(x, corpus.matrix, artists, n_folds=3, seed=0, names=corpus.tags, min_clips=5)
                for name, x in features.items()}
    for row in result["rows"]:
        scores = expected[row["name"]].scores
        assert row["tags"] == {score.name: score.accuracy for score in scores}
        assert (row["accuracy"], row["standard_error"]) == pytest.approx((
            np.mean(list(row["tags"].values())), np.std(list(row["tags"].values()), ddof=1) / np.sqrt(len(scores))))
        assert row["n_tags"] == len(scores) == len(corpus.tags) - len(result["left_out"])
        for score in scores:
            assert result["tags"][score.name]["folds"][row["name"]] == list(score.fold_accuracies)
            assert result["tags"][score.name]["clips"] == score.n_positive


def test_mims_parameters_are_options(made, tmp_path, model_path):
    """Other features and SVMs for MIM's rows alone; what was kept before is not taken for them."""
    for name in ("tagged", "tagging"):
        shutil.copytree(made / name, tmp_path / name)
    changes = ["--mim-mfcc", "13", "--mim-coefficients", "30", "--mim-log-modulation", "--mim-unit-norm"]
    table4.main(arguments(tmp_path, "--model", str(model_path), *changes))
    result, before = read(tmp_path), read(made)
    assert result["settings"]["mim_log_modulation"] is result["settings"]["mim_unit_norm"] is True
    corpus = majorminer.load(made / "tagged" / "clips.tsv", made / "tagged" / "audio")
    settings = MIMSettings(n_mfcc=13, n_coefficients=30, log_modulation=True)
    features = [mim_features(load_audio(clip.path), settings=settings)[None] for clip in corpus.clips]
    assert features[0].shape == (1, 13 + 13 * 14 // 2 + 4 * 30)
    expected = evaluate_tags(features, corpus.matrix, [clip.artist for clip in corpus.clips], n_folds=3, seed=0,
                             names=corpus.tags, min_clips=5, parts=(104, 120))
    for row, old in zip(result["rows"], before["rows"], strict=True):
        if row["name"] == "MIM":
            assert row["tags"] == {score.name: score.accuracy for score in expected.scores}
        assert (row["tags"] == old["tags"]) == (row["name"] in ("DBN", "MFCCs"))


def test_what_stands_beside_the_rows(made):
    rows = {row["name"]: row for row in read(made)["rows"]}
    assert {name: (row["paper"], row["paper_standard_error"]) for name, row in rows.items() if row["paper"]} == (
        paper.TABLE4) == {"DBN": (0.73, 0.02), "MIM": (0.70, 0.02)}
    assert [name for name, row in rows.items() if row["note"]] == list(ROWS[2:])
    for name, row in rows.items():
        differences = np.array(list(row["tags"].values())) - np.array(list(rows["MIM"]["tags"].values()))
        p = None if name == "MIM" else pytest.approx(wilcoxon(differences.round(12)).pvalue)
        assert row["wilcoxon_p_vs_mim"] == p
    others = [row for name, row in rows.items() if name != "MIM"]
    assert [row["wilcoxon_p_vs_mim_holm"] for row in others] == holm([row["wilcoxon_p_vs_mim"] for row in others])
    text = (made / "table4.md").read_text()
    assert f"{rows['DBN']['accuracy']:.3f} ± {rows['DBN']['standard_error']:.3f}" in text
    low, high = rows["DBN"]["difference_ci95"]
    assert f"{rows['DBN']['difference_vs_mim']:+.3f} [{low:+.3f}, {high:+.3f}]" in text
    assert "0.73 ± 0.02" in text and "67.2%" in text and "Synthetic corpus" in text and "MFCCs *" in text


def test_difference_from_mim_anew_from_the_json_alone(made):
    """Each row's accuracies, and its interval by SciPy's bootstrap of artists, from the test clips that are named."""
    result = read(made)
    artists = sorted(set(result["artists"].values()))
    tags, mim = result["tags"], {tag: about["correct"]["MIM"] for tag, about in result["tags"].items()}
    counts = np.array([[sum(result["artists"][clip] == artist for clip in about["test_clips"])
                        for about in tags.values()] for artist in artists])
    for row in result["rows"]:
        ours = {tag: about["correct"][row["name"]] for tag, about in tags.items()}
        assert row["tags"] == {tag: pytest.approx(text.count("1") / len(text)) for tag, text in ours.items()}
        if row["name"] == "MIM":
            assert row["difference_vs_mim"] is row["difference_ci95"] is None
            continue
        sums = np.array([[sum((x == "1") - (y == "1") for clip, x, y in zip(about["test_clips"], ours[tag], mim[tag])
                              if result["artists"][clip] == artist) for tag, about in tags.items()]
                         for artist in artists])
        assert row["difference_vs_mim"] == pytest.approx((sums.sum(axis=0) / counts.sum(axis=0)).mean())
        assert row["difference_ci95"] == pytest.approx(bootstrap_interval(sums, counts), abs=1e-12)
        assert row["difference_ci95_method"] == "bootstrap over artists"


def test_one_tag_has_no_standard_error(made, model_path, tmp_path):
    """There is no such number: None in the JSON, nothing in the table and the figure."""
    root = tmp_path / "root"
    shutil.copytree(made / "tagged" / "audio", root / "audio")
    # every tag but one gets a name of its own for each clip, and so is rarer
    lines = [line.split("\t") for line in (made / "tagged" / "clips.tsv").read_text().splitlines()]
    lines = [[clip, *about, tag if tag == "guitar" else f"{tag} {clip}", count] for clip, *about, tag, count in lines]
    (root / "clips.tsv").write_text("".join("\t".join(line) + "\n" for line in lines))
    options = ["--dataset", "majorminer", "--root", str(root), "--model", str(model_path), "--n-tags", "1"]
    table4.main(arguments(tmp_path / "out", *options))
    result = json.loads((tmp_path / "out" / "table4.json").read_text(), parse_constant=pytest.fail)
    assert list(result["tags"]) == ["guitar"]
    assert [row["standard_error"] for row in result["rows"]] == [None] * len(ROWS)
    text = (tmp_path / "out" / "table4.md").read_text()
    assert "nan" not in text and f"| {result['rows'][0]['accuracy']:.3f} " in text
    figure3.main(arguments(tmp_path / "out", *options))


def test_second_run_and_figure_compute_nothing_again(made, monkeypatch):
    before, kept = read(made), {path: stamp for path, stamp in files(made).items()
                                if path.parent.name in ("tagging", "audio", "tagged") or "seed-0" in path.parts}
    monkeypatch.setattr(tag_features, "features_of", lambda *_, **__: pytest.fail("computed again"))
    monkeypatch.setattr(tagging, "evaluate_tags", lambda *_, **__: pytest.fail("evaluated again"))
    monkeypatch.setattr(tagger, "trained_tagger", lambda *_, **__: pytest.fail("trained again"))
    table4.main(arguments(made))
    figure3.main(arguments(made))
    assert {path: files(made)[path] for path in kept if path.name != "split.csv"} == {
        path: stamp for path, stamp in kept.items() if path.name != "split.csv"}
    assert read(made)["rows"] == before["rows"] and read(made)["seconds"] == before["seconds"]
    assert (made / "figure3.png").read_bytes()[:4] == b"\x89PNG" and (made / "figure3.pdf").stat().st_size > 5000


def test_the_tagger_that_is_left(made, model_path, capsys):
    """Table 4's network and accuracies, and SVMs of all clips by the library alone; the command line reads it."""
    result, kept, model = read(made), load_tagger(made / "tagger.npz"), load_model(model_path)
    assert {name: (measure.accuracy, measure.n_test) for name, measure in zip(kept.names, kept.measures)} == {
        name: (accuracy, result["tags"][name]["n_test"]) for name, accuracy in result["rows"][0]["tags"].items()}
    assert kept.synthetic == ["network", "tags"]
    for ours, theirs in zip(kept.model.weights, model.weights):
        np.testing.assert_array_equal(ours, theirs)
    corpus = majorminer.load(made / "tagged" / "clips.tsv", made / "tagged" / "audio")
    features = [windows(np.hstack(model.activations(dft_magnitudes(load_audio(clip.path))))) for clip in corpus.clips]
    tags = corpus.matrix[:, [corpus.tags.index(name) for name in kept.names]]
    svms = train_tags(features, tags, [clip.artist for clip in corpus.clips], seed=0)
    for ours, theirs in zip(kept.svms, svms):
        np.testing.assert_array_equal(kept.windows[ours.support], np.concatenate(features)[theirs.support])
        np.testing.assert_array_equal(ours.coefficients, theirs.coefficients)
    assert main(["tag", str(made / "tagger.npz"), str(corpus.clips[0].path), "--json"]) == 0
    values = json.loads(capsys.readouterr().out)["values"]
    assert [values[name] for name in kept.names] == pytest.approx(
        kept.decision_values(features[0]).mean(axis=0), abs=1e-4)


def test_a_damaged_tagger_is_made_again(made):
    path = made / "tagger.npz"
    whole = path.read_bytes()
    path.write_bytes(whole[:1000])
    table4.main(arguments(made))
    assert path.read_bytes() == whole


def test_another_place_with_two_jobs_same_numbers(made, tmp_path, model_path):
    """A Table 4 of its own, --model instead of Table 1's folder."""
    table4.main(arguments(tmp_path, "--model", str(model_path), jobs="2"))
    ours, theirs = read(made), read(tmp_path)
    assert [ours[key] for key in ("rows", "tags", "left_out", "n_clips")] == (
        [theirs[key] for key in ("rows", "tags", "left_out", "n_clips")])
    assert not (tmp_path / "corpus").exists() and not (tmp_path / "seed-0").exists()


def test_another_seed_draws_other_clips_from_the_same_features(made, tmp_path, model_path, monkeypatch):
    out = tmp_path / "out"
    for name in ("tagged", "tagging"):
        shutil.copytree(made / name, out / name)
    monkeypatch.setattr(tag_features, "features_of", lambda *_, **__: pytest.fail("computed again"))
    table4.main(arguments(out, "--model", str(model_path), "--seed", "1"))
    assert read(out)["rows"] != read(made)["rows"]


def test_majorminer_with_bad_clips(made, root, model_path, tmp_path, capsys):
    """A damaged file is named, a clip without audio counted and named, the rest goes on, nothing is called synthetic
    but the network's corpus."""
    options = ["--dataset", "majorminer", "--root", str(root), "--model", str(model_path)]
    table4.main(arguments(tmp_path / "out", *options))
    result = read(tmp_path / "out")
    (skipped,) = result["skipped"]
    assert Path(skipped["file"]).name == "tagged-00000.wav"
    assert result["missing"] == ["tagged-00001"] and result["warnings"] == []
    assert result["n_clips"] == {"listed": 48, "without audio": 1, "used": 46, "of unknown artists": 0}
    assert result["dataset"] == "majorminer"
    assert result["network"]["path"] == str(model_path) and result["network"]["dataset"] == "synthetic"
    printed = capsys.readouterr().out
    assert "Without audio: 1 of 48 clips, tagged-00001" in printed and "tagged-00000.wav" in printed
    assert "genres (synthetic corpus)" in printed and "Synthetic corpus" not in printed
    assert "folds by artist" in printed


def test_three_columns_without_artists(root, model_path, tmp_path, capsys):
    shutil.copytree(root, tmp_path / "root")
    lines = [line.split("\t") for line in (root / "clips.tsv").read_text().splitlines()]
    (tmp_path / "root" / "clips.tsv").write_text("".join(f"{tag}\t{count}\tsome/where/{clip}.mp3\n"
                                                         for clip, *_, tag, count in lines))
    audio = tmp_path / "root" / "audio"
    for other in ("tagged-00001.wav", "tagged-00003.wav"):  # the first was without audio
        shutil.copy(audio / "tagged-00002.wav", audio / other)
    table4.main(arguments(tmp_path / "out", "--dataset", "majorminer", "--root", str(tmp_path / "root"), "--model",
                          str(model_path)))
    result = read(tmp_path / "out")
    assert result["n_clips"]["used"] == result["n_clips"]["of unknown artists"] == 47
    warning, = result["warnings"]
    assert warning.startswith("3 pair(s) of identical clips are not known to be by one artist")
    assert all(warning.count(f"tagged-0000{number}.mp3") == 2 for number in (1, 2, 3))
    assert "folds by clip" in (printed := capsys.readouterr().out) and "a bootstrap over clips" in printed


# --- Figure 3 ---

def scores(**accuracies):
    return TagResults(tuple(TagScore(name, value, (value - 0.1, value, value + 0.1), 0.1 / np.sqrt(3), 20, 40, (), (),
                                     ()) for name, value in accuracies.items()), ())


def test_figure3_shows_every_tag_sorted_by_the_dbn():
    results = {"DBN": scores(rock=0.6, drums=0.9, jazz=0.7), "MIM": scores(rock=0.65, drums=0.5, jazz=0.8)}
    figure = figure3.draw(results, "heading")
    axes, = figure.axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["rock (20)", "jazz (20)", "drums (20)"]
    bars = {bars.get_label().split(",")[0]: bars for bars in axes.containers if hasattr(bars, "patches")}
    assert [bar.get_width() for bar in bars["DBN"]] == [0.6, 0.7, 0.9]
    assert [bar.get_width() for bar in bars["MIM"]] == [0.65, 0.8, 0.5]
    chance, = (line for line in axes.lines if line.get_label() == "chance")
    assert set(chance.get_xdata()) == {0.5}
    (segments,) = (lines.get_segments() for lines in bars["DBN"].errorbar.lines[2])
    np.testing.assert_allclose([segment[:, 0] for segment in segments],
                               [(x - 0.1 / np.sqrt(3), x + 0.1 / np.sqrt(3)) for x in (0.6, 0.7, 0.9)])
    for bar in (*bars["DBN"], *bars["MIM"]):  # every bar is at its own tag
        assert round(bar.get_y() + bar.get_height() / 2) in range(3)


# --- what is wrong ---

BAD = {
    "genres without tags": (["--dataset", "folder", "--root", "{root}"], "has no tags"),
    "no network": (["--dataset", "majorminer", "--root", "{root}"], "experiments.table1"),
    "no such network": (["--model", "no/model.npz"], "no/model.npz"),
    "no folder": (["--dataset", "majorminer", "--root", "no/root", "--model", "{model}"], "--root no/root: there"),
    "no list": (["--dataset", "majorminer", "--root", "{root}/audio", "--model", "{model}"], "audio/clips.tsv"),
    "no audio": (["--dataset", "majorminer", "--root", "{silent}", "--model", "{model}"], "has audio"),
    "folds": (["--tag-folds", "1", "--model", "{model}"], "--tag-folds is 1"),
    "players": (["--min-players", "0", "--model", "{model}"], "--min-players"),
    "too few clips": (["--min-tagged-clips", "1000", "--model", "{model}"], "no tag can be evaluated"),
    "clips": (["--n-tagged-clips", "0", "--model", "{model}"], "--n-tagged-clips"),
    "C": (["--tag-C", "-1", "--model", "{model}"], "C is -1"),
    "window": (["--window-seconds", "0.001", "--model", "{model}"], "window"),
}


@pytest.mark.parametrize("more, named", BAD.values(), ids=BAD.keys())
def test_bad_input_ends_with_a_message(root, model_path, tmp_path, monkeypatch, capsys, more, named):
    monkeypatch.chdir(tmp_path)
    silent = tmp_path / "silent"
    (silent / "audio").mkdir(parents=True)
    shutil.copy(root / "clips.tsv", silent)
    more = [word.format(root=root, model=model_path, silent=silent) for word in more]
    small = ["--n-tagged-clips", "9", "--tagged-seconds", "1"]
    with pytest.raises(SystemExit) as exit_status:
        run_script(table4.main, arguments("out", *small, *more))
    assert exit_status.value.code == 2
    message = capsys.readouterr().err
    assert named in message and "Traceback" not in message


def test_a_damaged_cache_is_made_again(made, model_path, tmp_path, capsys):
    for name in ("tagged", "tagging"):
        shutil.copytree(made / name, tmp_path / name)
    table4.main(arguments(tmp_path, "--model", str(model_path)))
    expected = read(tmp_path)["rows"]
    for pattern in ("features-*.npz", "svms-*.json"):
        path = min((tmp_path / "tagging").glob(pattern))
        path.write_bytes(path.read_bytes()[:100])
        table4.main(arguments(tmp_path, "--model", str(model_path)))
        assert f"{path.name}: is damaged" in capsys.readouterr().err
        assert read(tmp_path)["rows"] == expected


def test_features_damaged_in_every_way(made, tmp_path):
    """Noticed, or as many windows as there were."""
    path = tmp_path / min((made / "tagging").glob("features-*.npz")).name
    shutil.copy(made / "tagging" / path.name, path)
    features, reasons, _ = tag_features.read_features(path, 48)

    def use():
        found, others, parts = tag_features.read_features(path, 48)
        assert found.keys() == features.keys() and len(others) == 48
        for name, of_clips in found.items():
            assert [len(windows) for windows in of_clips] == [len(windows) for windows in features[name]]

    assert assert_noticed(path, damaged_archive(path.read_bytes()), use) > 50


def test_answers_of_the_svms_damaged_in_every_way(made, tmp_path, capsys, monkeypatch):
    """Made again, or fit for the table."""
    for name in ("tagged", "tagging"):
        shutil.copytree(made / name, tmp_path / name)
    model, = made.glob("seed-0/*/model.npz")
    experiment = tagging.run_experiment(tagging.parse_tagging("", arguments(tmp_path, "--model", str(model))))
    paths, made_again = [], []
    monkeypatch.setattr(tagging, "kept_json", lambda path, *form: (paths.append(path), kept_json(path, *form))[1])
    monkeypatch.setattr(tagging, "evaluate_tags", lambda *_, **__: made_again.append(1) or experiment.results[MIM])

    def use():
        results, *_ = tagging.tag_results(MIM, experiment.clips, experiment.options, tmp_path / "tagging")
        assert 0 <= results.mean <= 1 and len(results.scores) == len(experiment.results[MIM].scores)
        for score in results.scores:
            assert len(score.clips) == score.n_test and 0 <= score.accuracy <= 1 and all(0 <= x for x in score.clips)

    use()
    path = paths[-1]
    for what, data in [*damaged_json(path.read_text())][::3]:
        path.write_bytes(data)
        n_before = len(made_again)
        try:
            use()
        except Exception as error:
            raise AssertionError(what) from error
        assert ("is damaged" in capsys.readouterr().err) == (len(made_again) > n_before), what
    assert len(made_again) > 100


def test_tables_of_genres_refuse_majorminer(root, tmp_path, capsys):
    with pytest.raises(SystemExit) as exit_status:
        run_script(table1.main, ["--dataset", "majorminer", "--root", str(root), "--out", str(tmp_path)])
    assert exit_status.value.code == 2 and "table4 and figure3" in capsys.readouterr().err
