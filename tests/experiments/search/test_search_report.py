"""The search's report on made-up records, and the scripts that take its winner."""
import json
import re
import shutil

import matplotlib.pyplot as plt
import numpy as np
import pytest

from dbn.errors import DBNError
from dbn.system.versions import versions
from dbn.trained.model import load_model
from dbn.training.settings import TrainingSettings
from experiments import figure1, report, sweep, table1, table2, table4
from experiments.profiles import PROFILES
from experiments.search import pictures as sweep_pictures
from experiments.search import report as sweep_report
from experiments.steps.options import parse
from experiments.steps.pipeline import Corpora, Run
from experiments.steps.winner import songs_of_plan
from small_search import SPACE

SETTINGS = {"hidden_layers_sizes": [50, 50, 50], "visible": "bernoulli", "output": "softmax", "pretrain_lr": 0.001,
            "pretrain_epochs": 5, "k": 1, "finetune_lr": 0.1, "finetune_epochs": 27, "batch_size": 20,
            "patience": None, "patience_increase": 2.0, "improvement_threshold": 0.995, "shard_frames": 700_000,
            "seed": 0, "scaling": "minmax"}


def record(point, errors=(), status="finished", seconds=3.0, best=True, **changes):
    """What the search writes of a point with these validation errors."""
    history = [{"stage": "pretrain", "layer": 1, "epoch": 1, "cost": -9.0, "seconds": 1.0}]
    history += [{"stage": "finetune", "epoch": epoch, "cost": 1.0, "valid_error": error, "seconds": 1.0}
                for epoch, error in enumerate(errors, 1)]
    has_best = best and len(errors) > 0
    return {"point": point, "settings": SETTINGS | changes, "seed": 0, "status": status,
            "stopped": {"finished": "patience", "halved": "halving"}.get(status), "epochs": len(errors),
            "error": "the cost is no longer a number" if status == "diverged" else None,
            "best_error": min(errors) if has_best else None,
            "best_epoch": int(np.argmin(errors)) + 1 if has_best else None, "history": history, "seconds": seconds,
            "versions": {"numpy": "2.4"}, "n_parameters": 26_000 if has_best else None}


def diverged(point, **changes):
    return record(point, [0.9], "diverged", best=False, **changes)


POINTS = [record(0, [0.7, 0.5], hidden_layers_sizes=[25], finetune_lr=0.3),
          record(1, [0.6, 0.41, 0.45], hidden_layers_sizes=[200, 200], finetune_lr=0.05, output="sigmoid"),
          diverged(2, finetune_lr=0.9),
          record(3, [0.41], "halved", batch_size=100),
          record(4, [0.41, 0.43], scaling="standardize", visible="gaussian")]


def write_records(out, points, paper=None, n_points=None):
    (out / "sweep" / "points").mkdir(parents=True)
    (out / "sweep" / "plan.json").write_text(json.dumps({"n_points": n_points or len(points)}))
    for entry in [*points, *([paper] if paper else [])]:
        name = entry["point"] if entry is paper else f"point-{entry['point']:03d}"
        (out / "sweep" / "points" / f"{name}.json").write_text(json.dumps(entry))


def smoke(out, *arguments):
    return ["--profile", "smoke", "--jobs", "1", "--out", str(out), *arguments]


def write_report(out, *arguments):
    return sweep_report.write(parse("", smoke(out, *arguments)), out / "sweep")


@pytest.fixture
def out(smoke_run, tmp_path):
    """A results folder with the smoke profile's corpus and frames, and nothing else."""
    for name in ("corpus", "frames"):
        shutil.copytree(smoke_run / name, tmp_path / name)
    return tmp_path


@pytest.fixture(autouse=True)
def no_figures_left():
    yield
    plt.close("all")


# --- the ranking ---

def test_ranked_by_error_then_number_and_last_without_error():
    shuffled = [POINTS[i] for i in (2, 4, 0, 3, 1)]
    assert [entry["point"] for entry in sweep_report.ranked(shuffled)] == [1, 3, 4, 0, 2]


