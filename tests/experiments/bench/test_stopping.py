"""The comparison of stopping rules: each rule ends where its trainer would, and the table says what that costs."""
import re

import numpy as np
import pytest

import dbn.training.loops
from dbn.training import train
from experiments.bench import stopping
from experiments.bench.stopping import Curve, doubles, lost, waits
from experiments.steps.pipeline import Run
from small_network import N_OUTS, replace_compiled, settings, training_sets


def random_errors(seed, n_epochs=30):
    """A falling curve with noise, rounded so that some errors are equal: the network's before fine-tuning is first."""
    rng = np.random.default_rng(seed)
    errors = 0.3 + 0.6 * np.exp(-np.arange(n_epochs + 1) / rng.uniform(0.5, 8)) + rng.uniform(0, 0.2, n_epochs + 1)
    return np.round(np.minimum(errors, 1), 3).tolist()


@pytest.mark.parametrize("seed", range(8))
def test_the_librarys_rule_ends_where_training_does(monkeypatch, seed):
    replace_compiled(monkeypatch)
    errors = random_errors(seed)
    coming = iter(errors)
    monkeypatch.setattr(dbn.training.loops, "frame_error", lambda predict, frames: next(coming))
    chosen = settings(pretrain_epochs=0, finetune_epochs=30, patience=3)
    result = train(*training_sets(), N_OUTS, chosen)
    assert len(result.history) == waits(3)(errors)
    assert result.best_error == min(errors[:waits(3)(errors) + 1])


def epochs_of_the_tutorial(errors, n_epochs, n_batches=7):
    """How many epochs the deeplearning.net tutorials' loop measures, minibatch by minibatch as it is written there."""
    patience, best, measured = n_epochs * n_batches, np.inf, 0
    for epoch in range(1, len(errors)):
        for minibatch in range(n_batches):
            iteration = (epoch - 1) * n_batches + minibatch
            if (iteration + 1) % n_batches == 0:
                measured = epoch
                if errors[epoch] < best:
                    if errors[epoch] < best * 0.995:
                        patience = max(patience, iteration * 2)
                    best = errors[epoch]
            if patience <= iteration:
                return measured
    return measured


@pytest.mark.parametrize("n_epochs", [3, 4, 10])
def test_the_tutorials_rule_is_the_tutorials(n_epochs):
    ends = [(doubles(n_epochs)(errors), epochs_of_the_tutorial(errors, n_epochs))
            for errors in map(random_errors, range(50))]
    assert all(ours == its for ours, its in ends)
    assert len({ours for ours, _ in ends}) > 3 and min(ends)[0] < 30


def test_what_a_rule_loses_is_against_the_end():
    errors = [0.9, 0.5, 0.6, 0.4, 0.45, 0.39]
    assert [waits(n)(errors) for n in (1, 2, 3)] == [2, 5, 5]
    assert [round(lost(errors, epoch), 6) for epoch in (0, 2, 3, 5)] == [51, 11, 1, 0]


def test_the_table_holds_means_and_extremes(monkeypatch):
    monkeypatch.setattr(stopping, "rules", lambda: {"one epoch": waits(1), "all": waits(9)})
    curves = [Curve("a", "paper's", 0, (0.9, 0.5, 0.6, 0.4)), Curve("a", "wide", 1, (0.9, 0.5, 0.3, 0.2)),
              Curve("b", "wide", 0, (0.9, 0.95, 0.3, 0.3))]
    one, everything = [[cell.strip() for cell in line.split("|")[1:-1]]
                       for line in stopping.report(curves).splitlines()[2:]]
    assert one == ["one epoch", "5.00 (10.00); 2", "60.00 (60.00); 1", "23.33 (60.00); 2", "67%", "b, wide, seed 0"]
    assert everything == ["all", "0.00 (0.00); 3", "0.00 (0.00); 3", "0.00 (0.00); 3", "0%", ""]


def test_the_command_at_a_tiny_size(monkeypatch, smoke_run, tmp_path, capsys):
    """On digits, a synthetic corpus and a folder; a second start trains nothing; test songs are not read."""
    read = []
    songs = Run.songs
    monkeypatch.setattr(Run, "songs", lambda self, part, *rest: read.append(part) or songs(self, part, *rest))
    monkeypatch.setattr(stopping, "SYNTHETIC", ((3, 2.0),))
    monkeypatch.setattr(stopping, "SETTINGS", {"paper's": ("minmax", {"hidden_layers_sizes": (4,)}),
                                               "Gaussian units": ("standardize", {"hidden_layers_sizes": (4,)})})
    folder, = (smoke_run / "corpus").glob("**/genres")
    arguments = ["--folder", str(folder), "--epochs", "3", "--seeds", "2", "--frames", "60", "--out", str(tmp_path)]
    stopping.main(arguments)
    printed = capsys.readouterr().out
    assert "12 trainings of 3 epochs" in printed
    assert all(name in printed for name in ("digits", "synthetic-3x2s", str(folder), "(the default)"))
    assert re.search(r"10 epochs without a lower error +\| 0.00 \(0.00\); 3 ", printed)
    assert set(read) == {"train", "valid"}

    monkeypatch.setattr(dbn.training.loops._EpochRunner, "run", None)
    stopping.main(arguments)
    assert capsys.readouterr().out == printed
