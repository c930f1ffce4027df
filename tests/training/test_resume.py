"""Runs that are interrupted or killed: they go on, and end with the bits of one that was left alone."""
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import dbn.training.loops
import dbn.training.state
from dbn.audio.scaling import Scaling
from dbn.errors import DivergedError
from dbn.system.files import sole_writer
from dbn.system.versions import versions
from dbn.training.loops import train
from dbn.training.state import RunState
from small_network import EVERYTHING, N_OUTS, run_in, settings, training_sets, without

N_EPOCHS = 2 * 3 + 6

DRIVER = """
import json, os, signal, sys
import numpy as np
import dbn.training.state
from dbn.training.state import RunState
from dbn.training.loops import train
from small_network import EVERYTHING, N_OUTS, settings, training_sets

directory, last_epoch, signal_name, options, *max_epoch = sys.argv[1:]
dbn.training.state.SECONDS_BETWEEN_SAVES = 0.0
finish_epoch = RunState.finish_epoch

def finish_epoch_and_die(self, values, **record):
    finish_epoch(self, values, **record)
    if len(self.history) == int(last_epoch):
        os.kill(os.getpid(), getattr(signal, signal_name))

RunState.finish_epoch = finish_epoch_and_die
train(*training_sets(), N_OUTS, settings(**json.loads(options)), directory,
      max_epoch=int(max_epoch[0]) if max_epoch else None)
"""


def assert_same(result, expected):
    """The same network, bit for bit, by the same way."""
    for value, other in zip(result.dbn.get_values(), expected.dbn.get_values(), strict=True):
        np.testing.assert_array_equal(value, other)
    for name in ("best_epoch", "best_error", "stopped"):
        assert getattr(result, name) == getattr(expected, name)
    without_time = [[{k: v for k, v in r.items() if k != "seconds"} for r in each.history]
                    for each in (result, expected)]
    assert without_time[0] == without_time[1]


def files_in(directory):
    """Names of files, but for the lock."""
    return sorted(path.name for path in directory.iterdir() if path.name != ".lock")


def test_killed_runs_go_on_where_they_stopped(tmp_path):
    """Processes that die in the first layer, the second and in fine-tuning, each going on from the one before."""
    for last_epoch, name in ((2, "SIGKILL"), (5, "SIGINT"), (9, "SIGKILL")):
        kill_after(tmp_path, last_epoch, name)
    assert_same(run_in(tmp_path), run_in())
    assert files_in(tmp_path) == ["checkpoint.npz", "history.jsonl"]


def test_a_run_with_everything_on_goes_on_with_what_its_epochs_hand_on(tmp_path):
    """Killed in the first layer, in the second, whose chains and velocities begin anew, and in fine-tuning."""
    for last_epoch in (2, 5, 9):
        kill_after(tmp_path, last_epoch, "SIGKILL", **EVERYTHING)
    expected = run_in(**EVERYTHING)
    assert_same(run_in(tmp_path, **EVERYTHING), expected)
    assert all((value != other).any() for value, other in zip(expected.dbn.get_values(), run_in().dbn.get_values()))


def kill_after(directory, last_epoch, name, *max_epoch, **options):
    """A process of its own that goes on in `directory` and dies when `last_epoch` epochs are through."""
    tests = Path(__file__).parents[1]
    environment = os.environ | {"PYTHONPATH": f"{tests.parent}{os.pathsep}{tests}", "OMP_NUM_THREADS": "1"}
    process = subprocess.run([sys.executable, "-c", DRIVER, directory, str(last_epoch), name,
                              json.dumps(options), *map(str, max_epoch)],
                             env=environment, cwd=directory, capture_output=True, text=True)
    assert process.returncode == -getattr(signal, name), process.stderr
    assert len((directory / "history.jsonl").read_text().splitlines()) == last_epoch


def test_a_run_that_pauses_and_is_killed_ends_with_the_same_bits(tmp_path):
    """Paused after two epochs of fine-tuning, killed in the fourth on the way to a pause after the fifth."""
    paused = run_in(tmp_path, max_epoch=2)
    assert paused.stopped == "paused" and len(paused.history) == 6 + 2
    kill_after(tmp_path, 6 + 4, "SIGKILL", 5)
    paused = run_in(tmp_path, max_epoch=5)
    assert paused.stopped == "paused" and len(paused.history) == 6 + 5
    assert_same(run_in(tmp_path), run_in())


# Below, the process stays and an exception ends the run.


class Interrupted(BaseException):
    """Stands for Ctrl-C, which is no Exception either."""


def interrupt(monkeypatch, directory, n_epochs, seconds_between_saves, before_the_end=False, **options):
    """Run until `n_epochs` epochs are through, the last of them with or without its being noted."""
    with monkeypatch.context() as patch:
        finish_epoch = RunState.finish_epoch

        def finish_or_stop(self, values, **record):
            last = len(self.history) + 1 == n_epochs
            if last and before_the_end:
                raise Interrupted
            finish_epoch(self, values, **record)
            if last:
                raise Interrupted

        patch.setattr(RunState, "finish_epoch", finish_or_stop)
        patch.setattr(dbn.training.state, "SECONDS_BETWEEN_SAVES", seconds_between_saves)
        with pytest.raises(Interrupted):
            run_in(directory, **options)


