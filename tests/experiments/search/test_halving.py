"""The search's decisions and its records, with errors that the test makes up instead of training."""
import json
import shutil
from concurrent.futures import CancelledError
from concurrent.futures.process import BrokenProcessPool
from types import SimpleNamespace

import numpy as np
import pytest

import dbn.system.files
from damage import assert_noticed, damaged_json
from dbn.errors import DBNError, DivergedError, TrainingError
from dbn.training.settings import TrainingSettings
from experiments.profiles import SPACE, Choice
from experiments.search import pool
from experiments.search import worker as train_points
from experiments.search.halving import Search, at_rung
from experiments.search.records import is_over, path_of, read_record, write_record
from experiments.search.rungs import Rung, cost
from experiments.search.space import Point, draw_point
from experiments.search.worker import train_point
from experiments.sweep import agree_on_plan

N_POINTS, EPOCHS = 20, 3
BASE = TrainingSettings(finetune_epochs=EPOCHS)
POINTS = [draw_point(SPACE | {"units": Choice(25, 50, 100)}, number, BASE, "max") for number in range(N_POINTS)]
PAPER = Point("paper", None, BASE, "max")
RUNGS = [Rung(f"rung-{i + 1}", {"train": 1000 * 3 ** i, "valid": 3000}, EPOCHS) for i in range(3)]
BUDGET = sum(cost(point, RUNGS[0].n_frames, EPOCHS) for point in POINTS)


class Trainer:
    """Stands in for training: errors by rung and point, and a note of every epoch that is made."""

    def __init__(self, monkeypatch):
        monkeypatch.setattr(dbn.system.files, "flush_to_disk", lambda path: None)  # hundreds of files
        rng = np.random.default_rng(0)
        self.errors = {(rung.name, point.name): np.round(rng.random(EPOCHS), 1).tolist()
                       for rung in RUNGS for point in [*POINTS, PAPER]}
        self.diverges, self.fails = {}, {}  # by rung and point: after so many epochs; an exception
        self.made = []
        monkeypatch.setattr(train_points, "open_inputs", lambda folder, kind: (None, None))
        monkeypatch.setattr(train_points, "train", self.train)

    def train(self, train_set, valid_set, n_outs, settings, directory, data_key, progress):
        """As :func:`dbn.training.loops.train`."""
        name = directory.parent.name, directory.name
        if name in self.fails:
            raise self.fails[name]
        errors = self.errors[name]
        history = [{"stage": "finetune", "epoch": i + 1, "cost": 1.0, "valid_error": error, "seconds": 0.1}
                   for i, error in enumerate(errors)]
        for epoch in range(settings.finetune_epochs):
            if self.diverges.get(name) == epoch:
                raise DivergedError(f"fine-tuning, epoch {epoch + 1}: not finite", history[:epoch])
            self.made.append((name, epoch))
        param = SimpleNamespace(get_value=lambda: np.full(3, min(errors)))
        return SimpleNamespace(dbn=SimpleNamespace(params=[param]), history=history, best_error=min(errors),
                               best_epoch=errors.index(min(errors)) + 1, stopped="epochs",
                               versions={"numpy": ["2.2", "2.3"]})


@pytest.fixture
def trainer(monkeypatch):
    return Trainer(monkeypatch)


def start(folder, points=POINTS, rungs=RUNGS, budget=BUDGET):
    """One start of the search; the records that it leaves, by rung and point."""
    for rung in rungs:
        (folder / rung.name).mkdir(parents=True, exist_ok=True)

    def train(rung, missing):
        for point in missing:
            yield point.name, train_point(folder / rung.name, None, at_rung(point, rung), 3, "key", "start")

    the_search = Search(folder, points, PAPER, rungs, budget, train)
    the_search.run()
    failed = any(record and record["status"] == "failed" for rung in the_search.records for record in rung.values())
    assert failed or the_search.expected_seconds() == 0
    found = {(rung.name, point.name): read_record(folder / rung.name, at_rung(point, rung))
             for rung in rungs for point in [*points, PAPER]}
    return {name: record for name, record in found.items() if record is not None}


