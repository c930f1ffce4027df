"""Compiled epochs are shared by networks of one shape, and by no two threads."""
import errno
import os
import re
import threading

import numpy as np
import pytensor
import pytest

import dbn.training.epochs
from dbn.audio.frames import FrameSet
from dbn.errors import DBNError
from dbn.training.epochs import Graph, compiled_epoch
from dbn.training.loops import train
from small_network import N_OUTS, examples, forget_compiled, settings, training_sets

PRETRAINING, FINETUNING = Graph(), Graph(n_layers=2)


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


def test_a_full_folder_of_compiled_functions_is_named(quick, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    epoch = compiled_epoch(FINETUNING, "float32")
    monkeypatch.setattr(epoch, "_run", full)
    folder = re.escape(str(pytensor.config.compiledir))
    with pytest.raises(DBNError, match=f"^{folder}: cannot be written: No space left"):
        epoch.run(np.arange(1), 1, 0.1)


def test_every_shape_has_a_function_of_its_own(monkeypatch):
    """By everything that changes the graph, whose building is left out here; by nothing else."""
    forget_compiled(monkeypatch)
    monkeypatch.setattr(dbn.training.epochs, "CompiledEpoch", lambda graph, dtype: (graph, dtype))
    shapes = [{}, {"k": 2}, {"persistent": True}, {"momentum": 0.5}, {"weight_decay": 0.1}, {"sparsity_cost": 1.0}]
    graphs = [Graph.of_pretraining(settings(**shape), "bernoulli") for shape in shapes]
    graphs += [Graph.of_pretraining(settings(), "gaussian")]
    shapes = [{}, {"hidden_layers_sizes": (5,)}, {"output": "sigmoid"}, {"momentum": 0.5}, {"weight_decay": 0.1},
              {"dropout": 0.5}, {"activation": "relu", "pretrain_epochs": 0}]
    graphs += [Graph.of_finetuning(settings(**shape)) for shape in shapes]
    made = [compiled_epoch(graph, dtype) for graph in graphs for dtype in ("float32", "float64")]
    assert len(set(made)) == len(made) == 28
    assert {Graph.of_pretraining(settings(momentum=momentum, weight_decay=0.1, sparsity_cost=1.0), "gaussian").numbers
            for momentum in (0.1, 0.9)} == {("momentum", "weight_decay", "sparsity_cost", "sparsity_target")}
    same = {"hidden_layers_sizes": (9, 2), "pretrain_lr": 0.1, "finetune_lr": 0.2, "batch_size": 3, "seed": 4}
    assert Graph.of_finetuning(settings(**same)) == Graph.of_finetuning(settings())
    assert Graph.of_pretraining(settings(**same), "gaussian") == Graph.of_pretraining(settings(), "gaussian")


def test_threads_share_nothing(compilations):
    """Two networks trained at the same time, epoch for epoch, come out as one after the other."""
    seeds = 0, 1
    expected = {seed: bits(training_sets(), seed=seed) for seed in seeds}
    epochs, found, together = [], {}, threading.Barrier(2)

    def work(seed):
        epochs.append(compiled_epoch(FINETUNING, "float32"))
        together.wait()
        found[seed] = bits(training_sets(), seed=seed)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in seeds]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == expected
    assert len({id(epoch) for epoch in [*epochs, compiled_epoch(FINETUNING, "float32")]}) == 3
    assert len(compilations) == 6


def test_the_rows_are_let_go(compilations):
    bits(training_sets())
    for epoch in (compiled_epoch(PRETRAINING, "float32"), compiled_epoch(FINETUNING, "float32")):
        assert epoch.data_x.get_value().size == epoch.data_y.get_value().size == 0
    assert len(compilations) == 2
