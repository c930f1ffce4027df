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
from dbn.audio.frames import FrameSet
from dbn.audio.scaling import Scaling
from dbn.errors import DivergedError, TrainingError
from dbn.system.files import sole_writer
from dbn.training.loops import train
from dbn.training.state import SAMPLED_FRAMES, RunState, fingerprint
from small_network import N_OUTS, replace_compiled, settings, training_sets

N_EPOCHS = 2 * 3 + 6

DRIVER = """
import os, signal, sys
import numpy as np
import dbn.training.state
from dbn.training.state import RunState
from dbn.training.loops import train
from small_network import N_OUTS, settings, training_sets

directory, last_epoch, signal_name, persistent, *max_epoch = sys.argv[1:]
dbn.training.state.SECONDS_BETWEEN_SAVES = 0.0
finish_epoch = RunState.finish_epoch

def finish_epoch_and_die(self, values, **record):
    finish_epoch(self, values, **record)
    if len(self.history) == int(last_epoch):
        os.kill(os.getpid(), getattr(signal, signal_name))

RunState.finish_epoch = finish_epoch_and_die
train(*training_sets(), N_OUTS, settings(persistent=persistent == "True"), directory,
      max_epoch=int(max_epoch[0]) if max_epoch else None)
"""


def run(directory=None, progress=False, data_key="", max_epoch=None, **options):
    return train(*training_sets(), N_OUTS, settings(**options), directory, data_key, progress, max_epoch)


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
    assert_same(run(tmp_path), run())
    assert files_in(tmp_path) == ["checkpoint.npz", "history.jsonl"]


def test_a_run_killed_within_pcd_goes_on_with_its_chains(tmp_path):
    """In the first layer and in the second, whose chains begin anew."""
    for last_epoch in (2, 5):
        kill_after(tmp_path, last_epoch, "SIGKILL", persistent=True)
    expected = run(persistent=True)
    assert_same(run(tmp_path, persistent=True), expected)
    assert all((value != other).any() for value, other in zip(expected.dbn.get_values(), run().dbn.get_values()))


def kill_after(directory, last_epoch, name, *max_epoch, persistent=False):
    """A process of its own that goes on in `directory` and dies when `last_epoch` epochs are through."""
    tests = Path(__file__).parents[1]
    environment = os.environ | {"PYTHONPATH": f"{tests.parent}{os.pathsep}{tests}", "OMP_NUM_THREADS": "1"}
    process = subprocess.run([sys.executable, "-c", DRIVER, directory, str(last_epoch), name, str(persistent),
                              *map(str, max_epoch)],
                             env=environment, cwd=directory, capture_output=True, text=True)
    assert process.returncode == -getattr(signal, name), process.stderr
    assert len((directory / "history.jsonl").read_text().splitlines()) == last_epoch


def test_a_run_that_pauses_and_is_killed_ends_with_the_same_bits(tmp_path):
    """Paused after two epochs of fine-tuning, killed in the fourth on the way to a pause after the fifth."""
    paused = run(tmp_path, max_epoch=2)
    assert paused.stopped == "paused" and len(paused.history) == 6 + 2
    kill_after(tmp_path, 6 + 4, "SIGKILL", 5)
    paused = run(tmp_path, max_epoch=5)
    assert paused.stopped == "paused" and len(paused.history) == 6 + 5
    assert_same(run(tmp_path), run())


# Below, the process stays and an exception ends the run.


@pytest.fixture
def quick(monkeypatch):
    replace_compiled(monkeypatch)


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
            run(directory, **options)


@pytest.mark.parametrize("options", [{}, {"persistent": True}], ids=["CD", "PCD"])
@pytest.mark.parametrize("seconds_between_saves", [0.0, 1e9], ids=["saved each epoch", "saved each stage"])
def test_interrupted_anywhere(quick, monkeypatch, tmp_path, seconds_between_saves, options):
    expected = run(**options)
    for n_epochs in range(1, N_EPOCHS + 1):
        directory = tmp_path / str(n_epochs)
        interrupt(monkeypatch, directory, n_epochs, seconds_between_saves, n_epochs % 2 == 0, **options)
        assert_same(run(directory, **options), expected)
        assert files_in(directory) == ["checkpoint.npz", "history.jsonl"]


def test_a_resumed_run_repeats_no_finished_epoch(quick, monkeypatch, tmp_path):
    interrupt(monkeypatch, tmp_path, 8, 0.0)
    epochs = []
    original = RunState.finish_epoch
    monkeypatch.setattr(RunState, "finish_epoch", lambda self, values, **record: (
        epochs.append((record["stage"], record["epoch"])), original(self, values, **record)))
    run(tmp_path)
    assert epochs == [("finetune", epoch) for epoch in (3, 4, 5, 6)]


def test_a_finished_run_is_read_not_repeated(quick, monkeypatch, tmp_path):
    expected = run(tmp_path)
    monkeypatch.setattr(RunState, "finish_epoch", None)
    assert_same(run(tmp_path), expected)


