"""The questions: what their variants change, that their numbers are what the systems say, and what is said of them."""
import importlib
import json
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from dbn.audio import FrameSet
from dbn.errors import DBNError
from dbn.evaluation.stats import holm, mcnemar_exact
from dbn.trained.model import load_model
from experiments import table1, table3
from experiments.questions import __main__ as all_questions
from experiments.questions import pooling, recipes
from experiments.steps import features, pipeline, question
from experiments.steps.judging import Judge, SplitSongs
from experiments.steps.options import parse
from experiments.steps.pipeline import Corpora, Run
from experiments.steps.question import MEASURES, Variant, answer_text
from experiments.table3 import window_examples
from small_questions import arguments, run_of

FOLDER = Path(all_questions.__file__).parent

COSTS = ("epoch_seconds", "best_seconds", "training_bytes", "peak_bytes")
NAMES = ("pca", "pooling", "context", "subsets", "minibatch", "pretraining", "later", "recipes")


@pytest.fixture(scope="module")
def smoke_run(smoke_run, tmp_path_factory):
    """A copy, in which networks may be trained."""
    return shutil.copytree(smoke_run, tmp_path_factory.mktemp("questions") / "smoke")


@pytest.fixture(scope="module")
def asked(smoke_run):
    """The answer to one question, and the arguments that gave it."""
    pooling.main(arguments(smoke_run))
    return json.loads((smoke_run / "pooling.json").read_text()), arguments(smoke_run)


def test_numbers_are_what_the_networks_say(asked, smoke_run):
    """Recomputed from the model files: the networks' decisions, the accuracies, differences, p-values and costs."""
    result, _ = asked
    first, *others = result["rows"]
    assert [row["name"] for row in result["rows"]] == ["as in the profile", "maxima of 8 frames",
                                                       "means and variances of 32 frames"]
    [songs] = result["test_songs"]
    correct = {name: np.array(list(text)) == "1" for name, text in songs["correct"].items()}
    for row, variant in zip(result["rows"], result["variants"]):
        run = Run(Corpora(Variant(**variant).of(parse("", arguments(smoke_run)))), 0)
        model = load_model(run.network_folder / "model.npz")
        predicted = [model.predict_proba(x).mean(axis=0).argmax() for _, x in run.songs("test").songs()]
        np.testing.assert_array_equal(np.array(predicted) == run.songs("test").segment_labels,
                                      correct[f"{row['name']}, network"])
        assert row["training_bytes"] == 4 * run.songs("train").n_frames * model.weights[0].shape[0]
        assert row["valid_error"] == model.about["best_error"]
        for measure, of in MEASURES.items():
            ours, base = (correct[f"{name}, {measure}"] for name in (row["name"], first["name"]))
            assert row[f"{of}accuracy"] == ours.mean()
            if row is not first:
                assert row[f"{of}minus"] == pytest.approx(ours.mean() - base.mean(), abs=1e-12)
                assert row[f"{of}minus_ci95"][0] <= row[f"{of}minus"] <= row[f"{of}minus_ci95"][1]
                assert row[f"{of}p"] == mcnemar_exact(ours, base)
    for of in MEASURES.values():
        assert [row[f"{of}p_holm"] for row in others] == list(holm([row[f"{of}p"] for row in others]))
        assert first[f"{of}p"] is first[f"{of}minus"] is None
    assert others[0]["training_bytes"] < first["training_bytes"] / 7
    assert result["command"].startswith("python -m experiments.questions.pooling --profile smoke")


def test_nothing_is_made_twice(asked, smoke_run, monkeypatch):
    result, again = asked
    for name in ("fit_model", "label_songs"):
        monkeypatch.setattr(pipeline, name, None)
    monkeypatch.setattr(question, "choose", None)
    pooling.main(again)
    repeated = json.loads((smoke_run / "pooling.json").read_text())
    assert [repeated[name] for name in ("rows", "answers")] == [result[name] for name in ("rows", "answers")]
    assert (smoke_run / "pooling.png").exists() and result["answers"][0] in (smoke_run / "pooling.md").read_text()


@pytest.mark.parametrize("name", NAMES)
def test_variants_are_different_systems_that_can_be(smoke_run, name):
    """Each by its own name, none of them the profile's own system."""
    script = importlib.import_module(f"experiments.questions.{name}")
    options = parse("", arguments(smoke_run), getattr(script, "OWN_OPTIONS", None))
    variants = script.VARIANTS(options) if callable(script.VARIANTS) else script.VARIANTS
    names = {variant.name for variant in variants}
    assert len(names) == len(variants) >= (3 if name == "recipes" else 9)
    assert all({*variant.among, *filter(None, [variant.against])} <= names | {""} for variant in variants)
    trained = [variant for variant in variants if not variant.among and not variant.has_mfccs]
    profiles = [variant.of(options).profile for variant in trained]
    assert options.profile not in profiles and len({str(profile) for profile in profiles}) == len(trained)


