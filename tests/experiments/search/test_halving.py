"""The search's decisions and its records, with learning curves that the test makes up instead of training."""
import json
import math
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
from experiments.profiles import SPACE
from experiments.search import pool
from experiments.search import worker as train_points
from experiments.search.halving import Search, rungs
from experiments.search.records import final_path, halved, has_reached, read_record, score, write_record
from experiments.search.space import Point, draw_point
from experiments.search.worker import train_point
from experiments.sweep import agree_on_plan

N_POINTS, EPOCHS = 20, 9
BASE = TrainingSettings(finetune_epochs=EPOCHS)
POINTS = [draw_point(SPACE, number, BASE, "max") for number in range(N_POINTS)]
PAPER = Point("paper", None, BASE, "max")


class Trainer:
    """Stands in for training: errors by point and epoch, and a note of every epoch that is made."""

    def __init__(self, monkeypatch):
        monkeypatch.setattr(dbn.system.files, "flush_to_disk", lambda path: None)  # hundreds of files
        rng = np.random.default_rng(0)
        self.errors = {point.name: np.round(rng.random(EPOCHS), 1).tolist() for point in [*POINTS, PAPER]}
        self.names = {point.settings: point.name for point in [*POINTS, PAPER]}
        self.diverges, self.patience, self.fails = {}, {}, {}  # by name: after so many epochs; an exception
        self.made = []
        monkeypatch.setattr(train_points, "open_inputs", lambda folder, kind: (None, None))
        monkeypatch.setattr(train_points, "train", self.train)

    def train(self, train_set, valid_set, n_outs, settings, directory, data_key, progress, max_epoch):
        """As :func:`dbn.training.loops.train`."""
        name = self.names[settings]
        if name in self.fails:
            raise self.fails[name]
        path = directory / "checkpoint.npz"
        n_done = json.loads(path.read_text()) if path.exists() else 0
        last = min(max_epoch or EPOCHS, self.patience.get(name, EPOCHS))
        history = [{"stage": "finetune", "epoch": i + 1, "cost": 1.0, "valid_error": error, "seconds": 0.1}
                   for i, error in enumerate(self.errors[name])]
        for epoch in range(n_done, last):
            if self.diverges.get(name) == epoch:
                raise DivergedError(f"fine-tuning, epoch {epoch + 1}: not finite", history[:epoch])
            self.made.append((name, epoch))
        path.write_text(json.dumps(last))
        errors = self.errors[name][:last]
        stopped = ("patience" if self.patience.get(name) == last else "epochs" if last == EPOCHS else "paused")
        param = SimpleNamespace(get_value=lambda: np.full(3, last))
        return SimpleNamespace(dbn=SimpleNamespace(params=[param]), history=history[:last], best_error=min(errors),
                               best_epoch=errors.index(min(errors)) + 1, stopped=stopped,
                               versions={"numpy": ["2.2", "2.3"]})


@pytest.fixture
def trainer(monkeypatch):
    return Trainer(monkeypatch)


def start(folder, points=POINTS, divisor=3):
    """One start of the search; the records that it leaves, by name."""
    (folder / "points").mkdir(parents=True, exist_ok=True)

    def train(tasks):
        for name, (point, epochs) in tasks.items():
            yield name, train_point(folder, None, point, epochs, 3, "key", "start")

    the_search = Search(folder, points, PAPER, divisor, train, lambda point, first, last: last - first + 1)
    the_search.run()
    failed = any(record["status"] == "failed" for record in the_search.records.values())
    assert failed or the_search.expected_seconds() == 0
    return {point.name: read_record(folder, point) for point in [*points, PAPER]}


def comparable(records):
    """Records without what is not known of a point that went on for longer than it should have."""
    return {name: {field: value for field, value in record.items() if field not in ("parameters", "seconds")}
            for name, record in records.items()}


def survivors(errors, n=N_POINTS, divisor=3, steps=(1, 3, 9)):
    """By name the epochs that a point is granted: the rule written down once more."""
    granted = {f"point-{i:03d}": steps[0] for i in range(n)}
    alive = list(granted)
    for now, following in zip(steps, steps[1:]):
        alive = sorted(alive, key=lambda name: (min(errors[name][:now]), name))[:math.ceil(len(alive) / divisor)]
        granted.update((name, following) for name in alive)
    return granted


def test_rungs():
    assert rungs(27, 3) == [3, 9, 27]
    assert rungs(474, 3) == [53, 158, 474]
    assert rungs(5, 2) == [2, 3, 5]
    assert rungs(1, 3) == [1]
    assert rungs(474, 0) == rungs(474, 1) == [474]


def test_halving_keeps_the_best_third_of_every_rung(trainer, tmp_path):
    records = start(tmp_path)
    granted = survivors(trainer.errors)
    for name, epochs in granted.items():
        record = records[name]
        assert record["epochs"] == epochs and record["best_error"] == min(trainer.errors[name][:epochs])
        assert (record["status"], record["stopped"]) == (
            ("finished", "epochs") if epochs == EPOCHS else ("halved", "halving"))
    assert sorted(granted.values()).count(EPOCHS) == 3 and sorted(granted.values()).count(1) == 13
    assert records["paper"]["epochs"] == EPOCHS and records["paper"]["point"] == "paper"
    assert len(trainer.made) == len(set(trainer.made)) == sum(granted.values()) + EPOCHS
    assert not [path for path in (tmp_path / "points").iterdir() if path.is_dir()]


