"""Where the time of a training epoch goes, by kind of work.

A compiled epoch is one function, into which no profiler of Python sees. But it is made of the nodes of PyTensor's
graph, each of which Numba compiles as a function of its own. So the graph that the library runs is taken as the
compiler has rewritten it, every node is called alone on the values that it has in the first minibatch, in turn with
the whole epoch, and the times are added up by kind. What the whole takes beyond the sum is the rest: the loop,
indexing, and data that a node finds in the processor's cache only when it is called again and again.
"""
from dataclasses import dataclass
from functools import partial
from time import perf_counter, thread_time

import numpy as np
import pytensor
from pytensor.graph.basic import Apply, Constant
from pytensor.link.numba.dispatch.basic import numba_funcify_and_cache_key, numba_njit
from pytensor.scan.op import Scan
from pytensor.tensor.elemwise import Elemwise

from experiments.bench.common import alternate
from experiments.bench.library import FINETUNE_LR, PRETRAIN_LR, Library, frames

PRODUCTS, GATHERING, DRAWS = "matrix products, with updates that are part of them", "gathering rows", "random draws"
SIGMOIDS, COSTS, BOTH = "sigmoids", "softmax, softplus, costs", "sigmoids and softplus in one loop"
RECONSTRUCTION = "draws, sigmoids and costs of CD's visible units in one loop"
SUMS, OTHER = "sums", "other element-wise work, with updates"
REST = "the rest: loop, indexing, rows from memory"

# by the beginning of the name of an operation's class, PyTensor's and the library's own
INDEXING = ("Subtensor", "DimShuffle", "Shape", "ScalarFromTensor", "TensorFromScalar", "MakeVector", "Assert", "Alloc",
            "Filled")
KINDS = {("Dot", "Gemm", "Gemv", "Ger", "AddProduct", "Product"): PRODUCTS,
         ("TakeRows", "AdvancedSubtensor"): GATHERING, ("RandomVariable", "Bernoulli", "Normal"): DRAWS,
         ("Reconstruction",): RECONSTRUCTION, ("Sigmoid",): SIGMOIDS,
         ("Softmax", "LogSoftmax", "Softplus", "BinaryCrossEntropy"): COSTS,
         ("MatrixSum", "Sum", "CAReduce", "Max"): SUMS, INDEXING: None}

CALLS_SECONDS = 2e-3  # a node is called for so long at a time

_compiled = {}


def profiles(sizes):
    """Both parts of training at the paper's minibatch of 20, and fine-tuning at 1,000.

    Returns
    -------
    list of dict
        See :func:`profile`.
    """
    x, y = frames(sizes.n_frames)
    library = Library(x, y)
    order = np.random.default_rng(1).permutation(sizes.n_frames)[:sizes.call_frames]
    finetune = library.dbn.finetuning_epoch(library.x, library.y)
    pretrain = library.dbn.pretraining_epoch(0, library.x)
    return [profile(work, function, order, batch_size, lr, sizes.rounds) for work, function, batch_size, lr in
            (("fine-tuning 513-50-50-50-10", finetune, 20, FINETUNE_LR),
             ("fine-tuning 513-50-50-50-10", finetune, 1000, FINETUNE_LR),
             ("CD-1 513->50", pretrain, 20, PRETRAIN_LR))]


def profile(work, epoch_function, order, batch_size, lr, rounds):
    """Time a compiled epoch and its nodes in turn.

    Parameters
    ----------
    work : str
        What it is.
    epoch_function : pytensor function
        Of :func:`dbn.graph.compile.epoch_function`.
    order, batch_size, lr
        Its arguments.
    rounds : int

    Returns
    -------
    dict
        ``work``; ``nanoseconds`` a frame; ``parts``, a list of (kind, nanoseconds a frame, share of the whole).
    """
    work = f"{work}, minibatch {batch_size}"
    nodes = node_calls(epoch_function, order, batch_size, lr)
    contestants = {"whole": partial(epoch_function, order, batch_size, lr)}
    for number, node in enumerate(nodes):
        contestants[number] = node.call
        contestants[number, "restore"] = node.restore
    # of the processor: short calls are seldom interrupted by what else runs there, the whole epoch often
    seconds = alternate(contestants, rounds, f"profile of {work}", clock=thread_time)
    total = np.median(seconds["whole"]) / len(order)
    spent = {}
    for number, node in enumerate(nodes):
        a_call = np.median(seconds[number] - seconds[number, "restore"]) / node.n_calls
        kind = kind_of(node.apply.op)
        spent[kind] = spent.get(kind, 0.0) + a_call / min(batch_size, len(order))
    parts = sorted(spent.items(), key=lambda part: -part[1]) + [(REST, total - sum(spent.values()))]
    return {"work": work, "nanoseconds": float(1e9 * total),
            "parts": [(kind, float(1e9 * value), float(value / total)) for kind, value in parts]}