def test_songs_of_a_share_are_those_of_a_larger_one_and_of_every_class(smoke_run):
    songs = [run_of(smoke_run, "--train-songs", str(share)).labelled_songs for share in (0.01, 0.4, 0.7, 1)]
    assert [len(names) for names in songs] == [10, 10, 20, 30]  # of three training songs a class
    assert all(set(fewer) <= set(more) for fewer, more in zip(songs, songs[1:]))
    assert len({name.split(".")[0] for name in songs[0]}) == 10
    assert songs[-1] == list(run_of(smoke_run).split.train)
    assert songs[0] != sorted(songs[-1])[::3]  # not merely the first of each class


def test_a_row_may_be_compared_with_another_than_the_first():
    rng = np.random.default_rng(0)
    songs = {f"song {i}": "" for i in range(60)}
    judge = Judge([SplitSongs(seed, tuple(songs)[seed * 20:][:20], 30) for seed in (0, 1, 2)], songs)
    answers = {name: [{"correct": {measure: (rng.random(20) < share).tolist() for measure in MEASURES},
                       "valid_error": 0.5, "valid_accuracy": 0.5, "gap": None, "costs": {}} for _ in range(3)]
               for name, share in (("first", 0.9), ("base", 0.5), ("other", 0.6))}
    row = question._row(Variant("other", against="base"), answers, judge)
    mean = {name: np.mean([answer["correct"]["network"] for answer in answers[name]]) for name in answers}
    assert row["network_minus"] == pytest.approx(mean["other"] - mean["base"]) and row["against"] == "base"
    left_out = question._row(Variant("other", against="not there"), answers, judge)
    assert left_out["network_minus"] == pytest.approx(mean["other"] - mean["first"]) and left_out["against"] is None


def test_a_row_chosen_by_the_validation_songs():
    """Its costs are those of all trials."""
    answers = [{"valid_error": error, "name": name, "costs": {"epoch_seconds": 1.0, "best_seconds": seconds,
                                                              "training_bytes": 8, "peak_bytes": None}}
               for name, error, seconds in (("a", 0.4, 1.0), ("b", 0.3, 2.0), ("c", 0.3, 4.0))]
    best = question.chosen(answers)
    assert best["name"] == "b" and best["valid_error"] == 0.3
    assert best["costs"] == {"epoch_seconds": None, "best_seconds": 7.0, "training_bytes": 8, "peak_bytes": None}


def test_some_rows_of_a_table():
    """Evenly taken, with what they are compared with; a chosen row with all that it is chosen among."""
    variants = [Variant("first"), *(Variant(f"row {i}", against="base" if i == 6 else "") for i in range(8)),
                Variant("base"), Variant("best of two", among=["", "row 3"]), Variant("best", among=["row 1", "row 3"]),
                Variant("last")]
    taken = {most: [variant.name for variant in question.evenly_taken(variants, most)] for most in (3, 4, 6)}
    assert taken == {3: ["first", "row 4", "last"], 4: ["first", "row 2", "row 6", "base", "last"],
                     6: ["first", "row 1", "row 3", "row 5", "row 7", "best of two", "best", "last"]}
    assert question.evenly_taken(variants, 99) == variants