def expected_names(errors, points=POINTS, budget=BUDGET):
    """Which points each rung trains: the rule written down once more."""
    names, alive = set(), list(points)
    for i, rung in enumerate(RUNGS):
        names |= {(rung.name, name) for name in [*(point.name for point in alive), "paper"]}
        if i < 2:
            order = sorted(range(len(alive)), key=lambda j: (min(errors[rung.name, alive[j].name]), alive[j].number))
            spent = np.cumsum([cost(alive[j], RUNGS[i + 1].n_frames, EPOCHS) for j in order])
            alive = [alive[j] for j in order[:max(1, np.searchsorted(spent, budget, side="right"))]]
    return names


def test_each_rung_trains_the_best_of_the_one_before_within_its_budget(trainer, tmp_path):
    records = start(tmp_path)
    assert set(records) == expected_names(trainer.errors)
    n_points = [sum(rung == f"rung-{i + 1}" and point != "paper" for rung, point in records) for i in range(3)]
    assert n_points[0] == N_POINTS > n_points[1] > n_points[2] > 1
    for name, record in records.items():
        assert (record["status"], record["stopped"], record["epochs"]) == ("finished", "epochs", EPOCHS)
        assert record["best_error"] == min(trainer.errors[name])
    for rung in RUNGS[1:]:
        spent = sum(cost(point, rung.n_frames, EPOCHS) for point in POINTS if (rung.name, point.name) in records)
        assert BUDGET / 2 < spent <= BUDGET
    assert len(trainer.made) == len(set(trainer.made)) == EPOCHS * len(records)
    assert not [path for path in tmp_path.glob("rung-*/*") if path.is_dir()]


def test_one_point_goes_on_whatever_it_costs(trainer, tmp_path):
    records = start(tmp_path, budget=1e-9)
    best = min(POINTS, key=lambda point: (min(trainer.errors["rung-1", point.name]), point.number)).name
    assert [point for rung, point in records if rung == "rung-3"] == [best, "paper"]


def test_with_one_rung_all_are_trained_to_their_end(trainer, tmp_path):
    assert len(start(tmp_path, rungs=RUNGS[:1])) == N_POINTS + 1


def test_a_second_start_does_nothing(trainer, tmp_path):
    first = start(tmp_path)
    n_made = len(trainer.made)
    assert start(tmp_path) == first and len(trainer.made) == n_made


class Killed(BaseException):
    """Stands for the end of the process."""


def test_interrupted_after_any_point_it_ends_the_same(trainer, tmp_path):
    expected = start(tmp_path / "undisturbed")
    n_epochs = len(trainer.made)
    original = train_points.write_record
    for n_records in (1, 5, 9, 14):
        trainer.made.clear()
        written = []

        def write_and_die(*arguments):
            original(*arguments)
            written.append(arguments)
            if len(written) == n_records:
                raise Killed

        folder = tmp_path / str(n_records)
        train_points.write_record = write_and_die
        try:
            for _ in range(2):
                written.clear()
                with pytest.raises(Killed):
                    start(folder)
        finally:
            train_points.write_record = original
        assert start(folder) == expected
        assert len(trainer.made) == len(set(trainer.made)) == n_epochs


def test_more_points_begin_with_the_old_ones(trainer, tmp_path):
    """Some that were stopped are among the best of the larger search, and are trained on; no other is made again.

    What the smaller one let through and the larger one does not is no longer there to be ranked.
    """
    small = start(tmp_path / "grown", POINTS[:8])
    n_made = len(trainer.made)
    expected = start(tmp_path / "at once")
    at_once = trainer.made[n_made:]
    grown = start(tmp_path / "grown")
    assert len(small) > 12 and not set(small) <= set(expected)
    assert grown == expected
    assert len(trainer.made) - n_made - len(at_once) < len(at_once)


def test_a_diverged_point_is_a_result(trainer, tmp_path):
    """In the last rung it has taken the place of another, in every start; in an earlier one it goes no further."""
    names = expected_names(trainer.errors)
    last = min(point for rung, point in names if rung == "rung-3" and point != "paper")
    first = min(point.name for point in POINTS if ("rung-2", point.name) not in names)
    trainer.diverges = {("rung-3", last): 1, ("rung-1", first): 0}
    records = start(tmp_path)
    diverged = records["rung-3", last]
    assert (diverged["status"], diverged["epochs"], diverged["best_error"]) == ("diverged", 1, None)
    assert "epoch 2: not finite" in diverged["error"]
    assert records["rung-1", first]["status"] == "diverged" and ("rung-2", first) not in records
    assert start(tmp_path) == records