def kind_of(op):
    """The kind of work that an operation is; None for indexing, which costs next to nothing."""
    if not isinstance(op, Elemwise):
        name = type(op).__name__
        return next((kind for names, kind in KINDS.items() if name.startswith(names)), OTHER)
    inner = getattr(op.scalar_op, "fgraph", None)  # of several operations fused into one loop
    names = " ".join(type(node.op).__name__ for node in inner.toposort()) if inner else type(op.scalar_op).__name__
    found = tuple(any(word in names for word in words) for words in (("Sigmoid", "Exp"), ("Softplus", "Log")))
    return {(True, True): BOTH, (True, False): SIGMOIDS, (False, True): COSTS, (False, False): OTHER}[found]


@dataclass(frozen=True)
class NodeCalls:
    """A node, a function that calls it `n_calls` times, and one that does what else the first does."""

    apply: Apply
    n_calls: int
    call: callable
    restore: callable


def node_calls(epoch_function, order, batch_size, lr):
    """The nodes that a minibatch runs through, but for indexing, with the values that they have in the first one.

    Returns
    -------
    list of NodeCalls
    """
    given = {"order": order, "batch_size": np.array(batch_size), "lr": np.array(lr, dtype=np.float32)}
    graph = epoch_function.maker.fgraph
    values = {variable: given.get(variable.name, container.storage[0])
              for variable, container in zip(graph.inputs, epoch_function.input_storage)}
    for node in graph.toposort():
        inputs = _inputs(node, values)
        if isinstance(node.op, Scan):
            with pytensor.config.change_flags(numba__fastmath=False):  # as dbn.graph.compile.function compiles
                return list(_in_graph(node.op.fgraph, _first_step(node, inputs)))
        values.update(zip(node.outputs, _performed(node, inputs)))
    raise ValueError("this function has no loop over minibatches")


def _inputs(node, values):
    return [variable.data if isinstance(variable, Constant) else values[variable] for variable in node.inputs]


def _performed(node, inputs):
    """A node's outputs, by its code in Python."""
    outputs = [[None] for _ in node.outputs]
    node.op.perform(node, [_copy(value) for value in inputs], outputs)
    return [cell[0] for cell in outputs]


def _copy(value):
    """A node may write into its inputs."""
    return value.copy() if isinstance(value, np.ndarray) else value


def _in_graph(graph, values):
    """The calls of each node, whose outputs are the inputs of others."""
    for node in graph.toposort():
        inputs = _inputs(node, values)
        if kind_of(node.op) is None:
            outputs = _performed(node, inputs)
        else:
            calls, outputs = _calls(node, inputs)
            yield calls
        values.update(zip(node.outputs, outputs))


def _first_step(scan, inputs):
    """What the graph inside a scan computes its first step from: a dict of values by variable."""
    op, outer, inner = scan.op, dict(zip(scan.inputs, inputs)), scan.op.fgraph.inputs
    values = {}
    for of_kind, first in (("seqs", True), ("sitsot", True), ("untraced_sit_sot", False), ("non_seqs", False)):
        inside, outside = getattr(op, f"inner_{of_kind}")(inner), getattr(op, f"outer_{of_kind}")(scan.inputs)
        values |= {i: np.asarray(outer[o][0]) if first else outer[o] for i, o in zip(inside, outside)}
    return values


def _calls(node, inputs):
    """The calls of a node, and what the first one gave."""
    function, key = numba_funcify_and_cache_key(node.op, node=node)
    overwritten = [i for places in node.op.destroy_map.values() for i in places if isinstance(inputs[i], np.ndarray)]
    arguments = tuple(map(_copy, inputs)), tuple(_copy(inputs[i]) for i in overwritten)
    # of nodes with one key one is compiled; without a key, each
    loop, restore = _compiled.setdefault((key or node, *overwritten), _loops(function, overwritten))
    outputs = loop(1, *arguments)
    outputs = [_copy(value) for value in (outputs if len(node.outputs) > 1 else [outputs])]
    began = perf_counter()
    loop(10, *arguments)
    n_calls = max(10, int(10 * CALLS_SECONDS / (perf_counter() - began)))
    return NodeCalls(node, n_calls, partial(loop, n_calls, *arguments), partial(restore, n_calls, *arguments)), outputs


def _loops(function, overwritten):
    """Two compiled loops: one calls `function` on inputs that are as they were, the other only makes them so.

    What is overwritten again and again would run into infinities and denormal numbers, with which everything is slow.
    """
    if not overwritten:
        @numba_njit(final_function=True)
        def call(n, inputs, originals):
            for _ in range(n - 1):
                function(*inputs)
            return function(*inputs)
        return call, _nothing

    [place] = overwritten

    @numba_njit(final_function=True)
    def restore(n, inputs, originals):
        for _ in range(n - 1):
            inputs[place][...] = originals[0]

    @numba_njit(final_function=True)
    def call_and_restore(n, inputs, originals):
        for _ in range(n - 1):
            function(*inputs)
            inputs[place][...] = originals[0]
        return function(*inputs)

    return call_and_restore, restore


def _nothing(n, inputs, originals):
    """What has to be restored where a node overwrites none of its inputs."""
