"""What several processes do at once with one results folder."""
import os
import shutil
import sys
import time
from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np
import pytest

from dbn.audio.frames import FrameSet
from dbn.errors import TrainingError
from dbn.trained.model import load_model
from dbn.training.settings import ConvolutionalSettings
from experiments.steps import pipeline
from experiments.steps.options import STOPPED, parse
from experiments.steps.pipeline import Corpora, Run


def test_a_network_is_trained_by_one_of_several_processes(smoke_run, tmp_path, monkeypatch):
    """Who comes later waits for it."""
    out, trained = tmp_path / "out", tmp_path / "trained"
    shutil.copytree(smoke_run, out)
    options = parse("", ["--profile", "smoke", "--jobs", "1", "--out", str(out)])
    path = Run(Corpora(options), 0).network_folder / "model.npz"
    model = load_model(path)
    path.unlink()

    def fit_model(*_, **__):
        with open(trained, "a") as file:
            file.write(f"{os.getpid()}\n")
        time.sleep(1)
        return model

    monkeypatch.setattr(pipeline, "fit_model", fit_model)
    children = [_child(lambda: Run(Corpora(options), 0).model) for _ in range(3)]
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0, 0, 0]
    assert len(trained.read_text().splitlines()) == 1 and path.exists()


@pytest.mark.parametrize("repeats", ["1", "3"])
def test_an_interrupt_ends_a_process_that_trains_itself(smoke_run, monkeypatch, repeats):
    """PyTensor makes another error of it, so it must not be raised, however many networks there are."""
    heard, trained = [], []
    monkeypatch.delitem(sys.modules, "ipykernel", raising=False)  # of notebooks tested before, in this process

    @contextmanager
    def ended_by_interrupt(message):
        heard.append(message)
        yield
        heard.pop()

    monkeypatch.setattr(pipeline, "ended_by_interrupt", ended_by_interrupt)
    monkeypatch.setattr(pipeline, "_train", lambda options, seed: trained.append((seed, *heard)))
    options = ["--profile", "smoke", "--jobs", "1", "--out", str(smoke_run), "--repeats", repeats]
    pipeline.prepared_runs(parse("", options))
    assert trained == [(seed, STOPPED) for seed in range(int(repeats))] and heard == []


def test_too_short_a_song_to_test_on_is_named_before_the_training():
    songs = FrameSet(np.zeros((60, 2)), [(0, 40), (40, 60)], names=("long", "brief"))
    run = SimpleNamespace(settings=ConvolutionalSettings(), songs={"test": songs}.get)
    with pytest.raises(TrainingError, match="test song brief: has 20 frames, and the network takes 29 at least"):
        Run._trained(run)


def _child(function):
    process = os.fork()
    if process:
        return process
    status = 1
    try:
        function()
        status = 0
    finally:
        os._exit(status)  # nothing of the tests runs in the child