def test_no_point_goes_on_where_all_diverged(trainer, tmp_path):
    trainer.diverges = {("rung-1", point.name): 0 for point in POINTS}
    assert {rung for rung, point in start(tmp_path) if point != "paper"} == {"rung-1"}


@pytest.mark.parametrize("failing", range(0, N_POINTS, 3))
def test_a_failed_point_is_tried_again_and_the_end_is_the_same(trainer, tmp_path, failing):
    expected = start(tmp_path / "undisturbed")
    name = "rung-1", f"point-{failing:03d}"
    trainer.fails = {name: MemoryError("no room for 8 GB")}
    record = start(tmp_path / "failed")[name]
    assert record["status"] == "failed" and record["error"] == "MemoryError: no room for 8 GB"
    assert record["best_error"] is None
    trainer.fails.clear()
    again = start(tmp_path / "failed")
    assert {name: again[name] for name in expected} == expected


def test_a_worker_killing_point_is_given_up(trainer, tmp_path):
    trainer.fails = {("rung-1", "point-003"): Killed()}
    for _ in range(train_points.DEATHS):
        with pytest.raises(Killed):
            start(tmp_path)
    record = start(tmp_path)["rung-1", "point-003"]
    assert record["status"] == "failed" and "died 2 times" in record["error"]


def damages(text, other):
    record = json.loads(text)
    yield from (b"", text[:-30], b"[]", b"null", b"\x00" * len(text), other)
    yield json.dumps(record | {"best_error": 2.0}).encode()
    yield json.dumps(record | {"best_error": "0.5"}).encode()
    yield json.dumps(record | {"history": record["history"][:-1]}).encode()
    yield json.dumps(record | {"status": "well"}).encode()
    yield json.dumps({name: value for name, value in record.items() if name != "stopped"}).encode()


def test_damaged_records_are_said_and_made_again(trainer, tmp_path, capsys):
    expected = start(tmp_path)
    path = path_of(tmp_path / "rung-1", POINTS[4])
    text, other = path.read_bytes(), path_of(tmp_path / "rung-1", POINTS[5]).read_bytes()
    for damaged in damages(text, other):
        path.write_bytes(damaged)
        trainer.made.clear()
        assert start(tmp_path) == expected
        assert {name for name, _ in trainer.made} == {("rung-1", POINTS[4].name)}
        said = capsys.readouterr().err
        assert "point-004.json: is damaged" in said and "made again" in said


def test_a_checkpoint_that_cannot_be_used_is_made_anew(trainer, tmp_path, monkeypatch, capsys):
    expected = start(tmp_path / "undisturbed")
    work = tmp_path / "damaged" / "rung-1" / POINTS[2].name
    work.mkdir(parents=True)
    (work / "checkpoint.npz").write_text("damaged")
    original = trainer.train

    def refuse(*arguments, directory, **options):
        path = directory / "checkpoint.npz"
        if path.exists() and path.read_text() == "damaged":
            raise TrainingError(f"{path}: not a readable checkpoint")
        return original(*arguments, directory=directory, **options)

    monkeypatch.setattr(train_points, "train", refuse)
    assert start(tmp_path / "damaged") == expected
    assert "not a readable checkpoint; point-002 is trained again" in capsys.readouterr().err


def test_records_name_the_versions_of_the_training(trainer, tmp_path):
    assert all(record["versions"] == {"numpy": ["2.2", "2.3"]} for record in start(tmp_path).values())


def test_what_is_wrong_with_all_points_ends_the_search(trainer, tmp_path):
    trainer.fails = {("rung-1", "point-001"): TrainingError("the training set has labels outside 0 to 2")}
    with pytest.raises(TrainingError, match="labels outside"):
        start(tmp_path)
    trainer.fails = {("rung-1", "point-001"): OSError(28, "No space left on device")}
    with pytest.raises(OSError, match="No space"):
        start(tmp_path)


PLAN = {"format": 2, "n_points": 20, "halving": 3, "rungs": {"rung-1": {"train": 100, "valid": 100, "epochs": 9}},
        "space": {"k": {"choice": [1, 2]}, "output": {"choice": ["softmax"]}},
        "settings": {"hidden_layers_sizes": (50, 50)}, "training songs": ["a", "b"], "frames of the corpus": "01ab"}