def test_without_halving_all_are_trained_to_their_end(trainer, tmp_path):
    records = start(tmp_path, divisor=0)
    assert {record["epochs"] for record in records.values()} == {EPOCHS}
    assert {record["status"] for record in records.values()} == {"finished"}


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
    """Some that were stopped are among the best third of the larger search, and are trained on."""
    start(tmp_path / "grown", POINTS[:8])
    assert comparable(start(tmp_path / "grown")) == comparable(start(tmp_path / "at once"))


def test_patience_ends_a_point_before_its_rung(trainer, tmp_path):
    best = min(survivors(trainer.errors), key=lambda name: (min(trainer.errors[name][:2]), name))
    trainer.patience[best] = 2
    record = start(tmp_path)[best]
    assert (record["status"], record["stopped"], record["epochs"]) == ("finished", "patience", 2)


def test_a_diverged_point_is_a_result(trainer, tmp_path):
    """Before the first rung it is out; after it, it has taken the place of another, in every start."""
    granted = survivors(trainer.errors)
    winner = next(name for name in granted if granted[name] == EPOCHS)
    trainer.diverges = {winner: 5, "point-000": 0}
    records = start(tmp_path)
    assert records[winner]["status"] == records["point-000"]["status"] == "diverged"
    assert (records[winner]["epochs"], records["point-000"]["epochs"]) == (5, 0)
    assert records[winner]["best_error"] is None and "epoch 6: not finite" in records[winner]["error"]
    others = {name for name, epochs in survivors(trainer.errors | {"point-000": [2.0] * EPOCHS}).items()
              if epochs == EPOCHS} - {winner}
    assert {name for name, record in records.items() if record["status"] == "finished"} == others | {"paper"}
    assert start(tmp_path) == records


@pytest.mark.parametrize("failing", range(0, N_POINTS, 3))
def test_a_failed_point_is_tried_again_and_the_end_is_the_same(trainer, tmp_path, failing):
    expected = start(tmp_path / "undisturbed")
    name = f"point-{failing:03d}"
    trainer.fails = {name: MemoryError("no room for 8 GB")}
    records = start(tmp_path / "failed")
    assert records[name]["status"] == "failed" and records[name]["error"] == "MemoryError: no room for 8 GB"
    assert records[name]["best_error"] is None
    trainer.fails.clear()
    assert comparable(start(tmp_path / "failed")) == comparable(expected)


def test_a_worker_killing_point_is_given_up(trainer, tmp_path):
    trainer.fails = {"point-003": Killed()}
    for _ in range(train_points.DEATHS):
        with pytest.raises(Killed):
            start(tmp_path)
    record = start(tmp_path)["point-003"]
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
    path = final_path(tmp_path, POINTS[4])
    text, other = path.read_bytes(), final_path(tmp_path, POINTS[5]).read_bytes()
    for damaged in damages(text, other):
        path.write_bytes(damaged)
        trainer.made.clear()
        assert start(tmp_path) == expected
        assert {name for name, _ in trainer.made} == {POINTS[4].name}
        said = capsys.readouterr().err
        assert "point-004.json: is damaged" in said and "made again" in said


def test_a_checkpoint_that_cannot_be_used_is_made_anew(trainer, tmp_path, monkeypatch, capsys):
    expected = start(tmp_path / "undisturbed")
    work = tmp_path / "damaged" / "points" / POINTS[2].name
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
    trainer.fails = {"point-001": TrainingError("the training set has labels outside 0 to 2")}
    with pytest.raises(TrainingError, match="labels outside"):
        start(tmp_path)
    trainer.fails = {"point-001": OSError(28, "No space left on device")}
    with pytest.raises(OSError, match="No space"):
        start(tmp_path)


PLAN = {"format": 1, "n_points": 20, "halving": 3,
        "space": {"k": {"choice": [1, 2]}, "output": {"choice": ["softmax"]}},
        "settings": {"hidden_layers_sizes": (50, 50)}, "training songs": ["a", "b"], "frames of the corpus": "01ab"}


@pytest.mark.parametrize("change, said", [
    ({"halving": 0}, r"halving \(was 3, now 0\)"),
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
    path = final_path(tmp_path, POINTS[4])
    whole = path.read_bytes()
    for number, (what, data) in enumerate(damaged_json(whole.decode())):
        path.write_bytes(data)
        record = read_record(tmp_path, POINTS[4])
        is_announced = "point-004.json: is damaged" in capsys.readouterr().err
        assert (record is None) == is_announced != path.exists(), what
        if record is not None:
            write_record(tmp_path, POINTS[4], record)
            score(record, EPOCHS), has_reached(record, EPOCHS), halved(record, 1)
        elif number % 20 == 0:
            assert start(tmp_path) == expected, what


def test_a_plan_damaged_in_every_way(tmp_path):
    path = tmp_path / "plan.json"
    agree_on_plan(path, PLAN)
    assert assert_noticed(path, damaged_json(path.read_text()), lambda: agree_on_plan(path, PLAN)) > 60