@pytest.mark.parametrize("options", [{}, EVERYTHING], ids=["CD", "everything"])
@pytest.mark.parametrize("seconds_between_saves", [0.0, 1e9], ids=["saved each epoch", "saved each stage"])
def test_interrupted_anywhere(quick, monkeypatch, tmp_path, seconds_between_saves, options):
    expected = run_in(**options)
    for n_epochs in range(1, N_EPOCHS + 1):
        directory = tmp_path / str(n_epochs)
        interrupt(monkeypatch, directory, n_epochs, seconds_between_saves, n_epochs % 2 == 0, **options)
        assert_same(run_in(directory, **options), expected)
        assert files_in(directory) == ["checkpoint.npz", "history.jsonl"]


def test_a_resumed_run_repeats_no_finished_epoch(quick, monkeypatch, tmp_path):
    interrupt(monkeypatch, tmp_path, 8, 0.0)
    epochs = []
    original = RunState.finish_epoch
    monkeypatch.setattr(RunState, "finish_epoch", lambda self, values, **record: (
        epochs.append((record["stage"], record["epoch"])), original(self, values, **record)))
    run_in(tmp_path)
    assert epochs == [("finetune", epoch) for epoch in (3, 4, 5, 6)]


def test_a_finished_run_is_read_not_repeated(quick, monkeypatch, tmp_path):
    expected = run_in(tmp_path)
    monkeypatch.setattr(RunState, "finish_epoch", None)
    assert_same(run_in(tmp_path), expected)


@pytest.mark.parametrize("pauses", [(0,), (2, 5), (1, 1, 0, 3), (5, 2)])
def test_pauses_change_nothing(quick, tmp_path, pauses):
    expected = run_in()
    reached = 0
    for max_epoch in pauses:
        paused = run_in(tmp_path, max_epoch=max_epoch)
        reached = max(reached, max_epoch)
        assert paused.stopped == "paused" and len(paused.history) == 6 + reached
        errors = [record["valid_error"] for record in paused.history[6:]]
        assert paused.best_error == min(errors, default=paused.best_error)
        if len(errors) > 1:
            assert errors == [record["valid_error"] for record in expected.history[6:6 + reached]]
    assert_same(run_in(tmp_path, max_epoch=6), expected)
    assert_same(run_in(tmp_path), expected)


def test_a_run_that_other_versions_went_on_with_names_both(quick, monkeypatch, tmp_path):
    now = versions()
    assert run_in(tmp_path, max_epoch=2).versions == now
    monkeypatch.setattr("dbn.system.versions._versions", lambda: now | {"numpy": "another"})
    expected = now | {"numpy": [now["numpy"], "another"]}
    assert run_in(tmp_path).versions == expected and run_in(tmp_path).versions == expected
    assert run_in().versions == now | {"numpy": "another"}


def test_a_checkpoint_of_before_versions_were_kept_is_gone_on_with(quick, tmp_path):
    run_in(tmp_path, max_epoch=2)
    path = tmp_path / "checkpoint.npz"
    with np.load(path) as arrays:
        kept = dict(arrays)
    state = json.loads(kept["state"].item())
    np.savez(path, **kept | {"state": np.array(json.dumps(without(state, "versions")))})
    result = run_in(tmp_path)
    assert_same(result, run_in())
    assert result.versions == {name: ["not recorded", version] for name, version in versions().items()}


def test_a_run_that_ends_before_its_pause_is_not_paused(quick, monkeypatch, tmp_path):
    errors = iter([0.3, 0.4, 0.4, 0.4])
    monkeypatch.setattr(dbn.training.loops, "frame_error", lambda predict, frames: next(errors))
    ended = run_in(tmp_path, max_epoch=5, pretrain_epochs=0, patience=2)
    assert ended.stopped == "patience" and len(ended.history) == 2
    assert_same(run_in(tmp_path, pretrain_epochs=0, patience=2), ended)


def test_early_stopping_goes_on_with_its_patience(quick, monkeypatch, tmp_path):
    """The best error, its epoch and its parameters outlive the process."""
    def scripted(errors):
        errors = iter(errors)
        monkeypatch.setattr(dbn.training.loops, "frame_error", lambda predict, frames: next(errors))

    options = {"pretrain_epochs": 0, "patience": 2, "finetune_epochs": 20}
    errors = [0.9, 0.8, 0.2, 0.5, 0.4, 0.3, 0.3, 0.3]
    scripted(errors)
    expected = run_in(**options)
    assert (expected.best_epoch, expected.stopped, len(expected.history)) == (2, "patience", 4)
    monkeypatch.setattr(dbn.training.state, "SECONDS_BETWEEN_SAVES", 0.0)
    for n_epochs in (1, 2, 3):
        directory = tmp_path / str(n_epochs)
        scripted(errors[:n_epochs + 1])
        with pytest.raises(StopIteration):
            run_in(directory, **options)
        scripted(errors[n_epochs + 1:])
        assert_same(run_in(directory, **options), expected)


