"""What the later ideas cost: an epoch with each of them, against one without and the same arithmetic in NumPy."""
from functools import partial

import numpy as np

from dbn.training.epochs import Graph, carried_state, compiled_epoch
from dbn.training.loops import build_dbn
from dbn.training.settings import TrainingSettings
from experiments.bench.common import alternate, times_faster
from experiments.bench.library import FINETUNE_LR, N_INS, N_OUTS, PRETRAIN_LR, frames, in_calls

OFF, WITH = "without", "with"
ADDED = "without it, and what it adds in NumPy"
TARGET = 1.0
BATCH_SIZE = 20
OF_FINETUNING = {"momentum": 0.9, "weight_decay": 1e-4, "dropout": 0.5, "activation": "relu"}
OF_PRETRAINING = {"momentum": 0.9, "weight_decay": 1e-4, "sparsity_cost": 0.1, "persistent": True}


def option_rows(sizes):
    """Fine-tuning 513-50-50-50-10 and CD-1 on 513 -> 50 with one option each."""
    x, y = frames(sizes.n_frames)
    order = np.random.default_rng(1).permutation(sizes.n_frames)[:sizes.call_frames]
    rows = []
    for is_tuned, options in ((True, OF_FINETUNING), (False, OF_PRETRAINING)):
        plain = _epoch(TrainingSettings(pretrain_epochs=0), is_tuned, x, y)
        for name, value in options.items():
            settings = TrainingSettings(pretrain_epochs=0, **{name: value})
            ours = partial(_epoch(settings, is_tuned, x, y), order)
            added = partial(_Added(settings, is_tuned).run, name, len(order) // BATCH_SIZE)
            contestants = {OFF: partial(plain, order), WITH: ours, ADDED: partial(_both, partial(plain, order), added)}
            work = f"{'fine-tuning' if is_tuned else 'CD-1'}, minibatch {BATCH_SIZE}, {name} {value}"
            seconds = alternate(contestants, sizes.rounds, work)
            rows += times_faster(work, seconds, WITH, {ADDED: TARGET, OFF: None}, len(order), "frames/s")
    return rows


def _epoch(settings, is_tuned, x, y):
    """``train(order)``, one epoch as :mod:`dbn.training.loops` compiles and runs it."""
    graph = Graph.of_finetuning(settings) if is_tuned else Graph.of_pretraining(settings, settings.visible)
    dbn, compiled = build_dbn(settings, N_INS, N_OUTS), compiled_epoch(graph, "float32")
    rbm = None if is_tuned else dbn.rbm_layers[0]
    params = dbn.params if is_tuned else rbm.params
    carried = [variable for of_kind in carried_state(graph, params, rbm, BATCH_SIZE) for variable in of_kind]
    for ours, value in zip(compiled.params, [*params, *carried], strict=True):
        ours.set_value(value.get_value())
    compiled.set_numbers(settings)
    compiled.data_x.set_value(x, borrow=True)
    compiled.data_y.set_value(y, borrow=True)
    return partial(in_calls, compiled.run, batch_size=BATCH_SIZE, lr=FINETUNE_LR if is_tuned else PRETRAIN_LR)


def _both(*calls):
    for call in calls:
        call()


class _Added:
    """The arithmetic that each option adds to a minibatch, element by element and in place; a method for each."""

    def __init__(self, settings, is_tuned):
        layers = settings.hidden_layers_sizes
        sizes = [N_INS, *layers, N_OUTS] if is_tuned else [N_INS, layers[0]]
        self.rng = np.random.default_rng(0)
        self.W, self.gradients, self.others = (self._arrays(zip(sizes, sizes[1:])) for _ in range(3))
        self.layers, self.deltas = (self._arrays((BATCH_SIZE, size) for size in layers) for _ in range(2))
        self.x, = self._arrays([(BATCH_SIZE, N_INS)])

    def _arrays(self, shapes):
        return [0.01 * self.rng.random(shape, dtype=np.float32) for shape in shapes]

    def run(self, name, n_minibatches):
        """Work off so many minibatches with the option of this name."""
        for _ in range(n_minibatches):
            getattr(self, name)()

    def momentum(self):
        for velocity, gradient in zip(self.others, self.gradients):
            np.multiply(velocity, 0.9, out=velocity)
            np.add(velocity, gradient, out=velocity)

    def weight_decay(self):
        for weights, gradient, scaled in zip(self.W, self.gradients, self.others):
            np.multiply(weights, 1e-4, out=scaled)
            np.add(gradient, scaled, out=gradient)

    def dropout(self):
        for layer, delta in zip(self.layers, self.deltas):
            kept = self.rng.random(layer.shape, dtype=np.float32) < 0.5
            np.multiply(layer, kept, out=layer)
            np.multiply(delta, kept, out=delta)

    def activation(self):
        pass  # a maximum instead of an exponential

    def sparsity_cost(self):
        self.layers[0].mean(axis=0)

    def persistent(self):
        for _ in range(2):  # the pseudo-likelihood: two free energies, where CD has the reconstruction's cost
            np.log1p(np.exp(self.x @ self.W[0])).sum(axis=1)
