"""How many frames and epochs a budget allows for the rungs of a search."""
from dataclasses import replace

import pytest

from dbn.errors import DBNError
from dbn.training.settings import TrainingSettings
from experiments.profiles import PROFILES, SPACE
from experiments.search.rungs import cost, rungs
from experiments.search.space import Point, draw_point

GTZAN = {"train": 646_000, "valid": 258_000}
POINTS = [draw_point(SPACE, number, TrainingSettings(), "max") for number in range(50)]


def mean_cost(rung, epochs):
    return sum(cost(point, rung.n_frames, epochs) for point in POINTS) / len(POINTS)


def test_a_rung_has_three_times_the_frames_of_the_one_before():
    found = rungs(GTZAN, 474, 3, 100.0, POINTS)
    assert [rung.n_frames["train"] for rung in found] == [23_926, 71_778, 215_334, 646_000]
    assert [rung.n_frames["valid"] for rung in found] == [9_556, 28_667, 86_000, 258_000]
    assert [rung.name for rung in found] == ["rung-1", "rung-2", "rung-3", "rung-4"]


def test_few_frames_make_few_rungs():
    sizes = [[rung.n_frames["train"] for rung in rungs({"train": n, "valid": n}, 9, 3, 1e6, POINTS)]
             for n in (500, 2999, 3000, 8999, 9000, 40_000)]
    assert sizes == [[500], [2999], [1000, 3000], [3000, 8999], [1000, 3000, 9000], [1482, 4445, 13_334, 40_000]]


def test_validation_frames_are_no_fewer_than_three_thousand():
    assert [rung.n_frames["valid"] for rung in rungs({"train": 9000, "valid": 6000}, 9, 3, 1e6, POINTS)] == [
        3000, 3000, 6000]
    assert {rung.n_frames["valid"] for rung in rungs({"train": 9000, "valid": 700}, 9, 3, 1e6, POINTS)} == {700}


@pytest.mark.parametrize("seconds", [60.0, 100.0, 250.0])
def test_the_first_rung_has_the_epochs_that_its_share_of_the_budget_allows(seconds):
    first, *_ = rungs(GTZAN, 10_000, 3, seconds, POINTS)
    assert mean_cost(first, first.epochs) <= seconds / 4 < mean_cost(first, first.epochs + 1)


@pytest.mark.parametrize("seconds", [60.0, 100.0, 250.0])
def test_the_last_rung_has_epochs_for_one_point_in_forty(seconds):
    *_, last = rungs(GTZAN, 10_000, 3, seconds, POINTS)
    assert mean_cost(last, last.epochs) <= 40 * seconds / 4 < mean_cost(last, last.epochs + 1)


def test_epochs_grow_evenly_to_those_of_a_training():
    epochs = [rung.epochs for rung in rungs({"train": 15_000, "valid": 7500}, 10_000, 3, 1.0, POINTS)]
    assert epochs[0] < epochs[1] < epochs[2] and epochs[1] == pytest.approx((epochs[0] * epochs[2]) ** 0.5, abs=0.5)
    assert [rung.epochs for rung in rungs({"train": 15_000, "valid": 7500}, epochs[1] + 1, 3, 1.0, POINTS)] == [
        *epochs[:2], epochs[1] + 1]


def test_epochs_do_not_fall_where_frames_grow_fast():
    first, *_, last = rungs(GTZAN, 10_000, 20, 100.0, POINTS)
    assert first.epochs == last.epochs


def test_no_rung_has_more_epochs_than_a_training():
    assert {rung.epochs for rung in rungs(GTZAN, 40, 3, 1e6, POINTS)} == {40}


@pytest.mark.parametrize("divisor", [0, 1])
def test_without_halving_there_is_one_rung_of_everything(divisor):
    rung, = rungs(GTZAN, 474, divisor, 1e-3, POINTS)
    assert (rung.n_frames, rung.epochs) == (GTZAN, 474)


def test_a_budget_without_room_for_an_epoch_is_refused():
    with pytest.raises(DBNError, match=r"--sweep-seconds 0\.01: one epoch of the first of 4 rungs, on 23,926 frames, "
                                       r"takes .* s a point: give .* or more") as error:
        rungs(GTZAN, 474, 3, 0.01, POINTS)
    least = float(str(error.value).split("give ")[1].split()[0])
    assert rungs(GTZAN, 474, 3, least, POINTS)[0].epochs >= 1
    with pytest.raises(DBNError):
        rungs(GTZAN, 474, 3, 0.97 * least, POINTS)


def test_cost_is_of_every_frame_weight_and_epoch():
    narrow = Point("narrow", 0, TrainingSettings(hidden_layers_sizes=(50,), pretrain_epochs=0), "max")
    wide = replace(narrow, settings=replace(narrow.settings, hidden_layers_sizes=(500, 500)))
    pretrained = replace(narrow, settings=replace(narrow.settings, pretrain_epochs=5))
    assert cost(narrow, GTZAN, 10) == pytest.approx(10 * cost(narrow, GTZAN, 1))
    assert cost(wide, GTZAN, 10) > 10 * cost(narrow, GTZAN, 10)
    assert cost(pretrained, GTZAN, 10) - cost(narrow, GTZAN, 10) == pytest.approx(cost(pretrained, GTZAN, 0))
    assert cost(narrow, GTZAN, 0) == 0


def test_the_paper_s_search_is_of_three_hours_on_two_cores():
    profile = PROFILES["paper"]
    assert profile.sweep_points * profile.sweep_seconds / 2 <= 3 * 3600