@pytest.mark.parametrize("change, said", [
    ({"halving": 0}, r"halving \(was 3, now 0\)"),
    ({"rungs": {"rung-1": {"train": 100, "valid": 100, "epochs": 8}}}, r"rungs\.rung-1\.epochs \(was 9, now 8\)"),
    ({"space": PLAN["space"] | {"k": {"choice": [1, 3]}}}, r"space\.k\.choice \(was \[1, 2\], now \[1, 3\]\)"),
    ({"space": {"k": PLAN["space"]["k"]}}, r"space\.output"),
    ({"settings": {"hidden_layers_sizes": (50,)}}, r"settings\.hidden_layers_sizes \(was \[50, 50\], now \[50\]\)"),
    ({"training songs": ["a", "c"]}, "training songs"),
    ({"frames of the corpus": "01ac"}, "frames of the corpus"),
    ({"n_points": 19}, r"n_points \(was 20, now 19\)")])
def test_another_search_in_the_same_folder_is_refused(tmp_path, change, said):
    path = tmp_path / "plan.json"
    agree_on_plan(path, PLAN)
    before = path.read_bytes()
    with pytest.raises(DBNError, match=rf"plan\.json: .*other values: {said}.*--out, or delete the folder"):
        agree_on_plan(path, PLAN | change)
    assert path.read_bytes() == before
    agree_on_plan(path, PLAN)


def test_a_plan_may_grow(tmp_path):
    agree_on_plan(tmp_path / "plan.json", PLAN)
    agree_on_plan(tmp_path / "plan.json", PLAN | {"n_points": 30})
    assert json.loads((tmp_path / "plan.json").read_text())["n_points"] == 30


@pytest.mark.parametrize("text", ["", "{", "[1]", "{}", "null"])
def test_a_damaged_plan_is_refused(tmp_path, text):
    path = tmp_path / "plan.json"
    path.write_text(text)
    with pytest.raises(DBNError, match=r"plan\.json: .*delete the folder"):
        agree_on_plan(path, PLAN)
    shutil.rmtree(tmp_path)


@pytest.mark.parametrize("error, said, n_calls", [(BrokenProcessPool("killed"), "died 10 times in a row.*--jobs", 10),
                                                  (CancelledError("lost"), "scheduler is gone; start it again", 1)])
def test_workers_that_cannot_work_end_the_search(monkeypatch, error, said, n_calls):
    calls = []

    def parallel(**_):
        def run(tasks):
            calls.append(list(tasks))
            raise error
            yield
        return run

    monkeypatch.setattr(pool, "Parallel", parallel)
    with pytest.raises(DBNError, match=said):
        list(pool.results(len, {"a": ("abc",)}))
    assert len(calls) == n_calls


def test_no_task_whose_worker_died_is_lost_and_none_is_done_twice(monkeypatch):
    """Every second call breaks the pool."""
    done = []

    def parallel(**_):
        def run(tasks):
            for function, arguments, _ in list(tasks)[:2]:
                done.append(arguments[1])
                yield function(*arguments)
            raise BrokenProcessPool("killed")
        return run

    monkeypatch.setattr(pool, "Parallel", parallel)
    assert dict(pool.results(len, {name: (name,) for name in ("a", "bc", "def")})) == {"a": 1, "bc": 2, "def": 3}
    assert done == ["a", "bc", "def"]


def test_records_damaged_in_every_way(trainer, tmp_path, capsys):
    """Announced and made again, or used."""
    expected = start(tmp_path)
    folder, point = tmp_path / "rung-1", at_rung(POINTS[4], RUNGS[0])
    path = path_of(folder, point)
    whole = path.read_bytes()
    for number, (what, data) in enumerate(damaged_json(whole.decode())):
        path.write_bytes(data)
        record = read_record(folder, point)
        is_announced = "point-004.json: is damaged" in capsys.readouterr().err
        assert (record is None) == is_announced != path.exists(), what
        if record is not None:
            write_record(folder, point, record)
            is_over(record)
        elif number % 20 == 0:
            assert start(tmp_path) == expected, what


def test_a_plan_damaged_in_every_way(tmp_path):
    path = tmp_path / "plan.json"
    agree_on_plan(path, PLAN)
    assert assert_noticed(path, damaged_json(path.read_text()), lambda: agree_on_plan(path, PLAN)) > 60
