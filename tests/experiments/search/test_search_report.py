"""The search's report on made-up records, and the scripts that take its winner."""
import json
import shutil

import matplotlib.pyplot as plt
import numpy as np
import pytest

from damage import assert_noticed, damaged_json
from dbn.errors import DBNError
from dbn.system.versions import versions
from experiments import report
from experiments.search import pictures as sweep_pictures
from experiments.search import report as sweep_report
from experiments.steps.options import parse
from experiments.steps.pipeline import Corpora
from search_records import RUNGS, SETTINGS, diverged, merged, record, smoke, write_records, write_report

POINTS = [record(0, [0.7, 0.5], hidden_layers_sizes=[25], finetune_lr=0.3),
          record(1, [0.6, 0.41, 0.45], hidden_layers_sizes=[200, 200], finetune_lr=0.05, output="sigmoid"),
          diverged(2, finetune_lr=0.9),
          record(3, [0.41], "halved", batch_size=100),
          record(4, [0.41, 0.43], scaling="standardize", visible="gaussian")]
PLAN = {"n_points": 7, "rungs": RUNGS}


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

def test_ranked_by_rung_then_error_then_number_and_last_without_error():
    shuffled = [merged(POINTS[i]) for i in (2, 4, 0, 3, 1)]
    assert [entry["point"] for entry in sweep_report.ranked(shuffled)] == [1, 4, 0, 3, 2]
    better = merged(record(5, [0.1], "halved"))  # than all, after fewer frames
    assert [entry["point"] for entry in sweep_report.ranked([*shuffled, better])] == [1, 4, 0, 5, 3, 2]


def test_a_point_is_what_its_last_rung_says_of_it():
    first, last = record(3, [0.5, 0.4], seconds=2.0), record(3, [0.45], seconds=7.0)
    both, alone = sweep_report.merged([first, last], 2), sweep_report.merged([first], 2)
    assert (both["best_error"], both["status"], both["stopped"]) == (0.45, "finished", "patience")
    assert (both["seconds"], both["errors"]) == (9.0, [0.4, 0.45])
    assert (alone["best_error"], alone["status"], alone["stopped"]) == (0.4, "halved", "halving")
    lost = sweep_report.merged([first, diverged(3)], 2)
    assert (lost["best_error"], lost["status"], lost["errors"]) == (None, "diverged", [0.4, None])


def test_the_papers_setting_goes_through_the_rungs():
    errors = [[0.5, 0.4, 0.3], [0.6, 0.5, 0.5], [0.7, 0.6], [0.8], [0.9]]
    points = [sweep_report.merged([record(number, [error]) for error in of_point], 3)
              for number, of_point in enumerate(errors)] + [sweep_report.merged([diverged(5)], 3)]
    sizes = {name: {"train": n, "valid": 100, "epochs": 9} for name, n in (("a", 10), ("b", 30), ("c", 90))}

    def through(*of_paper):
        paper = sweep_report.merged([record("paper", [error]) for error in of_paper], 3)
        return [(rung["train"], rung["points"], rung["went_on"], rung["paper_rank"])
                for rung in sweep_report.through_rungs(sizes, points, paper)]

    assert through(0.85, 0.55, 0.1) == [(10, 6, 3, 5), (30, 3, 2, 3), (90, 2, None, 1)]
    assert through(0.55, 0.45, 0.45) == [(10, 6, 3, 2), (30, 3, 2, 2), (90, 2, None, 2)]
    lost = sweep_report.through_rungs(sizes, points, sweep_report.merged([diverged("paper")] * 3, 3))
    assert [rung["paper_rank"] for rung in lost] == [None] * 3
    assert sweep_report.through_rungs(sizes, points, None)[0]["paper_rank"] is None


def summary(points, paper, **plan):
    return sweep_report.summary(PLAN | plan, [merged(entry) for entry in points], paper and merged(paper))


def test_summary():
    found = summary(POINTS, record("paper", [0.6, 0.44]))
    assert [(row["rank"], row["point"]) for row in found["rows"]] == [(1, 1), (2, 4), (3, 0), (4, 3), (None, 2)]
    assert found["winner"]["point"] == 1
    assert found["winner"]["settings"] == POINTS[1]["settings"] | {"finetune_epochs": 9}
    assert found["paper_setting"]["rank"] == 3  # of those in the last rung, two are better
    assert found["paper_setting"]["distance"] == pytest.approx(0.03)
    assert found["counts"] == {"finished": 3, "diverged": 1, "halved": 1, "missing": 2}
    assert [tuple(rung[name] for name in ("points", "went_on", "paper_rank")) for rung in found["rungs"]] == [
        (5, 4, 4), (4, None, 3)]
    assert (found["points_seconds"], found["points_an_hour"]) == (27.0, 3600 * 5 / 27)
    assert [row["point"] for row in found["shown"]] == [1, 4, 0, 3, None]
    assert not any("history" in row for row in found["rows"])


@pytest.mark.parametrize("better", [[], [record(0, [0.3], "halved")], [diverged(0)]],
                         ids=["first", "after a halved one", "after a diverged one"])
def test_winner_is_the_best_of_the_last_rung(better):
    found = summary([*better, record(1, [0.4]), record(2, [0.5])], None)
    assert found["winner"]["point"] == 1 and found["paper_setting"] is None


