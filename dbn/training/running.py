"""What the loops share: epochs in calls that can be watched and stopped, and what is looked at after each."""
from contextlib import contextmanager

import numpy as np

from dbn.errors import DivergedError, TrainingError
from dbn.system.progress import progress_bar
from dbn.training.epochs import carried_state
from dbn.training.state import ADVICE, alike

# what the seeds of the different draws begin with, so that no two of them are the same
WEIGHTS, SHUFFLING, SAMPLING, DROPOUT = range(4)


@contextmanager
def lent(params, compiled):
    """Lend the values of a network's `params` to a compiled epoch, and take back what becomes of them.

    Parameters
    ----------
    params : list of shared variables
        In the order of ``compiled.params``.
    compiled : dbn.training.epochs.CompiledEpoch
    """
    for ours, its in zip(params, compiled.params, strict=True):
        its.set_value(ours.get_value(borrow=True))
    yield
    for ours, its in zip(params, compiled.params):
        ours.set_value(its.get_value())


def run_in_calls(compiled, order, batch_size, lr, bar, per_call):
    """Sum of the costs of an epoch's examples in the order given, `per_call` or less in a call.

    Parameters
    ----------
    compiled : dbn.training.epochs.CompiledEpoch
    order : int64 array [n]
    batch_size : int
        Examples of a minibatch, all of one call.
    lr : float
    bar : tqdm.tqdm
        Told of every call.
    per_call : int
        Of examples: their computation takes a fraction of a second, so that the bar moves and Ctrl-C is heard.

    Returns
    -------
    float
    """
    total, per_call = 0.0, batch_size * max(1, per_call // batch_size)
    for start in range(0, len(order), per_call):
        rows = order[start:start + per_call]
        total += float(compiled.run(rows, batch_size, lr)) * len(rows)
        bar.update(len(rows))
    return total


def carried_variables(graph, params, rbm, settings, state):
    """What epochs hand on beside the parameters, as the last epoch of this stage left it, if there was one."""
    carried = [each for of_kind in carried_state(graph, params, rbm, settings.batch_size) for each in of_kind]
    before = [variable.get_value(borrow=True) for variable in carried]
    if state.carried and not alike(state.carried, before):
        raise TrainingError(f"{state.path}: what an epoch hands on is of another size; {ADVICE}")
    for variable, value in zip(carried, state.carried):
        variable.set_value(value)
    return carried


def finite_values(network, cost, where, option, lr, state):
    """Copies of the parameters, once it is sure that they are still numbers, whose products are numbers too."""
    values = network.get_values()
    highest = np.sqrt(np.finfo(network.dtype).max)
    if not np.isfinite(cost) or not all((np.abs(value) < highest).all() for value in values):
        raise DivergedError(f"{where}: the cost is no longer a finite number; lower {option} (now {lr:g})",
                            state.history)
    return values


def epochs_bar(description, total, initial, progress, unit=" frames"):
    """A bar over all epochs of a stage, see :func:`dbn.system.progress.progress_bar`."""
    return progress_bar(description, None, progress, total=total, initial=initial, unit=unit, unit_scale=True,
                        smoothing=0.1)