@pytest.mark.parametrize("pauses", [(0,), (2, 5), (1, 1, 0, 3), (5, 2)])
def test_pauses_change_nothing(quick, tmp_path, pauses):
    expected = run()
    reached = 0
    for max_epoch in pauses:
        paused = run(tmp_path, max_epoch=max_epoch)
        reached = max(reached, max_epoch)
        assert paused.stopped == "paused" and len(paused.history) == 6 + reached
        errors = [record["valid_error"] for record in paused.history[6:]]
        assert paused.best_error == min(errors, default=paused.best_error)  # a search compares what there is by then
        if len(errors) > 1:
            assert errors == [record["valid_error"] for record in expected.history[6:6 + reached]]
    assert_same(run(tmp_path, max_epoch=6), expected)
    assert_same(run(tmp_path), expected)


def test_a_run_that_ends_before_its_pause_is_not_paused(quick, monkeypatch, tmp_path):
    errors = iter([0.3, 0.4, 0.4, 0.4])
    monkeypatch.setattr(dbn.training.loops, "frame_error", lambda predict, frames: next(errors))
    ended = run(tmp_path, max_epoch=5, pretrain_epochs=0, patience=24)
    assert ended.stopped == "patience" and len(ended.history) == 2
    assert_same(run(tmp_path, pretrain_epochs=0, patience=24), ended)


def test_early_stopping_goes_on_with_its_patience(quick, monkeypatch, tmp_path):
    """Best error, best parameters and patience outlive the process."""
    def scripted(errors):
        errors = iter(errors)
        monkeypatch.setattr(dbn.training.loops, "frame_error", lambda predict, frames: next(errors))

    options = {"pretrain_epochs": 0, "patience": 12, "finetune_epochs": 20}
    errors = [0.9, 0.8, 0.2, 0.5, 0.4, 0.3, 0.3, 0.3]
    scripted(errors)
    expected = run(**options)
    assert (expected.best_epoch, expected.stopped, len(expected.history)) == (2, "patience", 4)
    monkeypatch.setattr(dbn.training.state, "SECONDS_BETWEEN_SAVES", 0.0)
    for n_epochs in (1, 2, 3):
        directory = tmp_path / str(n_epochs)
        scripted(errors[:n_epochs + 1])
        with pytest.raises(StopIteration):
            run(directory, **options)
        scripted(errors[n_epochs + 1:])
        assert_same(run(directory, **options), expected)


def test_a_save_that_is_cut_short_leaves_the_one_before(quick, monkeypatch, tmp_path):
    expected = run()
    interrupt(monkeypatch, tmp_path, 4, 0.0)
    before = (tmp_path / "checkpoint.npz").read_bytes()

    def half_a_file(path, **arrays):
        Path(path).write_bytes(before[:100])
        raise Interrupted

    with monkeypatch.context() as patch:
        patch.setattr(np, "savez", half_a_file)
        with pytest.raises(Interrupted):
            run(tmp_path)
    assert (tmp_path / "checkpoint.npz").read_bytes() == before
    assert not [name for name in files_in(tmp_path) if name.startswith(".")]
    assert_same(run(tmp_path), expected)


LEFT_BY_A_KILL = ["training-inputs.npy", ".training-inputs-01234567.npy", "validation-inputs.npy",
                  ".validation-inputs-01234567.npy", "hidden-means-0.npy", "hidden-means-7.npy",
                  ".hidden-means-0-01234567.npy", ".checkpoint-01234567.npz", ".history-01234567.jsonl"]


def test_what_a_killed_run_has_left_is_not_used_and_goes(quick, monkeypatch, tmp_path):
    """Inputs and means of other parameters, and halves of files; before the run begins, and there is room again."""
    for name in LEFT_BY_A_KILL:
        np.save(tmp_path / "zeros.npy", np.zeros((120, 6), dtype=np.float32))
        (tmp_path / "zeros.npy").rename(tmp_path / name)
    seen, expected = [], run(seed=1)
    pretrain = dbn.training.loops.pretrain
    monkeypatch.setattr(dbn.training.loops, "pretrain", lambda *arguments: (
        seen.extend(files_in(tmp_path)), pretrain(*arguments)))
    assert_same(run(tmp_path, seed=1), expected)
    assert seen == [] and files_in(tmp_path) == ["checkpoint.npz", "history.jsonl"]


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
        thread = threading.Thread(target=lambda: results.append(run(tmp_path)))
        thread.start()
        thread.join(1)
        assert thread.is_alive() and files_in(tmp_path) == []
        holder.stdin.close()
        thread.join(60)
    assert_same(results[0], run())


def test_who_has_the_folder_may_train_in_it(quick, tmp_path):
    """And keeps it until the end, with what it is writing there."""
    with sole_writer(tmp_path):
        (tmp_path / "half.partial").mkdir()
        run(tmp_path)
        assert (tmp_path / "half.partial").exists()
        waiting = threading.Thread(target=lambda: run(tmp_path))
        waiting.start()
        waiting.join(1)
        assert waiting.is_alive()
    waiting.join(60)
    assert not waiting.is_alive() and not (tmp_path / "half.partial").exists()