def test_no_winner_where_all_diverged():
    found = summary([diverged(0), diverged(1)], record("paper", [0.4]))
    assert found["winner"] is None and found["paper_setting"]["distance"] is None
    assert [row["rank"] for row in found["rows"]] == [None, None]


def test_only_ten_are_shown_and_only_what_was_searched():
    points = [record(i, [0.4 + i / 100], finetune_lr=0.01 * (i + 1)) for i in range(12)]
    shown = summary(points, record("paper", [0.404]))["shown"]
    assert [row["name"] for row in shown] == [*map(str, range(1, 11)), "the paper's setting (rank 2 of 13)"]
    assert set(shown[0]) == {"name", "point", "frame error", "epoch", "fine-tuning rate", "parameters", "ended by",
                             "seconds"}


def test_the_setting_beside_the_points_is_the_papers_or_not():
    paper = record("paper", [0.5])["settings"]
    assert sweep_report.called(paper | {"finetune_epochs": 3, "seed": 9}) == "the paper's setting"
    for change in ({"scaling": "log"}, {"dropout": 0.5}, {"hidden_layers_sizes": [50, 50]}):
        assert sweep_report.called(paper | change) == "the profile's setting"


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
    assert last.startswith("| the paper's setting (rank 3 of 4) |")
    for part in ("number 3 of 4",
                 "Rung 1: 5 points, 333 frames, at most 5 epochs; the paper's setting is number 4 of 6; 4 went on. "
                 "Rung 2: 4 points, 1,000 frames, at most 9 epochs; the paper's setting is number 3 of 5.",
                 "0.0300 above that of the winner, point 1", "3 reached the last rung",
                 "1 stopped before it", "1 diverged", "667 points an hour", "Synthetic",
                 "all 1,000 frames of 30 songs", "500 frames, drawn at random, of 10 validation songs",
                 "The 20 test songs were not looked at"):
        assert part in text
    for name in ("marginals", "learning"):
        assert (out / f"sweep-{name}.png").stat().st_size > 20_000
    report.main(smoke(out))
    page = (out / "report.html").read_text()
    assert "the paper's setting (rank 3 of 4)" in page and page.count("data:image/png") == 2


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
    (out / "sweep" / "rung-1" / ".point-001-0badcafe.json").write_text('{"point": 1, "sett')
    assert [row["point"] for row in write_report(out)["rows"]] == [0]


def test_nothing_to_report(out):
    write_records(out, [], record("paper", [0.5]))
    with pytest.raises(DBNError, match="no point yet(.|\n)*experiments.sweep --profile smoke"):
        write_report(out)


@pytest.mark.parametrize("content, why", [("{", "is damaged"), ("[]", "is damaged"), ("\xff", "is damaged"),
                                          (json.dumps({**POINTS[4], "best_error": "low"}), "'best_error'. is 'low'"),
                                          (json.dumps({**POINTS[4], "best_error": float("nan")}), "NaN is no number"),
                                          (json.dumps({"point": 3}), "lacks 'settings'"),
                                          (json.dumps(POINTS[4]), "parts do not fit")])
def test_damaged_record(out, content, why):
    write_records(out, POINTS)
    (out / "sweep" / "rung-1" / "point-003.json").write_bytes(content.encode("latin-1"))
    with pytest.raises(DBNError, match=f"point-003.json: .*{why}"):
        write_report(out)


def test_records_damaged_in_every_way(out, monkeypatch):
    monkeypatch.setattr(sweep_report.sweep_pictures, "marginals", lambda *_: None)
    monkeypatch.setattr(sweep_report.sweep_pictures, "learning_curves", lambda *_: None)
    write_records(out, POINTS, record("paper", [0.5]))
    path = out / "sweep" / "rung-1" / "point-003.json"
    assert assert_noticed(path, [*damaged_json(path.read_text())][::13], lambda: write_report(out)) > 20


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
    settings = entry["settings"]
    return entry | {"choices": sweep_report.choices(settings), "called": sweep_report.called(settings)}


def test_marginals_are_where_the_records_say(monkeypatch):
    points, paper = [with_choices(entry) for entry in POINTS], with_choices(record("paper", [0.44]))
    figure, axes = drawn(monkeypatch, sweep_pictures.marginals, points, paper, sweep_report.searched(POINTS), "here")
    assert set(axes) - {""} == set(sweep_report.searched(POINTS))
    rates = {line.get_label(): line.get_xydata() for line in axes["fine-tuning rate"].lines}
    assert axes["fine-tuning rate"].get_xscale() == "log"
    np.testing.assert_allclose(rates["reached the last rung"], [[0.3, 0.5], [0.05, 0.41], [0.1, 0.41]])
    np.testing.assert_allclose(rates["stopped before it"], [[0.1, 0.41]])
    np.testing.assert_allclose(rates["the paper's setting"], [[0.1, 0.44]])
    assert rates["diverged"][0, 0] == 0.9 and rates["diverged"][0, 1] > 0.5  # above all errors
    units = axes["units a layer"]
    assert [text.get_text() for text in units.get_xticklabels()] == ["25", "50", "200"]
    medians = np.concatenate([bars.get_segments() for bars in units.collections])
    np.testing.assert_allclose(sorted(medians[:, 0, 1]), [0.41, 0.41, 0.5])  # each of one error, or of two equal ones


def test_learning_curves_are_the_histories(monkeypatch):
    points = sweep_report.ranked([merged(entry) for entry in POINTS])
    paper = with_choices(record("paper", [0.6, 0.44]))
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