def test_summary():
    found = sweep_report.summary(7, POINTS, record("paper", [0.6, 0.44]))
    assert [(row["rank"], row["point"]) for row in found["rows"]] == [(1, 1), (2, 3), (3, 4), (4, 0), (None, 2)]
    assert found["winner"]["point"] == 1 and found["winner"]["settings"] == POINTS[1]["settings"]
    assert found["paper_setting"]["rank"] == 4  # three are better
    assert found["paper_setting"]["distance"] == pytest.approx(0.03)
    assert found["counts"] == {"finished": 3, "diverged": 1, "halved": 1, "missing": 2}
    assert (found["points_seconds"], found["points_an_hour"]) == (15.0, 1200.0)
    assert [row["point"] for row in found["shown"]] == [1, 3, 4, 0, None]
    assert not any("history" in row for row in found["rows"])


@pytest.mark.parametrize("better", [[], [record(0, [0.3], "halved")], [diverged(0)]],
                         ids=["first", "after a halved one", "after a diverged one"])
def test_winner_is_the_best_that_was_trained_to_its_end(better):
    found = sweep_report.summary(3, [*better, record(1, [0.4]), record(2, [0.5])], None)
    assert found["winner"]["point"] == 1 and found["paper_setting"] is None


def test_no_winner_where_all_diverged():
    found = sweep_report.summary(2, [diverged(0), diverged(1)], record("paper", [0.4]))
    assert found["winner"] is None and found["paper_setting"]["distance"] is None
    assert [row["rank"] for row in found["rows"]] == [None, None]


def test_only_ten_are_shown_and_only_what_was_searched():
    points = [record(i, [0.4 + i / 100], finetune_lr=0.01 * (i + 1)) for i in range(12)]
    shown = sweep_report.summary(12, points, record("paper", [0.404]))["shown"]
    assert [row["name"] for row in shown] == [*map(str, range(1, 11)), "the paper's setting (rank 2)"]
    assert set(shown[0]) == {"name", "point", "frame error", "epoch", "fine-tuning rate", "parameters", "ended by",
                             "seconds"}


def test_choices():
    chosen = sweep_report.choices(SETTINGS | {"hidden_layers_sizes": [50, 50, 50]})
    assert (chosen["layers"], chosen["units a layer"], chosen["inputs"]) == (3, 50, "minmax, bernoulli")
    assert sweep_report.choices(SETTINGS | {"hidden_layers_sizes": [100, 50]})["units a layer"] == "100-50"
    assert sweep_report.searched(POINTS) == ["layers", "units a layer", "inputs", "outputs", "fine-tuning rate",
                                             "minibatch"]


# --- the files ---

def test_everything_is_written(out, capsys):
    write_records(out, POINTS, record("paper", [0.6, 0.44]))
    result = write_report(out)
    written = json.loads((out / "sweep.json").read_text())
    assert all(written[name] == result[name] for name in ("rows", "winner", "paper_setting", "counts", "shown"))
    assert (written["table"], result["n_songs"]) == ("sweep", {"train": 30, "valid": 10, "test": 20})
    text = (out / "sweep.md").read_text()
    assert text.strip() in capsys.readouterr().out
    lines = text.splitlines()
    first, = (line for line in lines if line.startswith("| 1 "))
    assert [cell.strip() for cell in first.split("|")[2:8]] == ["1", "0.41", "2", "2", "200", "minmax, bernoulli"]
    last = [line for line in lines if line.startswith("| ")][-1]
    assert last.startswith("| the paper's setting (rank 4) |")
    for part in ("number 4 of 6", "0.0300 above that of the winner, point 1", "3 trained to their end",
                 "1 stopped early by successive halving", "1 diverged", "1,200 points an hour", "Synthetic",
                 "1,000 frames, drawn at random, of 30 songs", "500 frames, drawn at random, of 10 validation songs",
                 "The 20 test songs were not looked at"):
        assert part in text
    for name in ("marginals", "learning"):
        assert (out / f"sweep-{name}.png").stat().st_size > 20_000
    report.main(smoke(out))
    page = (out / "report.html").read_text()
    assert "the paper's setting (rank 4)" in page and page.count("data:image/png") == 2


