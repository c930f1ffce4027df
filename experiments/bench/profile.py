"""Where the time of a training epoch goes, by kind of work.

A compiled epoch is one function, into which no profiler of Python sees. So each kind of work is done alone, as often
and at the shapes that a minibatch has it: what the library has expressions for by those expressions, through the same
:func:`dbn.graphs.epoch_function`, less the same epoch that only reads their inputs; products, gathering and updates by
NumPy. What the whole epoch takes beyond the sum is the rest: the scan itself, temporaries, biases. Where the library
does a kind of work better than NumPy does it alone, the rest is too small by the difference.
"""
from functools import partial

import numpy as np
import pytensor
import pytensor.tensor as pt
from pytensor.graph.replace import graph_replace

from dbn.graphs import epoch_function
from dbn.streams import RandomStreams
from experiments.bench import peers
from experiments.bench.common import alternate
from experiments.bench.library import FINETUNE_LR, PRETRAIN_LR, Library, frames
from experiments.bench.training import cd1_products

REST = "the rest: scan, temporaries, biases"


def profiles(sizes):
    """Both parts of training at the paper's minibatch of 20, and fine-tuning at 1,000.

    Returns
    -------
    list of dict
        ``work``, ``nanoseconds`` a frame and ``parts``, a list of (kind, nanoseconds a frame, share of the whole).
    """
    x, y = frames(sizes.n_frames)
    library = Library(x, y)
    order = np.random.default_rng(1).permutation(sizes.n_frames)[:sizes.call_frames]
    finetune = partial(library.finetuning(), order, lr=FINETUNE_LR)
    pretrain = partial(library.pretraining(), order, lr=PRETRAIN_LR)
    parts = _finetuning_parts(library, x, y, order)
    return [*(_profile("fine-tuning 513-50-50-50-10", finetune, parts, order, batch_size, sizes)
              for batch_size in (20, 1000)),
            _profile("CD-1 513->50", pretrain, _cd1_parts(library, x, order), order, 20, sizes)]


def _profile(work, whole, parts, order, batch_size, sizes):
    """Time the whole and its parts in turn.

    A part is (kind, function, function to subtract or None); all functions take `batch_size`.
    """
    work = f"{work}, minibatch {batch_size}"
    contestants = {"whole": partial(whole, batch_size=batch_size)}
    for kind, function, baseline in parts:
        contestants[kind] = partial(function, batch_size=batch_size)
        if baseline is not None:
            contestants[kind, "baseline"] = partial(baseline, batch_size=batch_size)
    seconds = alternate(contestants, sizes.rounds, f"profile of {work}")
    spent = {kind: np.median(seconds[kind] - seconds.get((kind, "baseline"), 0)) for kind, _, _ in parts}
    total = np.median(seconds["whole"])
    spent[REST] = total - sum(spent.values())
    return {"work": work, "nanoseconds": float(1e9 * total / len(order)),
            "parts": [(kind, float(1e9 * value / len(order)), float(value / total)) for kind, value in spent.items()]}


def _finetuning_parts(library, x, y, order):
    dbn, n = library.dbn, len(order)
    layers = [rbm.propup(rbm.input) for rbm in dbn.rbm_layers]
    derivatives = [pt.grad(pt.sqr(mean).sum(), pre_sigmoid) for pre_sigmoid, mean in layers]
    output = dbn.logLayer
    gradient = pt.grad(output.cost(dbn.y), output.activation)
    return [("gathering rows (NumPy)", partial(_gather, x, order), None),
            ("matrix products (NumPy)", partial(peers.MatrixProducts(library.params, x).train, order, lr=0), None),
            ("sigmoids and their derivatives", *_alone(derivatives, {pre_sigmoid: 50 for pre_sigmoid, _ in layers}, n)),
            ("softmax, cost and gradient", *_alone([gradient], {output.activation: 10, dbn.y: y}, n)),
            ("updates (NumPy)", partial(_updates, library.params, n), None)]


def _cd1_parts(library, x, order):
    rbm, n = library.dbn.rbm_layers[0], len(order)
    pre_hidden, hidden = rbm.propup(rbm.input)
    pre_visible, visible = rbm.propdown(hidden)
    pre_hidden_end, hidden_end = rbm.propup(visible)
    reconstruction = rbm.get_reconstruction_cost({}, pre_visible)
    streams, means = RandomStreams(0), [hidden, visible, hidden_end]
    return [("gathering rows (NumPy)", partial(_gather, x, order), None),
            ("matrix products (NumPy)", partial(cd1_products, library.params[0], x[order]), None),
            ("sigmoids", *_alone(means, {pre_hidden: 50, pre_visible: 513, pre_hidden_end: 50}, n)),
            ("random draws", *_alone([streams.bernoulli(mean) for mean in means], dict(zip(means, (50, 513, 50))), n,
                                     streams.collect_updates())),
            ("monitored cost", *_alone([reconstruction], {rbm.input: x, pre_visible: 513}, n)),
            ("updates (NumPy)", partial(_updates, [param.get_value() for param in rbm.params], n), None)]


def _alone(outputs, inputs, n, updates=None):
    """An epoch that computes nothing but `outputs` for every minibatch, and one that only reads their inputs.

    Parameters
    ----------
    outputs : list of symbolic variables
    inputs : dict of symbolic variable to (int or array)
        What the outputs are computed from: its rows, or the number of columns of random ones.
    n : int
        Rows used.
    updates : dict, optional
        New values of shared variables that belong to the outputs.
    """
    rng = np.random.default_rng(2)
    data, replacements = {}, {}
    for inner, values in inputs.items():
        replacements[inner] = inner.type()
        data[replacements[inner]] = pytensor.shared(
            rng.random((n, values), dtype=np.float32) if isinstance(values, int) else values)
    updates = updates or {}
    total, *new = graph_replace([sum(output.sum() for output in outputs), *updates.values()], replacements,
                                strict=False)
    reading = sum(variable.sum() for variable in data)
    lr = pt.scalar("lr", dtype="float32")
    clock = pytensor.shared(np.float32(0))  # an epoch function has something to update, and a rate in it
    order = np.arange(n)
    return [partial(epoch_function(pt.cast(cost, "float32"), {clock: clock + lr} | extra, data, lr), order, lr=0.0)
            for cost, extra in ((total, dict(zip(updates, new))), (reading, {}))]


def _gather(x, order, batch_size):
    out = np.empty((batch_size, x.shape[1]), dtype=x.dtype)
    for start in range(0, len(order), batch_size):
        rows = order[start:start + batch_size]
        np.take(x, rows, axis=0, out=out[:len(rows)], mode="clip")


def _updates(params, n, batch_size):
    gradients = [np.zeros_like(param) for param in params]
    for _ in range(0, n, batch_size):
        for param, gradient in zip(params, gradients):
            gradient *= np.float32(0.1)
            param -= gradient
