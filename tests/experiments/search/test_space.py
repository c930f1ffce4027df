"""The points that the search draws, and the frames that it trains them on."""
import threading
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from numba.core import event

import dbn.training.epochs
from dbn.audio.scaling import Scaling
from dbn.errors import DBNError
from dbn.training.epochs import Graph
from dbn.training.settings import TrainingSettings
from experiments.profiles import SPACE, Choice, LogUniform
from experiments.search import worker as train_points
from experiments.search.inputs import chosen_frames, make_inputs, open_inputs
from experiments.search.pool import workers
from experiments.search.space import draw_point
from experiments.steps.options import parse
from experiments.steps.pipeline import Corpora, Run

BASE = TrainingSettings(finetune_epochs=27, seed=5)


def points(n, space=SPACE, base=BASE):
    return [draw_point(space, number, base, "max") for number in range(n)]


def test_points_lie_in_the_protocol_s_space():
    for point in points(300):
        settings = point.settings
        assert 1 <= len(settings.hidden_layers_sizes) <= 4 and len(set(settings.hidden_layers_sizes)) == 1
        assert settings.hidden_layers_sizes[0] in (25, 50, 100, 200, 500)
        assert 1e-4 <= settings.pretrain_lr <= 1e-1 and 1e-3 <= settings.finetune_lr <= 1
        assert settings.pretrain_epochs in (0, 1, 2, 5, 10) and settings.batch_size in (10, 20, 50, 100, 200)
        assert (point.scaling == "standardize") == (settings.visible == "gaussian")
        assert settings.output in ("softmax", "sigmoid")
        untouched = {name: getattr(settings, name) for name in ("seed", "finetune_epochs", "k", "patience")}
        assert untouched == {"seed": 5, "finetune_epochs": 27, "k": 1, "patience": 75}


def test_every_value_is_drawn_as_often_as_the_others():
    drawn = points(1000)
    assert min(Counter(point.scaling for point in drawn).values()) > 200
    assert min(Counter(point.settings.batch_size for point in drawn).values()) > 150
    decades = np.floor(np.log10([point.settings.pretrain_lr for point in drawn]))
    assert {-4: True, -3: True, -2: True} == {decade: n > 280 for decade, n in Counter(decades.tolist()).items()}


def test_a_point_depends_on_seed_and_number_alone():
    assert points(7) == points(20)[:7]
    assert len({str(point.as_json()) for point in points(20)}) == 20
    others = points(20, base=replace(BASE, seed=6))
    assert not {point.settings.pretrain_lr for point in points(20)} & {point.settings.pretrain_lr for point in others}


def test_what_the_space_does_not_name_is_the_profile_s():
    point = draw_point({"k": Choice(3), "finetune_lr": LogUniform(0.2, 0.2)}, 0, BASE, "log")
    assert point.settings == replace(BASE, k=3, finetune_lr=0.2) and point.scaling == "log"


def test_rectified_units_are_drawn_without_pretraining():
    space = {"activation": Choice("sigmoid", "relu"), "pretrain_epochs": Choice(1, 5)}
    drawn = [draw_point(space, number, BASE, "minmax").settings for number in range(20)]
    assert {(point.activation, point.pretrain_epochs > 0) for point in drawn} == {("sigmoid", True), ("relu", False)}


@pytest.mark.parametrize("space", [{"units_per_layer": Choice(5)}, {"seed": Choice(1, 2)}, {"visible": Choice("x")},
                                   {"finetune_epochs": Choice(9)}])
def test_a_name_that_is_no_setting_is_refused(space):
    with pytest.raises(DBNError, match=rf"profiles\.py: the search space names {next(iter(space))}; it may"):
        draw_point(space, 0, BASE, "max")


def test_a_value_that_a_setting_cannot_have_is_refused():
    with pytest.raises(DBNError, match="batch_size is 0"):
        draw_point({"batch_size": Choice(0)}, 0, BASE, "max")


@pytest.fixture
def run(smoke_run):
    return Run(Corpora(parse("", ["--profile", "smoke", "--jobs", "1", "--out", str(smoke_run)])), 0)


def test_inputs_are_the_chosen_frames_as_table_1_scales_them(run, tmp_path):
    chosen = chosen_frames(run, {"train": 500, "valid": run.songs("valid").n_frames})
    assert len(set(chosen["train"])) == 500 and chosen["train"].max() < run.songs("train").n_frames
    np.testing.assert_array_equal(chosen["valid"], np.arange(run.songs("valid").n_frames))
    make_inputs(tmp_path / "inputs", run, ["log", "standardize"], chosen)
    for kind in ("log", "standardize"):
        training = run.songs("train")
        x = np.concatenate([x for x, _ in training.blocks(1000)])
        scaling = Scaling(kind).fit([x])
        train_set, valid_set = open_inputs(tmp_path / "inputs", kind)
        (rows, labels), = train_set.blocks()
        np.testing.assert_allclose(rows, scaling.transform(x)[chosen["train"]], rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(labels, training.labels[chosen["train"]])
        assert valid_set.n_frames == run.songs("valid").n_frames


def test_the_chosen_frames_depend_on_the_seed(run):
    limits = {"train": 100, "valid": 100}
    again, other = Run(run.corpora, 0), Run(run.corpora, 1)
    np.testing.assert_array_equal(chosen_frames(run, limits)["train"], chosen_frames(again, limits)["train"])
    assert set(chosen_frames(run, limits)["train"]) != set(chosen_frames(other, limits)["train"])


def test_the_frames_of_a_rung_are_among_those_of_the_next(run):
    few, more = (chosen_frames(run, {"train": n, "valid": n // 2}) for n in (100, 300))
    assert len(few["train"]) == 100 and set(few["train"]) < set(more["train"])
    assert len(few["valid"]) == 50 and set(few["valid"]) < set(more["valid"])


def test_every_graph_is_compiled_once_not_every_point(monkeypatch):
    """Ten for the whole space: fine-tuning of 1 to 4 layers with two outputs, pre-training of two kinds of units."""
    compiled = []
    monkeypatch.setattr(train_points, "results", lambda function, tasks: (compiled.append(list(tasks)), [])[1])
    monkeypatch.setattr(train_points, "end_loky_workers", lambda: compiled.append("ended"))
    train_points.compile_first(points(200))
    first, others, ended = compiled
    assert ended == "ended"
    assert len(first) == 1 and sorted(first + others) == sorted(
        [Graph(n_layers=n, output=output) for n in (1, 2, 3, 4) for output in ("sigmoid", "softmax")]
        + [Graph(visible=visible) for visible in ("bernoulli", "gaussian")])


def test_training_finds_its_graphs_compiled(run, tmp_path, monkeypatch):
    """What is compiled beforehand is all that a point asks for."""
    monkeypatch.setattr(dbn.training.epochs, "_made", threading.local())
    space = {"layers": Choice(2), "units": Choice(3), "pretrain_epochs": Choice(1),
             "inputs": Choice(("max", "gaussian"))}
    point = draw_point(space, 0, replace(BASE, finetune_epochs=1), "max")
    make_inputs(tmp_path / "inputs", run, ["max"], chosen_frames(run, {"train": 50, "valid": 20}))
    with workers(1):
        train_points.compile_first([point])
    made = set(dbn.training.epochs._made.__dict__)
    with event.install_recorder("numba:compile") as recorder:
        record = train_points.train_point(tmp_path, tmp_path / "inputs", point, 10, "key", "start")
    assert record["status"] == "finished" and not recorder.buffer
    assert set(dbn.training.epochs._made.__dict__) == made and len(made) == 3