def test_the_corpus_and_the_versions_of_the_points_stand_in_the_result(out):
    points = [entry | {"versions": {"numpy": "2.3" if number == 3 else "2.2"}} for number, entry in enumerate(POINTS)]
    write_records(out, points, record("paper", [0.44]))
    result = write_report(out)
    assert result["corpus"] == Corpora(parse("", smoke(out))).about and result["warnings"] == []
    now = versions()["numpy"]
    assert result["made_with"]["numpy"] == {now: ["frames", "sweep"], "2.2": ["points"], "2.3": ["points"],
                                            "2.4": ["points"]}
    assert result["made_with"]["blas"] == {versions()["blas"]: ["frames", "sweep"], "not recorded": ["points"]}


@pytest.mark.parametrize("points, paper", [([diverged(0), diverged(1, finetune_lr=0.5)], diverged("paper")),
                                           ([record(0, [0.5])], None)], ids=["all diverged", "one point alone"])
def test_little_to_report(out, points, paper):
    write_records(out, points, paper, n_points=3)
    result = write_report(out)
    assert "1 not done yet" in (out / "sweep.md").read_text() or len(points) == 1
    assert (result["winner"] is None) == (paper is not None)
    assert (out / "sweep-learning.png").exists() and (out / "sweep-marginals.png").exists()


def test_failures_are_named(out):
    write_records(out, [record(0, [0.5]), record(1, status="failed") | {"error": "MemoryError: no room"}])
    write_report(out)
    assert "1 failed. Point 1 failed with “MemoryError: no room”." in (out / "sweep.md").read_text()


def test_what_a_killed_worker_has_left_is_no_record(out):
    write_records(out, [record(0, [0.5])])
    (out / "sweep" / "points" / ".point-001-0badcafe.json").write_text('{"point": 1, "sett')
    assert [row["point"] for row in write_report(out)["rows"]] == [0]


def test_nothing_to_report(out):
    write_records(out, [], record("paper", [0.5]))
    with pytest.raises(DBNError, match="no point yet(.|\n)*experiments.sweep --profile smoke"):
        write_report(out)


@pytest.mark.parametrize("content, why", [("{", "is damaged"), ("[]", "is damaged"), ("\xff", "is damaged"),
                                          (json.dumps({**POINTS[0], "best_error": "low"}), "best_error is 'low'"),
                                          (json.dumps({**POINTS[0], "best_error": float("nan")}), "best_error is nan"),
                                          (json.dumps({"point": 0}), "settings, status.* not there")])
def test_damaged_record(out, content, why):
    write_records(out, POINTS)
    (out / "sweep" / "points" / "point-003.json").write_bytes(content.encode("latin-1"))
    with pytest.raises(DBNError, match=f"point-003.json: .*{why}"):
        write_report(out)


# --- the pictures ---

def drawn(monkeypatch, draw, *arguments):
    """The axes of what a function would write, by their horizontal label."""
    figures = []
    monkeypatch.setattr(sweep_pictures.pictures, "save", lambda figure, path: figures.append(figure))
    draw(None, *arguments)
    figure, = figures
    figure.canvas.draw()
    return figure, {axes.get_xlabel(): axes for axes in figure.axes}


def texts_of(figure):
    """All that is to be read: legend, titles, labels, and the ticks that lie on the axes."""
    texts = [text for legend in figure.legends for text in legend.get_texts()]
    for axes in figure.axes:
        texts += [axes.title, axes.xaxis.label, axes.yaxis.label]
        for axis in (axes.xaxis, axes.yaxis):
            lowest, highest = sorted(axis.get_view_interval())
            texts += [label for place, label in zip(axis.get_majorticklocs(), axis.get_majorticklabels())
                      if lowest <= place <= highest]
    return [text for text in texts if text.get_visible() and text.get_text()]


def with_choices(entry):
    return entry | {"choices": sweep_report.choices(entry["settings"])}


