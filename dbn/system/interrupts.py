"""Ctrl-C, and a polite end from outside (SIGTERM), that are heard at once, whatever runs."""
import multiprocessing
import os
import signal
import threading
from contextlib import contextmanager, suppress

_AT_END = []  # what is to be done before the process ends


@contextmanager
def done_at_end(function):
    """Call a function, without arguments, at the end of the ``with`` block, be it that of :func:`ended_by_interrupt`.
    """
    _AT_END.append(function)
    try:
        yield
    finally:
        _AT_END.remove(function)
        function()


@contextmanager
def ended_by_interrupt(message):
    """Let Ctrl-C (SIGINT) or SIGTERM end the process where it stands, with `message` on standard error.

    The exit status is 130, or 143.

    The usual KeyboardInterrupt is no help while PyTensor and Numba compile and run: they swallow it, make another error
    of it, or crash. So nothing is raised, and only what :func:`done_at_end` was told of is cleaned up; what the
    ``with`` block writes must stand a kill. It is for command-line programs, and for their main thread alone.

    Parameters
    ----------
    message : str
        One line, or more.
    """
    def end(number, _):
        os.write(2, f"{message}\n".encode(errors="backslashreplace"))  # print may be what was interrupted
        for child in multiprocessing.active_children():  # idle workers would stay for minutes
            os.kill(child.pid, getattr(signal, "SIGKILL", signal.SIGTERM))  # those of joblib know no kill()
        for function in reversed(_AT_END):
            with suppress(Exception):  # there is nobody left to hear of it
                function()
        os._exit(128 + number)

    old = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)


def hear_interrupts():
    """From now on SIGTERM raises a KeyboardInterrupt, as Ctrl-C does: what is temporary is removed on the way out."""
    if threading.current_thread() is threading.main_thread():  # others cannot hear
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.default_int_handler)


def end_at_interrupt():
    """From now on Ctrl-C ends the process at once, in a word: while a script's imports last, which cannot go on."""
    def end(number, _):
        os.write(2, b"stopped\n")
        os._exit(128 + number)
    signal.signal(signal.SIGINT, end)
