"""`dbn` on the command line: one sub-command for each thing to do with a trained model.

Every command is a module with two functions: one adds its parser to the sub-parsers (and sets ``run``), the other takes
the parsed options and returns the exit status. Nothing here needs PyTensor; a command that does imports it as it runs.
"""
import argparse
import sys

from dbn import __version__
from dbn.errors import DBNError

# each adds a parser of its own, with set_defaults(run=function of the options that returns the exit status)
_ADD_PARSERS = ()


def build_parser():
    """The parser of all commands: an :class:`argparse.ArgumentParser`."""
    parser = argparse.ArgumentParser(prog="dbn", description="Features and labels of audio by a deep belief network.")
    parser.add_argument("--version", action="version", version=f"dbn {__version__}")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for add_parser in _ADD_PARSERS:
        add_parser(subparsers)
    return parser


def main(argv=None):
    """Run one command and return its exit status."""
    options = build_parser().parse_args(argv)
    try:
        return options.run(options)
    except DBNError as error:
        print(f"dbn: error: {error}", file=sys.stderr)
        return 2
