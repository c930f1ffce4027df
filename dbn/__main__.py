"""``dbn`` and ``python -m dbn``: the command line, which Ctrl-C ends without a traceback from its first moment on."""
import sys

from dbn.system.interrupts import ended_by_interrupt


def main():
    """Import the commands, which takes half a second, and run one; returns its exit status (:mod:`dbn.cli.parser`)."""
    with ended_by_interrupt("\ndbn: stopped"):
        from dbn.cli.parser import main as run
    return run()


if __name__ == "__main__":
    sys.exit(main())
