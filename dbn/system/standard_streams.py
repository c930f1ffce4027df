"""Standard output and standard error as a command finds them: closed, of another encoding, or with no reader left."""
import os
import sys

BROKEN_PIPE = 141  # exit status of a command whose reader went away, as a shell has it


def prepare_streams():
    """Give what is printed somewhere to go where a stream is closed; what an encoding lacks becomes escapes.

    A closed standard error would otherwise be taken by the next file that is opened, and its bar be written there.
    """
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w"))
    sys.stdout.reconfigure(errors="backslashreplace")


def drop_stdout():
    """What could not be written is not tried again as Python ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def is_standard_stream(path):
    """Whether a file that is there is the one which standard input, output or error is connected to.

    ``/dev/stdout`` is a link to it. To put another file in its place would take from it what stands in it.
    """
    for descriptor in range(3):
        try:
            if os.path.samestat(os.fstat(descriptor), os.stat(path)):
                return True
        except OSError:
            pass  # that stream is closed
    return False
