"""``dbn train`` killed by SIGKILL at random moments: never half a model, and the same bits at the end.

Every run is forked from this process, where all is imported and one training has compiled the graphs; what it takes is
then less than a second. The kill comes from outside, at a moment that the run knows nothing of. Kills while a graph is
compiled are those of test_train.py.
"""
import os
import signal
import time

import numpy as np
import pytest
from test_train import assert_same, folder  # noqa: F401

import dbn.training.state
from dbn.cli.parser import main

N_RUNS, KILLS_A_RUN = 4, 5
# the shortest run with two stages: one layer, a checkpoint after every epoch
OPTIONS = ["--recipe", "paper", "--hidden-layers-sizes", "5", "--pretrain-epochs", "2", "--finetune-epochs", "4",
           "--finetune-lr", "0.5", "--patience", "100000", "--jobs", "1"]


def train(music, path, *options):
    """``dbn train`` in this process; its exit status."""
    return main(["train", str(music), "-o", str(path), *OPTIONS, *options])


def start(music, path, *options):
    """The process of a forked ``dbn train``, silent."""
    process = os.fork()
    if process:
        return process
    status = 99
    try:
        silence = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(silence, descriptor)
        status = train(music, path, *options)
    finally:
        os._exit(status)  # nothing of the tests runs in the child


def finish(process):
    """Wait for a process; its exit status, or minus the signal that ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def kill_after(seconds, process):
    """Kill a process, if it is not through by then; what :func:`finish` gives."""
    time.sleep(seconds)
    os.kill(process, signal.SIGKILL)
    return finish(process)


def content(path):
    return path.read_bytes() if path.exists() else None


def test_killed_at_random_moments(folder, tmp_path, monkeypatch):  # noqa: F811
    """Runs are killed, and killed again as they go on; every other one is to replace a model of another seed."""
    monkeypatch.setattr(dbn.training.state, "SECONDS_BETWEEN_SAVES", 0.0)
    expected, old = tmp_path / "expected.npz", tmp_path / "old.npz"
    assert train(folder, old, "--seed", "1") == 0  # and the graphs are compiled, in the processes to come as well
    began = time.monotonic()
    assert finish(start(folder, expected)) == 0
    duration = time.monotonic() - began
    rng, n_half_way = np.random.default_rng(0), 0
    for number in range(N_RUNS):
        path = tmp_path / str(number) / "model.npz"
        path.parent.mkdir()
        before = content(old) if number % 2 else None
        if before:
            path.write_bytes(before)
        n_kills = 0
        while n_kills < KILLS_A_RUN:
            status = kill_after(rng.uniform(0, duration), start(folder, path, "--force"))
            assert status in (0, -signal.SIGKILL)
            n_kills += status != 0
            if content(path) != before:
                assert_same(path, expected)
            n_half_way += any((path.parent / "model.npz.work").glob("dbn-*/checkpoint.npz"))
        assert finish(start(folder, path, "--force")) == 0
        assert_same(path, expected)
        assert [entry.name for entry in path.parent.iterdir()] == ["model.npz"]
    assert n_half_way > 0
    with pytest.raises(AssertionError):
        assert_same(old, expected)  # which another seed's is not


@pytest.mark.parametrize("delay", [0, 0.1, 0.4])
def test_two_at_once_make_one_model(folder, tmp_path, delay):  # noqa: F811
    """The same command twice: the second one waits and finds the model, and the work folder goes."""
    path, expected = tmp_path / "model.npz", tmp_path / "other" / "model.npz"
    expected.parent.mkdir()
    assert train(folder, expected) == 0
    first = start(folder, path)
    time.sleep(delay)
    second = start(folder, path)
    assert finish(first) == 0
    made = path.stat().st_ino
    assert finish(second) == 0
    assert path.stat().st_ino == made  # found, and not trained twice
    assert_same(path, expected)
    processes = [start(folder, path, "--seed", "1", "--force") for _ in range(2)]
    assert [finish(process) for process in processes] == [0, 0]
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["model.npz", "other"]
