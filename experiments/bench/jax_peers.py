"""What training is measured against: the same in JAX, each epoch one compiled ``lax.scan`` over its minibatches.

JAX reads its options when it is imported, and its threads are the process's. So a network is in a process of its own,
which computes while this one waits; what passes between them, an order and a cost, takes less than a millisecond.
"""
import multiprocessing
import os
from importlib.util import find_spec

NO_JAX = "JAX: not installed, skipped (pip install .[bench])"
_ONE_THREAD = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"  # as far as JAX can be told


def has_jax():
    """Whether there is a JAX to measure against."""
    return find_spec("jax") is not None


class JaxNetwork:
    """The network of :mod:`experiments.bench.peers` in JAX, or an RBM; its process ends when nobody holds it.

    Parameters
    ----------
    params : list of float32 arrays
        W [n_in, n_out] and b [n_out] of each layer from the bottom; of an RBM W, hidden and visible biases.
    x : float32 [n, n_ins]
        The frames.
    y : int32 [n], optional
        Their class numbers; without them the network is an RBM, trained by CD-1. JAX must be installed.
    """

    def __init__(self, params, x, y=None):
        context = multiprocessing.get_context("spawn")  # a fork would have this process's locks, and not its threads
        self._connection, theirs = context.Pipe()
        context.Process(target=_serve, args=(theirs, params, x, y), daemon=True).start()
        theirs.close()  # or nobody would hear that the process has died

    @property
    def params(self):
        """Copies, in the order given."""
        return self._ask("values")

    def train(self, order, batch_size, lr):
        """One epoch over the rows `order`, an int64 array [m]; the mean cost, of an RBM that of reconstructions."""
        return self._ask("train", order, batch_size, lr)

    def _ask(self, *question):
        self._connection.send(question)
        return self._connection.recv()


def _serve(connection, params, x, y):
    """Answer until the other end is closed."""
    os.environ["XLA_FLAGS"] = _ONE_THREAD
    from experiments.bench.jax_training import JaxTrainer  # imports JAX, which reads the line above

    trainer = JaxTrainer(params, x, y)
    while True:
        try:
            name, *arguments = connection.recv()
        except EOFError:
            return
        connection.send(getattr(trainer, name)(*arguments))
