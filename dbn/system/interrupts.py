"""Ctrl-C that is heard at once, whatever runs."""
import multiprocessing
import os
import signal
from contextlib import contextmanager


@contextmanager
def ended_by_interrupt(message):
    """Let Ctrl-C (SIGINT) end the process where it stands, with `message` on standard error and exit status 130.

    The usual KeyboardInterrupt is no help while PyTensor and Numba compile and run: they swallow it, make another error
    of it, or crash. So nothing is raised and nothing cleaned up; what the ``with`` block writes must stand a kill. It
    is for command-line programs, and for their main thread alone.

    Parameters
    ----------
    message : str
        One line, or more.
    """
    def end(*_):
        os.write(2, f"{message}\n".encode(errors="backslashreplace"))  # print may be what was interrupted
        for child in multiprocessing.active_children():  # idle workers would stay for minutes
            os.kill(child.pid, getattr(signal, "SIGKILL", signal.SIGTERM))  # those of joblib know no kill()
        os._exit(130)

    old = signal.signal(signal.SIGINT, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, old)