def test_a_save_that_is_cut_short_leaves_the_one_before(quick, monkeypatch, tmp_path):
    expected = run_in()
    interrupt(monkeypatch, tmp_path, 4, 0.0)
    before = (tmp_path / "checkpoint.npz").read_bytes()

    def half_a_file(path, content):
        with open(path, "wb") as file:
            file.write(before[:100])
        raise Interrupted

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", half_a_file)
        with pytest.raises(Interrupted):
            run_in(tmp_path)
    assert (tmp_path / "checkpoint.npz").read_bytes() == before
    assert not [name for name in files_in(tmp_path) if name.startswith(".")]
    assert_same(run_in(tmp_path), expected)


LEFT_BY_A_KILL = ["training-inputs.npy", ".training-inputs-0123abcd-77-89abcdef.npy", "validation-inputs.npy",
                  ".validation-inputs-0123abcd-77-89abcdef.npy", "pretraining-inputs.npy", "hidden-means-0.npy",
                  "hidden-means-17.npy", ".hidden-means-0-0123abcd-77-89abcdef.npy",
                  ".checkpoint-0123abcd-77-89abcdef.npz", ".history-0123abcd-77-89abcdef.jsonl"]

OF_THE_USERS_OWN = ["my-inputs.npy", "training-inputs.npy.old", "hidden-means-of-jazz.npy", ".my-inputs-0.npy",
                    ".hidden-means-0-mine.npy", ".checkpoint-1.npz", ".history-2024.jsonl"]


def test_what_a_killed_run_has_left_is_not_used_and_goes(quick, monkeypatch, tmp_path):
    """Inputs and means of other parameters, and halves of files; before the run begins, and there is room again."""
    for name in LEFT_BY_A_KILL:
        np.save(tmp_path / "zeros.npy", np.zeros((120, 6), dtype=np.float32))
        (tmp_path / "zeros.npy").rename(tmp_path / name)
    seen, expected = [], run_in(seed=1)
    pretrain = dbn.training.loops.pretrain
    monkeypatch.setattr(dbn.training.loops, "pretrain", lambda *arguments: (
        seen.extend(files_in(tmp_path)), pretrain(*arguments)))
    assert_same(run_in(tmp_path, seed=1), expected)
    assert seen == [] and files_in(tmp_path) == ["checkpoint.npz", "history.jsonl"]


def test_files_of_other_names_stay(quick, tmp_path):
    for name in OF_THE_USERS_OWN:
        (tmp_path / name).write_text("mine")
    run_in(tmp_path)
    assert files_in(tmp_path) == sorted([*OF_THE_USERS_OWN, "checkpoint.npz", "history.jsonl"])


@pytest.mark.parametrize("n_epochs", [1, 4, 8])
def test_a_run_that_diverges_leaves_only_what_others_go_on_from(quick, monkeypatch, tmp_path, n_epochs):
    """In the first layer, the second and in fine-tuning, with frames that lie in files."""
    sets = [frames.with_scaling(Scaling("max").fit([np.full((1, 8), 2.0)])) for frames in training_sets()]
    costs = iter([1.0] * n_epochs + [np.nan])
    files = []
    monkeypatch.setattr(dbn.training.loops._EpochRunner, "run", lambda *_: (
        files.extend(files_in(tmp_path)), next(costs))[1])
    with pytest.raises(DivergedError):
        train(*sets, N_OUTS, settings(shard_frames=50), tmp_path, progress=False)
    assert {"training-inputs.npy", "validation-inputs.npy"} <= set(files)
    assert ("hidden-means-0.npy" in files) == (n_epochs >= 3)
    assert set(files_in(tmp_path)) <= {"checkpoint.npz", "history.jsonl"}


HOLDER = """
import sys
from dbn.system.files import sole_writer
with sole_writer(sys.argv[1]):
    print("in", flush=True)
    sys.stdin.read()
"""


def test_another_process_in_the_folder_is_waited_for(quick, tmp_path):
    results = []
    with subprocess.Popen([sys.executable, "-c", HOLDER, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          cwd=Path(__file__).parents[2], text=True) as holder:
        assert holder.stdout.readline() == "in\n"
        thread = threading.Thread(target=lambda: results.append(run_in(tmp_path)))
        thread.start()
        thread.join(1)
        assert thread.is_alive() and files_in(tmp_path) == []
        holder.stdin.close()
        thread.join(60)
    assert_same(results[0], run_in())


def test_who_has_the_folder_may_train_in_it(quick, tmp_path):
    """And keeps it until the end, with what it is writing there."""
    with sole_writer(tmp_path, "half.partial"):
        (tmp_path / "half.partial").mkdir()
        with sole_writer(tmp_path, "half.partial"):
            run_in(tmp_path)
        assert (tmp_path / "half.partial").exists()
        waiting = threading.Thread(target=lambda: run_in(tmp_path))
        waiting.start()
        waiting.join(1)
        assert waiting.is_alive()
    waiting.join(60)
    assert not waiting.is_alive()
    with sole_writer(tmp_path, "half.partial"):
        assert not (tmp_path / "half.partial").exists()
