"""What the workers of a search do: compile graphs, train points, leave their records on the disk."""
import hashlib
import json
import sys
import threading

import numpy as np

from dbn.errors import DBNError, DivergedError, TrainingError
from dbn.system.files import atomic_path, sole_writer
from dbn.system.stored import COUNT, kept_json
from dbn.system.workers import end_loky_workers
from dbn.training.epochs import Graph, compiled_epoch
from dbn.training.loops import train
from experiments.search.inputs import open_inputs
from experiments.search.pool import results
from experiments.search.records import is_over, new_record, read_record, work_folder, write_record

DEATHS = 2

# PyTensor's compiler is not made for several threads, which a Dask worker may have
_one_at_a_time = threading.Lock()


def compile_first(points):
    """Have every graph of the points compiled by one worker, before many want it at a time.

    The first graph is compiled alone, because the others share what it is made of; of the two kinds of pre-training,
    which share the most, one begins when the others do and one is the last. The workers then end: a compiler takes
    300 MB and keeps them, and others load what it has made.
    """
    graphs = set().union(*(_graphs(point.settings) for point in points))
    first, *others = sorted(graphs, key=lambda graph: (graph.n_layers == 0, graph))
    for some in ([first], others[-1:] + others[:-1]):
        for _ in results(_compile, {graph: (graph,) for graph in some}):
            pass
    end_loky_workers()


def _graphs(settings):
    """What a point needs of :mod:`dbn.training.epochs`: a set of :class:`dbn.training.epochs.Graph`."""
    visible = {settings.visible, "bernoulli"} if len(settings.hidden_layers_sizes) > 1 else {settings.visible}
    return {Graph.of_finetuning(settings)} | {
        Graph.of_pretraining(settings, kind) for kind in visible if settings.pretrain_epochs}


def _compile(graph):
    """Make a compiled epoch and run it on one frame, with which the compiler begins."""
    with _one_at_a_time:
        compiled = compiled_epoch(graph, "float32")
        weights = compiled.params[0].get_value(borrow=True)  # of whatever network was there last
        compiled.data_x.set_value(np.zeros((1, len(weights)), dtype=np.float32))
        compiled.data_y.set_value(np.zeros(1, dtype=np.int32))
        compiled.run(np.arange(1), 1, 0.1)
        compiled.release_data()


def train_point(folder, inputs, point, n_outs, data_key, start):
    """Train one point to its end, or go on with it; what a worker does.

    Parameters
    ----------
    folder : pathlib.Path
        Of the records of a rung.
    inputs : pathlib.Path
        See :func:`experiments.search.inputs.make_inputs`.
    point : experiments.search.space.Point
    n_outs : int
        Number of classes.
    data_key : str
        Names the data; a checkpoint of other data is not used.
    start : str
        Names this start of the search, in which a point may kill `DEATHS` workers and is then given up.

    Returns
    -------
    dict
        The record, which is on the disk. One that is there already is not made again.

    Raises
    ------
    DBNError, OSError
        The disk is full or the inputs cannot be used: nothing that the point can be blamed for.
    """
    work = work_folder(folder, point)
    work.mkdir(parents=True, exist_ok=True)
    with _one_at_a_time, sole_writer(work):  # another worker that was given up may still be at it
        record = read_record(folder, point)
        if is_over(record):
            return record
        try:
            _count_attempt(work, start)
            record = _result_record(point, _trained(work, inputs, point, n_outs, data_key))
        except DivergedError as error:
            record = new_record(point, "diverged", history=error.history, error=str(error))
        except (OSError, DBNError):
            raise
        except Exception as error:  # of whatever kind: the other points go on
            record = new_record(point, "failed", error=f"{type(error).__name__}: {error}")
        write_record(folder, point, record)
    return record


def _count_attempt(work, start):
    """Note that a worker begins with a point; an error if others have begun and never come back."""
    path = work / "attempts.json"
    n_before = (kept_json(path, {str: COUNT}) or {}).get(start, 0)
    if n_before == DEATHS:
        raise RuntimeError(f"the process that trained it died {DEATHS} times, perhaps for want of memory")
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps({start: n_before + 1}))


def _trained(work, inputs, point, n_outs, data_key):
    """The result of :func:`dbn.training.loops.train`; a checkpoint that cannot be used is announced and made anew."""
    train_set, valid_set = open_inputs(inputs, point.scaling)
    options = {"directory": work, "data_key": f"{data_key} {point.scaling}", "progress": False}
    try:
        return train(train_set, valid_set, n_outs, point.settings, **options)
    except DivergedError:
        raise
    except TrainingError as error:
        checkpoint = work / "checkpoint.npz"
        if not checkpoint.exists():
            raise
        print(f"warning: {error}; {point.name} is trained again", file=sys.stderr)
        checkpoint.unlink()
        return train(train_set, valid_set, n_outs, point.settings, **options)


def _result_record(point, result):
    weights = [param.get_value() for param in result.dbn.params]
    digest = hashlib.sha256(b"".join(value.tobytes() for value in weights)).hexdigest()
    return new_record(point, "finished", result.stopped, result.history, best_error=result.best_error,
                      best_epoch=result.best_epoch, n_parameters=sum(value.size for value in weights),
                      parameters=digest, versions=result.versions)