def test_marginals_are_where_the_records_say(monkeypatch):
    points, paper = [with_choices(entry) for entry in POINTS], with_choices(record("paper", [0.44]))
    figure, axes = drawn(monkeypatch, sweep_pictures.marginals, points, paper, sweep_report.searched(POINTS), "here")
    assert set(axes) - {""} == set(sweep_report.searched(POINTS))
    rates = {line.get_label(): line.get_xydata() for line in axes["fine-tuning rate"].lines}
    assert axes["fine-tuning rate"].get_xscale() == "log"
    np.testing.assert_allclose(rates["trained to its end"], [[0.3, 0.5], [0.05, 0.41], [0.1, 0.41]])
    np.testing.assert_allclose(rates["stopped by halving"], [[0.1, 0.41]])
    np.testing.assert_allclose(rates["the paper's setting"], [[0.1, 0.44]])
    assert rates["diverged"][0, 0] == 0.9 and rates["diverged"][0, 1] > 0.5  # above all errors
    units = axes["units a layer"]
    assert [text.get_text() for text in units.get_xticklabels()] == ["25", "50", "200"]
    medians = np.concatenate([bars.get_segments() for bars in units.collections])
    np.testing.assert_allclose(sorted(medians[:, 0, 1]), [0.41, 0.41, 0.5])  # each of one error, or of two equal ones


def test_learning_curves_are_the_histories(monkeypatch):
    points, paper = sweep_report.ranked(POINTS), record("paper", [0.6, 0.44])
    figure, axes = drawn(monkeypatch, sweep_pictures.learning_curves, points, paper, 2, "here")
    curves = {line.get_label(): line for line in axes["epoch of fine-tuning"].lines}
    np.testing.assert_allclose(curves["1: point 1"].get_xydata(), [[1, 0.6], [2, 0.41], [3, 0.45]])
    np.testing.assert_allclose(curves["the paper's setting"].get_xydata(), [[1, 0.6], [2, 0.44]])
    assert curves["the paper's setting"].get_color() == "black"
    assert sum(str(line.get_color()) == "0.8" for line in axes["epoch of fine-tuning"].lines) == 3


@pytest.mark.parametrize("kind", ["marginals", "learning"])
def test_no_text_lies_on_another(monkeypatch, kind):
    rng = np.random.default_rng(0)
    inputs = [("max", "bernoulli"), ("minmax", "bernoulli"), ("log", "bernoulli"), ("standardize", "gaussian")]
    points = []
    for i in range(40):
        scaling, visible = inputs[i % 4]
        points.append(with_choices(record(
            i, list(rng.uniform(0.3, 0.9, 40)), hidden_layers_sizes=[25 * (1 + i % 5)] * (1 + i % 4), visible=visible,
            finetune_lr=float(10 ** rng.uniform(-3, 0)), scaling=scaling, batch_size=10 * (1 + i % 5))))
    paper = with_choices(record("paper", [0.5, 0.4]))
    if kind == "marginals":
        figure, _ = drawn(monkeypatch, sweep_pictures.marginals, points, paper, sweep_report.searched(points), "here")
    else:
        figure, _ = drawn(monkeypatch, sweep_pictures.learning_curves, points, paper, 10, "here")
    boxes = [text.get_window_extent() for text in texts_of(figure)]
    assert len(boxes) > 20
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])


# --- the scripts that take the winner ---

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
    report.main(smoke(out))
    page = (out / "report.html").read_text()
    assert "the settings that won the search, point 0 of 2" in page
    assert "ours is the best of 2 drawn at random" in page
    commands = page.split("Make it again")[-1]
    assert commands.index("experiments.sweep") < commands.index("experiments.figure1")
    assert "experiments.figure1 --profile smoke --jobs 1" in commands


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
    out = write_result(settings=vars(PROFILES["smoke"]) | {"split": "own.csv", "training": None})
    options = parse("", smoke(out, "--from-sweep", "--split", "own.csv", "--seed", "2", "--repeats", "3"))
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
    ({"winner": {"point": 0}}, "sweep.json: is damaged"), ({"counts": None}, "sweep.json: is damaged")])
def test_searches_without_a_winner(write_result, changes, message):
    with pytest.raises(DBNError, match=message):
        table1.main(smoke(write_result(**changes), "--from-sweep"))


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