# Checkpoints that are not this run's


@pytest.mark.parametrize("change", [{"seed": 1}, {"finetune_lr": 0.9}, {"hidden_layers_sizes": (6, 4)},
                                    {"data_key": "other"}])
def test_a_checkpoint_of_another_run_is_refused(quick, tmp_path, change):
    run(tmp_path, finetune_epochs=1)
    with pytest.raises(TrainingError, match=r"checkpoint\.npz: belongs to a run with other.*another folder, or delete"):
        run(tmp_path, **({"finetune_epochs": 1} | change))


def changed(frames, what):
    """The same set but for one number."""
    [(x, y)] = frames.blocks()
    if what == "a label":
        y[7] = (y[7] + 1) % N_OUTS
    else:
        x[7, 3] += 0.01
    return FrameSet.from_arrays(x, y, segment_length=20)


@pytest.mark.parametrize("which", [0, 1], ids=["training", "validation"])
@pytest.mark.parametrize("what", ["a label", "a frame"])
def test_a_checkpoint_of_other_data_of_the_same_size_is_refused(quick, tmp_path, which, what):
    run(tmp_path, finetune_epochs=1)
    sets = training_sets()
    sets[which] = changed(sets[which], what)
    with pytest.raises(TrainingError, match="other settings or other data"):
        train(*sets, N_OUTS, settings(finetune_epochs=1), tmp_path, progress=False)


def test_of_many_frames_some_are_looked_at_and_all_labels(monkeypatch):
    n = 2 * SAMPLED_FRAMES + 1
    x, y = np.random.default_rng(0).random((n, 3)).astype(np.float32), np.zeros(n, dtype=np.int32)
    frames, valid_set = FrameSet.from_arrays(x, y), training_sets()[1]
    read, n_read = FrameSet.read, []
    monkeypatch.setattr(FrameSet, "read", lambda self, numbers: (n_read.append(len(numbers)), read(self, numbers))[1])

    def key(frames):
        return fingerprint(settings(), frames, valid_set, N_OUTS, "")

    expected = key(frames)
    assert n_read == [SAMPLED_FRAMES, 60] and key(FrameSet.from_arrays(x.copy(), y)) == expected
    assert key(frames.with_scaling(Scaling("max").fit([np.full((1, 3), 2.0)]))) != expected
    other = np.where(np.arange(n) % 100 == 50, 0, x.T).T
    assert key(FrameSet.from_arrays(other, y)) != expected  # one frame in a hundred is another
    y[n - 1] = 1
    assert key(FrameSet.from_arrays(x, y)) != expected


def without(state, key):
    return {name: value for name, value in state.items() if name != key}


def test_foreign_files_are_refused(quick, tmp_path):
    run(tmp_path)
    path = tmp_path / "checkpoint.npz"
    whole = path.read_bytes()
    with np.load(path) as arrays:
        state = json.loads(arrays["state"].item())

    def refused(message="not a readable checkpoint"):
        with pytest.raises(TrainingError, match=rf"checkpoint\.npz: {message}.*delete the file"):
            run(tmp_path)

    for content in (b"", b"PK", whole[:-1], whole[:len(whole) // 2], whole[1:], b"no checkpoint", b"\x93NUMPY"):
        path.write_bytes(content)
        refused()
    with open(path, "wb") as file:
        np.save(file, np.zeros(3))
    refused()
    np.savez(path, state=np.array([{}], dtype=object))
    refused()
    np.savez(path, weights=np.zeros(3))
    refused()
    for text in ("[1]", "null", "{", json.dumps(without(state, "fingerprint")), json.dumps(without(state, "stage"))):
        np.savez(path, state=np.array(text))
        refused()
    np.savez(path, state=np.array(json.dumps(state | {"format": 99})))
    refused("written by another version")


def test_flipped_bits_are_found_or_harmless(quick, tmp_path):
    run(tmp_path)
    path = tmp_path / "checkpoint.npz"
    whole = path.read_bytes()
    fingerprint = json.loads(np.load(path)["state"].item())["fingerprint"]
    expected = RunState(tmp_path, fingerprint)
    refused = 0
    positions = range(0, len(whole), 11)
    for position in positions:
        damaged = bytearray(whole)
        damaged[position] ^= 0x41
        path.write_bytes(damaged)
        try:
            loaded = RunState(tmp_path, fingerprint)
        except TrainingError:
            refused += 1
            continue
        for name in ("values", "best_values"):
            for value, other in zip(getattr(loaded, name), getattr(expected, name), strict=True):
                np.testing.assert_array_equal(value, other)
        assert (loaded.stage, loaded.epoch, loaded.numbers) == (expected.stage, expected.epoch, expected.numbers)
    assert refused > len(positions) / 2
