"""Many calls of one function, in the processes of this machine or of a Dask cluster."""
import os
import threading
from concurrent.futures import CancelledError
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager

from joblib import Parallel, delayed, parallel_config

from dbn.errors import DBNError
from dbn.system.workers import loky_workers

SECONDS_TO_CONNECT = 20
GONE = "the Dask scheduler is gone; start it again, the same command goes on"
DEATHS = 10  # so many times in a row may workers die without a result


@contextmanager
def workers(jobs, scheduler=None):
    """Within the block, :func:`results` uses these processes.

    Parameters
    ----------
    jobs : int
        Processes on this machine; 1 is this process itself.
    scheduler : str, optional
        Address of a Dask scheduler whose workers are used instead.

    Yields
    ------
    int
        How many they are now.

    Raises
    ------
    DBNError
        Dask is not installed, no scheduler answers there, or it has no workers.
    """
    if scheduler is None:
        # after Ctrl-C nobody wants to read which semaphores were cleaned up, by processes that inherit this
        os.environ.setdefault("PYTHONWARNINGS", "ignore:resource_tracker")
        with loky_workers(n_jobs=jobs):
            yield jobs
        return
    try:
        from distributed import Client
    except ImportError:
        raise DBNError("--scheduler needs Dask, which is not installed: pip install .[cluster]") from None
    try:
        client = Client(scheduler, timeout=SECONDS_TO_CONNECT)
    except (OSError, ValueError, TypeError) as error:
        raise DBNError(f"--scheduler {scheduler}: no Dask scheduler answers there ({error}); start one with "
                       "`dask scheduler` and give the address that it prints") from error
    with client, parallel_config("dask", client=client):
        try:
            client.wait_for_workers(1, timeout=SECONDS_TO_CONNECT)
        except TimeoutError as error:
            raise DBNError(f"--scheduler {scheduler}: it has no workers; start some with "
                           f"`dask worker {scheduler} --nthreads 1`") from error
        with _ended_without(client):
            yield sum(client.ncores().values())


@contextmanager
def _ended_without(client):
    """End this process when the scheduler is gone for good: joblib would wait for its answers for ever."""
    done = threading.Event()

    def watch():
        while not done.wait(1):
            if client.status == "closed":
                os.write(2, f"error: {GONE}\n".encode())
                os._exit(2)

    threading.Thread(target=watch, daemon=True).start()
    try:
        yield
    finally:
        done.set()


def results(function, tasks):
    """What `function` gives for each task, in the order in which they are done.

    Parameters
    ----------
    function : callable
        Of a module that the workers can import. It must be harmless to call it again for a task whose worker died.
    tasks : dict
        From a name to the arguments, a tuple.

    Yields
    ------
    name, result

    Raises
    ------
    DBNError
        Workers die again and again, or the Dask scheduler is gone.
    """
    left, deaths = dict(tasks), 0
    while left:
        calls = Parallel(return_as="generator_unordered", batch_size=1)(
            delayed(_named)(function, name, arguments) for name, arguments in list(left.items()))
        try:
            for name, result in calls:
                del left[name]
                deaths = 0
                yield name, result
        except CancelledError as error:
            raise DBNError(GONE) from error
        except BrokenProcessPool as error:
            deaths += 1
            if deaths == DEATHS:
                raise DBNError(f"worker processes died {DEATHS} times in a row, perhaps for want of memory: give "
                               "fewer with --jobs; the same command goes on") from error


def _named(function, name, arguments):
    return name, function(*arguments)
