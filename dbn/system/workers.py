"""Calls in worker processes, with one BLAS thread each, that end with the process that started them."""
import os
import threading
import time
import warnings


def loky_workers(**more):
    """Context manager: within it joblib starts such processes; `more` is for :class:`joblib.parallel_config`."""
    import joblib  # a quarter of a second, for which the command line need not wait
    # one that has grown, as compilers make it, is replaced before its next call, which is no cause for alarm
    warnings.filterwarnings("ignore", "A worker stopped")
    return joblib.parallel_config(backend="loky", inner_max_num_threads=1, initializer=_end_with,
                                  initargs=(os.getpid(),), **more)


def end_loky_workers():
    """End the worker processes, which are idle; the next calls start new ones, without what these keep in memory."""
    from joblib.externals.loky import get_reusable_executor
    get_reusable_executor(reuse=True).shutdown(wait=True)


def in_parallel(function, arguments, jobs):
    """Call a function for each tuple of arguments.

    Parameters
    ----------
    function : callable
        Of a module that the workers can import.
    arguments : iterable of tuple
    jobs : int
        Processes; 1 is this process itself.

    Returns
    -------
    generator
        What the function returns, in the order of the arguments. The workers need not wait for the caller.
    """
    import joblib
    with loky_workers():
        return joblib.Parallel(n_jobs=jobs, return_as="generator")(
            joblib.delayed(function)(*each) for each in arguments)


def _end_with(parent):
    """End this worker soon after the process that started it, be it killed: nobody would wait for its work."""
    def watch():
        while os.getppid() == parent:
            time.sleep(0.2)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