def test_chosen_rows_and_mfccs(smoke_run, monkeypatch, capsys):
    """Of two rows that whose network is better on the validation songs; MFCCs as in Table 3, where they are the same.
    """
    table3.main(arguments(smoke_run))
    monkeypatch.setattr(question, "searched_mfccs", lambda profile: {"MFCCs": profile})
    options = parse("", arguments(smoke_run, "--question-rows", "9"))
    grid = {"C": options.profile.window_C, "gamma_times_features": options.profile.window_gamma}
    variants = [Variant("hasty", {}, {"finetune_epochs": 1}), Variant("the best", among=["", "hasty"]),
                Variant("MFCCs", has_mfccs=True)]
    question.ask(options, "some", "Why?", variants, window_examples, grid)
    result = json.loads((smoke_run / "some.json").read_text())
    first, hasty, best, mfccs = result["rows"]
    assert [row["name"] for row in result["rows"]] == ["as in the profile", "hasty", "the best", "MFCCs"]
    lowest, highest = sorted([first["valid_error"], hasty["valid_error"]])
    assert best["valid_error"] == lowest < highest
    assert best["accuracy"] in (first["accuracy"], hasty["accuracy"])
    assert best["best_seconds"] == pytest.approx(first["best_seconds"] + hasty["best_seconds"])
    of_table = {row["name"]: row for row in json.loads((smoke_run / "table3.json").read_text())["rows"]}
    assert mfccs["accuracy"] == of_table["MFCCs"]["accuracy"]
    assert first["accuracy"] == of_table["All Layers"]["accuracy"]
    assert mfccs["minus"] == pytest.approx(mfccs["accuracy"] - first["accuracy"])
    assert mfccs["network_accuracy"] is mfccs["best_seconds"] is mfccs["gap"] is mfccs["valid_error"] is None
    gaps = [record["free_energy_gap"] for record in run_of(smoke_run).model.history if record.get("layer") == 1]
    assert first["gap"] == gaps[-1]


def test_each_split_chooses_among_rows_by_its_own_validation_songs(smoke_run, monkeypatch):
    """Of two seeds; what is a trial and no more is not tested, and Holm does not count it."""
    errors = {"as in the profile": (0.3, 0.6), "hasty": (0.5, 0.2)}
    right = {"as in the profile": (True, False), "hasty": (False, True)}

    def answer(run, variant, *_):
        n_songs = run.n_songs()["test"]
        return {"correct": {measure: [right[variant.name][run.seed]] * n_songs for measure in MEASURES}, "gap": None,
                "valid_error": errors[variant.name][run.seed], "valid_accuracy": 0.5, "parts": [],
                "costs": dict.fromkeys(COSTS, 1.0)}

    monkeypatch.setattr(question, "_answer", answer)
    options = parse("", arguments(smoke_run, "--question-rows", "9", "--repeats", "2"))
    variants = [Variant("hasty", {}, {"finetune_epochs": 1}, is_trial=True), Variant("best", among=["", "hasty"])]
    question.ask(options, "some", "Why?", variants, window_examples, {})
    first, hasty, best = json.loads((smoke_run / "some.json").read_text())["rows"]
    assert (first["accuracy"], hasty["accuracy"], best["accuracy"]) == (0.5, 0.5, 1.0)
    assert best["valid_error"] == pytest.approx(0.25) and best["best_seconds"] == 2.0
    assert hasty["p"] is hasty["p_holm"] is None and best["p_holm"] == best["p"] is not None


def test_all_settings_of_the_mfccs_are_tried_on_the_validation_songs(smoke_run, monkeypatch):
    """And the row's share of right validation songs is that of the best of all points of the grid."""
    offered, tried = [], []

    def choose(choices, examples, grid, jobs):
        offered.append(list(choices))
        chosen = choose_really(choices, examples, grid, jobs)
        tried.append([point["song_accuracy"] for point in chosen[-1]])
        return chosen

    choose_really = question.choose
    monkeypatch.setattr(question, "choose", choose)
    monkeypatch.setattr(features, "MFCC_SEARCH", features.MFCC_SEARCH[:3])
    options = parse("", arguments(smoke_run))
    grid = {"C": [0.001, 10.0], "gamma_times_features": [1.0]}
    question.ask(options, "tried", "Why?", [Variant("MFCCs", has_mfccs=True)], window_examples, grid)
    assert [len(names) for names in offered] == [1, 3] and list(map(len, tried)) == [2, 6]
    rows = json.loads((smoke_run / "tried.json").read_text())["rows"]
    assert [row["valid_accuracy"] for row in rows] == list(map(max, tried))
    assert all(max(of_row) > min(of_row) for of_row in tried)


def test_frames_of_a_share(smoke_run):
    run = run_of(smoke_run, "--train-share", "0.125")
    whole, part = run.songs("train"), run.labelled_frames()
    assert part.n_frames == round(whole.n_frames / 8) and part.n_segments == whole.n_segments
    rows = {row.tobytes(): label for x, y in whole.blocks() for row, label in zip(x, y)}
    found = [(row.tobytes(), label) for x, y in part.blocks() for row, label in zip(x, y)]
    assert len({row for row, _ in found}) == part.n_frames and all(rows[row] == label for row, label in found)
    assert sum(len(x) for _, x in part.songs()) == part.n_frames  # each song's are in its segment
    fewer = run_of(smoke_run, "--train-share", "0.4", "--train-songs", "0.4").labelled_frames()
    assert fewer.n_segments == 10 and fewer.n_frames <= round(0.4 * whole.n_frames)


