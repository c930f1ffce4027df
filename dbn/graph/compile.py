"""From symbolic graphs to compiled functions: the same bits every time, and whole epochs in one call."""
import tempfile
import threading

import pytensor
import pytensor.link.numba.cache
import pytensor.link.utils
import pytensor.tensor as pt
from pytensor.compile.mode import get_default_mode
from pytensor.compile.sharedvalue import SharedVariable
from pytensor.graph.replace import graph_replace
from pytensor.graph.traversal import graph_inputs
from pytensor.raise_op import CheckAndRaise
from pytensor.tensor.type import TensorType

from dbn.graph.ops import take_rows
from dbn.graph.rewrites import TAG


def _source_file(delete=True):
    """A temporary file for a function's source, gone once it is closed: PyTensor would leave it, and reads no more."""
    return tempfile.NamedTemporaryFile()


for _module in (pytensor.link.utils, pytensor.link.numba.cache):
    _module.NamedTemporaryFile = _source_file

_one_at_a_time = threading.Lock()  # PyTensor's flags are the process's, not a thread's


def mode():
    """PyTensor's default mode with :mod:`dbn.graph.rewrites`, and without in-place element-wise operations.

    Where a loop writes what it reads under another name, Numba's compiler must fear that the two overlap by half, and
    makes no vector instructions.
    """
    return get_default_mode().including(TAG).excluding("inplace_elemwise")


def function(inputs, outputs, **options):
    """``pytensor.function`` in our :func:`mode`, without fast-math.

    With fast-math the compiler may reorder sums, and it does so differently in
    the process that compiles a function and in the ones that load it from the
    cache: the same seed would give other bits the second time.
    """
    with _one_at_a_time, pytensor.config.change_flags(numba__fastmath=False):
        return pytensor.function(inputs, outputs, **{"mode": mode()} | options)


def n_minibatches(n_examples, batch_size):
    """Number of minibatches of `batch_size` rows that hold `n_examples`, the last of them perhaps smaller."""
    return -(-n_examples // batch_size)


def minibatch(data, index, batch_size):
    """Rows of the minibatch `index` of shared `data`; the last one holds what is left."""
    return data[index * batch_size:(index + 1) * batch_size]


_AT_LEAST_ONE = CheckAndRaise(ValueError, "an epoch has at least one row, and a minibatch too: "
                                          "order is empty, or batch_size is not positive")


def _rows_of(data, rows):
    return take_rows(data, rows) if data.ndim == 2 else data[rows]


def epoch_function(cost, updates, data, lr):
    """Turn the update of one minibatch into a function that runs a whole epoch.

    Every shared variable that `updates` changes is carried through a ``scan``
    over the minibatches and stored at the end, so that Python is entered once
    an epoch; so are those of the graph that have a default update, the states
    of its draws. The rows are taken in the order that the caller gives, which
    shuffles them; every row is used once, the last minibatch being smaller
    where `batch_size` does not divide their number.

    Parameters
    ----------
    cost : symbolic scalar
        Mean cost of a minibatch, before its update.
    updates : dict
        New values of shared variables, parameters and chains alike.
    data : dict
        For each symbolic input of the graph (any variable in it will do) the
        shared variable whose rows stand for it.
    lr : symbolic scalar
        The learning rate in `updates`.

    Returns
    -------
    callable
        ``fn(order, batch_size, lr)`` with `order` int64 [n], the rows in the
        order of their use; gives the mean cost over the epoch's examples.
        ValueError for an epoch of no rows, or minibatches of none.
    """
    by_default = {variable: variable.default_update for variable in graph_inputs([cost, *updates.values()])
                  if isinstance(variable, SharedVariable) and variable.default_update is not None}
    updates = {**by_default, **updates}
    order, given = pt.lvector("order"), pt.lscalar("batch_size")
    batch_size = _AT_LEAST_ONE(given, order.shape[0] > 0, given > 0)
    carried = list(updates)

    def step(index, *values):
        rows = minibatch(order, index, batch_size)
        replacements = dict(zip(carried, values))
        replacements.update((variable, _rows_of(shared, rows)) for variable, shared in data.items())
        step_cost, *new = graph_replace([cost, *updates.values()], replacements, strict=False)
        return [step_cost * rows.shape[0], *new]

    indices = pt.arange(n_minibatches(order.shape[0], batch_size))
    costs, *finals = pytensor.scan(step, sequences=[indices], outputs_info=[None, *carried], return_updates=False,
                                   mode=mode())
    return function([order, given, pytensor.In(lr, allow_downcast=True)], costs.sum() / order.shape[0],
                    # PyTensor's own generators come out of a scan without their past
                    updates={variable: final[-1] if isinstance(final.type, TensorType) else final
                             for variable, final in zip(carried, finals)})
