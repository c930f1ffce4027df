"""The questions that the paper leaves open (§5.3, §6), each a script that is run like a table's.

A script names variants of the paper's system; :mod:`experiments.steps.question` trains, tests and judges them.
"""
from dbn.errors import DBNError
from experiments.steps.options import parse
from experiments.steps.question import ask
from experiments.table3 import window_examples


def answer(description, argv, name, question, variants, own_options=None):
    """Read a script's command line and answer its question, see :func:`experiments.steps.question.ask`.

    `variants` is their list, or a function that makes it from the options.
    """
    options = parse(description.split("\n")[0], argv, own_options)
    if options.network != "frames":
        raise DBNError("--network convolutional: a question changes one thing of the paper's network; leave it out, "
                       "python -m experiments.questions.context compares the two")
    profile = options.profile
    grid = {"C": profile.window_C, "gamma_times_features": profile.window_gamma}
    ask(options, name, question, variants(options) if callable(variants) else variants, window_examples, grid)