@pytest.mark.parametrize("option, labelled, pretrained", [
    ((), 30, None), (("--train-songs", "0.4"), 10, None),
    (("--train-songs", "0.4", "--pretrain-songs", "all"), 10, 30)])
def test_what_the_network_learns_from(smoke_run, monkeypatch, option, labelled, pretrained):
    seen = {}

    class Stop(Exception):
        pass

    def note(*arguments, train_set, pretrain_set, **others):
        seen.update(train_set=train_set, pretrain_set=pretrain_set)
        raise Stop

    monkeypatch.setattr(pipeline, "fit_model", note)
    with pytest.raises(Stop):
        run_of(smoke_run, "--pretrain-epochs", "2", *option).model
    assert seen["train_set"].n_segments == labelled
    assert (seen["pretrain_set"] and seen["pretrain_set"].n_segments) == pretrained


def test_a_subset_is_what_its_frames_are():
    rng = np.random.default_rng(0)
    x, y = rng.random((50, 3), np.float32), rng.integers(4, size=50)
    whole = FrameSet(x, [(30, 45), (0, 10), (10, 12)], y[np.r_[30:45, 0:10, 10:12]])
    frames = np.array([0, 3, 14, 15, 26])
    part = whole.subset(frames)
    np.testing.assert_array_equal(next(part.blocks())[0], whole.read(frames))
    np.testing.assert_array_equal(part.labels, whole.labels[frames])
    assert [len(rows) for _, rows in part.songs()] == [3, 1, 1] and whole.n_frames == 27


def made_up(name, minus, p, seconds):
    interval = None if minus is None else [minus - 0.02, minus + 0.02]
    return {"name": name, "accuracy": 0.5, "minus": minus, "minus_ci95": interval, "p_holm": p, "against": None,
            "best_seconds": seconds}


def test_an_answer_says_what_is_better_worse_and_neither():
    rows = [made_up("first", None, None, 10.0), made_up("good", 0.1, 0.01, 20.0), made_up("bad", -0.2, 0.001, 1.0),
            made_up("vague", -0.04, 0.5, 2.0), made_up("even", 0.05, 0.5, 5.0)]
    assert answer_text(rows, "All Layers") == (
        "All Layers under Table 3's SVM, against “first”: better: good (+0.100 [+0.080, +0.120]); worse: bad (-0.200 "
        "[-0.220, -0.180]); no difference seen: vague (-0.040 [-0.060, -0.020]), even (+0.050 [+0.030, +0.070]). "
        "The quickest whose interval excludes a loss of more than 5 points is “even”, at its best epoch after 5 s for "
        "10 s.")
    rows[2]["against"] = "good"
    assert answer_text(rows, "All Layers").startswith(
        "All Layers under Table 3's SVM, each against the row that is named: worse: bad (-0.200 [-0.220, -0.180]). "
        "Others, against “first”: better: good (+0.100 [+0.080, +0.120]); no difference seen: vague (")
    many = [rows[0], *(made_up(f"row {i}", i / 100, 1.0, 20.0) for i in (3, 1, 5, 2, 4))]
    assert answer_text(many, "All Layers").endswith(
        "“first”: no difference seen: 5 rows, from row 1 (+0.010 [-0.010, +0.030]) to row 5 (+0.050 [+0.030, +0.070]).")


def test_costs_are_of_what_each_stage_saw():
    """Pre-training may see more frames than there are labels for; models of old do not say of how many."""
    history = [{"stage": "pretrain", "layer": 1, "epoch": epoch, "cost": 0.0, "seconds": 2.0} for epoch in (1, 2)]
    history += [{"stage": "finetune", "epoch": epoch, "cost": 0.0, "seconds": 1.0} for epoch in (1, 2)]
    for n_frames, seen in (({"pretrain": 600, "train": 100, "valid": 900}, 600), ({"train": 100, "valid": 900}, 100)):
        model = SimpleNamespace(history=history, scaling=SimpleNamespace(n_outputs=7), about={
            "n_frames": n_frames, "seconds": {"scaling": 0.5}, "best_epoch": 1, "peak_bytes": None})
        assert question.costs(model)["training_bytes"] == 4 * 7 * seen
        assert table1._rate([model], stage="pretrain", layer=1) == seen / 2
        assert table1._rate([model], stage="finetune") == 100


