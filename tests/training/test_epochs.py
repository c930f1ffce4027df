"""Compiled epochs are shared by networks of one shape, and by no two threads."""
import threading

import numpy as np
import pytensor
import pytest

import dbn.training.epochs
from dbn.audio.frames import FrameSet
from dbn.training.epochs import finetuning_epoch, pretraining_epoch
from dbn.training.loops import train
from small_network import N_OUTS, examples, forget_compiled, settings, training_sets


@pytest.fixture
def compilations(monkeypatch):
    """An empty cache, and the functions compiled since: a list that grows."""
    made, compile_function = [], pytensor.function

    def count(inputs, outputs, **options):
        made.append(compile_function(inputs, outputs, **options))
        return made[-1]

    forget_compiled(monkeypatch)
    monkeypatch.setattr(pytensor, "function", count)
    return made


def wide_sets():
    """Of eleven features, of which the last three are always 0."""
    return [FrameSet.from_arrays(np.pad(x, ((0, 0), (0, 3))), y) for x, y in (examples(90, 3), examples(40, 4))]


def bits(sets, **options):
    result = train(*sets, N_OUTS, settings(**options), progress=False)
    return [value.tobytes() for value in result.dbn.get_values()], [record["cost"] for record in result.history]


def test_networks_of_any_width_share_two_functions(compilations, monkeypatch):
    """And each gets the bits that it gets when everything is compiled for it alone."""
    runs = [(training_sets(), {}), (wide_sets(), {"hidden_layers_sizes": (4, 7), "batch_size": 7, "pretrain_lr": 0.1}),
            (training_sets(), {"hidden_layers_sizes": (3, 2), "seed": 1})]
    shared = [bits(sets, **options) for sets, options in [*runs, runs[0]]]
    assert len(compilations) == 2  # one to pre-train, one to fine-tune
    assert shared[0] == shared[-1] and shared[0] != shared[1]
    for expected, (sets, options) in zip(shared[1:], runs[1:]):
        forget_compiled(monkeypatch)
        assert bits(sets, **options) == expected
    assert len(compilations) == 6


def test_every_shape_has_a_function_of_its_own(monkeypatch):
    """By everything that changes the graph, whose building is left out here."""
    forget_compiled(monkeypatch)
    monkeypatch.setattr(dbn.training.epochs, "CompiledEpoch", lambda dbn, layer=None, k=1, persistent=False: (
        dbn.n_layers, type(dbn.rbm_layers[0]).__name__, dbn.logLayer.output, dbn.dtype, layer, k, persistent))
    made = [pretraining_epoch("bernoulli", 1, False, "float32"), pretraining_epoch("bernoulli", 2, False, "float32"),
            pretraining_epoch("bernoulli", 1, True, "float32"),
            pretraining_epoch("gaussian", 1, False, "float32"), pretraining_epoch("bernoulli", 1, False, "float64"),
            *(finetuning_epoch(n, output, dtype) for n in (1, 2) for output in ("softmax", "sigmoid")
              for dtype in ("float32", "float64"))]
    assert made == [(1, "RBM", "softmax", "float32", 0, 1, False), (1, "RBM", "softmax", "float32", 0, 2, False),
                    (1, "RBM", "softmax", "float32", 0, 1, True),
                    (1, "GaussianRBM", "softmax", "float32", 0, 1, False),
                    (1, "RBM", "softmax", "float64", 0, 1, False),
                    *((n, "RBM", output, dtype, None, 1, False) for n in (1, 2) for output in ("softmax", "sigmoid")
                      for dtype in ("float32", "float64"))]


def test_threads_share_nothing(compilations):
    """Two networks trained at the same time, epoch for epoch, come out as one after the other."""
    seeds = 0, 1
    expected = {seed: bits(training_sets(), seed=seed) for seed in seeds}
    epochs, found, together = [], {}, threading.Barrier(2)

    def work(seed):
        epochs.append(finetuning_epoch(2, "softmax", "float32"))
        together.wait()
        found[seed] = bits(training_sets(), seed=seed)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in seeds]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == expected
    assert len({id(epoch) for epoch in [*epochs, finetuning_epoch(2, "softmax", "float32")]}) == 3
    assert len(compilations) == 6


def test_the_rows_are_let_go(compilations):
    bits(training_sets())
    for epoch in (pretraining_epoch("bernoulli", 1, False, "float32"), finetuning_epoch(2, "softmax", "float32")):
        assert epoch.data_x.get_value().size == epoch.data_y.get_value().size == 0
    assert len(compilations) == 2
