"""A network and data of a few numbers, the same in several test files so that its graphs are compiled once."""
import threading

import numpy as np

import dbn.graph.compile
import dbn.training.epochs
from dbn.audio.frames import FrameSet
from dbn.dbn import DBN
from dbn.graph.streams import RandomStreams
from dbn.training.loops import train
from dbn.training.settings import TrainingSettings

N_INS, HIDDEN, N_OUTS, BATCH_SIZE = 8, (6, 5), 3, 10

# all that an epoch may hand on to the next, and all that it may draw
EVERYTHING = {"persistent": True, "momentum": 0.5, "weight_decay": 0.001, "sparsity_cost": 1.0, "dropout": 0.2}


def examples(n, seed=0):
    """Three noisy patterns of zeros and ones: x float32 [n, 8] in [0, 1], y int32 [n]."""
    rng = np.random.default_rng(seed)
    patterns = np.random.default_rng(99).integers(0, 2, size=(N_OUTS, N_INS))
    y = rng.integers(N_OUTS, size=n).astype(np.int32)
    x = np.clip(patterns[y] * 0.7 + 0.4 * rng.random((n, N_INS)) - 0.05, 0, 1)
    return x.astype(np.float32), y


def network(dtype="float32", seed=0, **options):
    """A DBN whose output layer is not at the zeros that it starts from."""
    options = {"n_ins": N_INS, "hidden_layers_sizes": HIDDEN, "n_outs": N_OUTS} | options
    rng = np.random.default_rng(seed)
    made = DBN(rng, theano_rng=RandomStreams(seed + 1), dtype=dtype, **options)
    for param in made.all_params():
        if not param.get_value().any():
            param.set_value(rng.normal(scale=0.3, size=param.get_value().shape).astype(dtype))
    return made


def settings(**changes):
    """A short training run of the small network."""
    options = {"hidden_layers_sizes": HIDDEN, "pretrain_lr": 0.05, "pretrain_epochs": 3, "finetune_lr": 1.0,
               "finetune_epochs": 6, "batch_size": BATCH_SIZE, "patience": 10_000}
    return TrainingSettings(**(options | changes))


def training_sets():
    """Sets of 120 and 60 frames to train and validate on."""
    return [FrameSet.from_arrays(*examples(n, seed), segment_length=20) for n, seed in ((120, 1), (60, 2))]


def run_in(directory=None, progress=False, data_key="", max_epoch=None, **options):
    """Train the small network, in a folder if one is given."""
    return train(*training_sets(), N_OUTS, settings(**options), directory, data_key, progress, max_epoch)


def without(record, key):
    """A dict less a key."""
    return {name: value for name, value in record.items() if name != key}


def forget_compiled(monkeypatch):
    """An empty cache of compiled epochs for the length of a test."""
    monkeypatch.setattr(dbn.training.epochs, "_made", threading.local())


def leave_uncompiled(monkeypatch):
    """Graphs that no compiler sees, which takes longer than to run them a few times; for the length of a test."""
    monkeypatch.setattr(dbn.graph.compile, "mode", lambda: "FAST_COMPILE")
    forget_compiled(monkeypatch)


def replace_compiled(monkeypatch):
    """Let the loops run without a compiler, which takes seconds a run.

    What stands in for an epoch depends on the same things: the rows, their order, minibatches, rate and draws, the
    chains of PCD, the velocities and the other numbers.
    """
    def epoch(network, params, data, chains=None, velocities=(), sparsity=(), **numbers):
        carried = [*([] if chains is None else [chains]), *velocities]

        def run(order, batch_size, lr):
            draw = network.theano_rng.sequence.generate_state(1)[0] / 2**32
            draw += 0.1 * sum(number.get_value() for number in (*sparsity, *numbers.values()))
            for start in range(0, len(order), batch_size):
                mean = data.get_value()[order[start:start + batch_size]].mean()
                for variable in carried:
                    variable.set_value((0.5 * variable.get_value() + mean).astype(network.dtype))
                    mean += variable.get_value().mean()
                for param in params:
                    value = param.get_value()
                    param.set_value((0.9 * value + 0.1 * lr * (mean + draw)).astype(value.dtype))
            return float(mean)
        return run

    def pretraining_epoch(self, layer, data, k=1, persistent=None, **options):
        return epoch(self, self.rbm_layers[layer].params, data, persistent, **options)

    forget_compiled(monkeypatch)
    monkeypatch.setattr(DBN, "pretraining_epoch", pretraining_epoch)
    monkeypatch.setattr(DBN, "finetuning_epoch", lambda self, x, y, **options: epoch(self, self.params, x, **options))