def test_what_has_to_be_said_of_a_row_is_said_first_and_stands_at_the_table(smoke_run, monkeypatch):
    """Also where the first row is free of it, and once."""
    monkeypatch.setattr(Run, "warnings", property(lambda run: [f"windows of {run.profile.window_seconds} s", "all"]))
    options = parse("", arguments(smoke_run))
    with pytest.warns() as caught:
        question.ask(options, "warned", "?", [Variant("short", {"window_seconds": 1.0})], window_examples,
                     {"C": (1.0,), "gamma_times_features": (1.0,)})
    expected = ["windows of 5.0 s", "all", "windows of 1.0 s"]
    assert [str(each.message) for each in caught][:3] == expected
    assert json.loads((smoke_run / "warned.json").read_text())["warnings"] == expected


def test_artists_are_what_is_flipped(asked):
    result, _ = asked
    judged = result["judged"] | {"unit": "artists"}
    text = question._markdown(result | {"repeats": 2, "judged": judged})
    assert "signs of the differences of the artists" in text and "of the songs," not in text


def test_an_answer_of_rows_none_of_which_is_tested():
    assert answer_text([made_up("first", None, None, 10.0), made_up("trial", 0.1, None, 1.0)], "All Layers") == ""


@pytest.mark.parametrize("option, value", [("--f-max", "4000"), ("--mfcc-window", "hamming")])
def test_an_answer_of_mfccs_is_kept_for_their_own_settings(smoke_run, monkeypatch, option, value):
    asked_for = []

    def stop(path, *_):
        asked_for.append(path)
        return {"correct": {}}

    monkeypatch.setattr(question, "kept_json", stop)
    variant = Variant("MFCCs", has_mfccs=True)
    for given in ((), (option, value), ()):
        run = Run(Corpora(parse("", arguments(smoke_run, *given))), 0)
        question._kept_answer(run, variant, None, {}, 1)
    first, other, again = asked_for
    assert first == again != other


def test_an_answer_of_networks_from_elsewhere_is_kept_for_these_songs(smoke_run, monkeypatch):
    asked_for = []
    monkeypatch.setattr(question, "kept_json", lambda path, *_: asked_for.append(path) or {"correct": {}})
    variant = Variant("networks", networks=["folder of a network"])
    run = Run(Corpora(variant.of(parse("", arguments(smoke_run)))), 0)
    run.split
    for valid in (run.split.valid, run.split.valid[1:]):
        run.split = replace(run.split, valid=valid)
        question._kept_answer(run, variant, None, {}, 1)
    assert len(set(asked_for)) == 2


def test_a_row_on_other_frames_need_not_be_of_the_search_s(smoke_run):
    options = parse("", arguments(smoke_run))
    options.winner = {"point": 1}
    assert Variant("first").of(options).winner == Variant("deep", {}, {"batch_size": 7}).of(options).winner
    assert Variant("means", {"pooling": "mean-2"}).of(options).winner is None


def test_recipes_are_compared_with_the_paper_s(smoke_run):
    with pytest.raises(DBNError, match="leave them out"):
        recipes.VARIANTS(parse("", arguments(smoke_run, "--recipe", "rectified")))


@pytest.mark.parametrize("option, value", [("train-songs", "0"), ("train-share", "1.5"), ("pretrain-songs", "none"),
                                           ("question-rows", "1"), ("pooling", "mean-1"), ("scaling", "pca")])
def test_options_that_cannot_be_meant(tmp_path, option, value):
    with pytest.raises(DBNError, match=option.split("-")[0]):
        parse("", arguments(tmp_path, f"--{option}", value))


def test_all_questions_are_answered_in_one_process(tmp_path, monkeypatch, capsys):
    there = {path.stem for path in FOLDER.glob("*.py")} - {"__init__", "__main__"}
    assert set(all_questions.NAMES) == there and len(all_questions.NAMES) == len(there)
    assert "\nQUESTIONS   := " + " ".join(all_questions.NAMES) + "\n" in (FOLDER.parents[1] / "Makefile").read_text()
    said = []
    for name in there:
        monkeypatch.setattr(importlib.import_module(f"experiments.questions.{name}"), "main",
                            lambda argv, name=name: said.append((name, argv)))
    monkeypatch.setattr(all_questions, "end_loky_workers", lambda: said.append("workers end"))
    all_questions.main(argv := arguments(tmp_path))
    assert said == [each for name in all_questions.NAMES for each in ((name, argv), "workers end")]
    with pytest.raises(SystemExit):
        all_questions.main(["--help"])
    assert "All questions" in capsys.readouterr().out
    with pytest.raises(SystemExit):  # which transfer alone has
        all_questions.main([*argv, "--other-dataset", "gtzan"])
