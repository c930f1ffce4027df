"""All questions, in one process that imports for all of them: make questions.

Options that belong to one question alone are given to its own script.
"""
from importlib import import_module

from dbn.system.workers import end_loky_workers
from experiments.steps.options import parse, run_script

# in the order in which each uses what the one before has made
NAMES = "pca", "pooling", "context", "subsets", "minibatch", "pretraining", "later", "recipes", "transfer"


def main(argv=None):
    """Answer them one after another; the first that cannot be answered ends it."""
    parse(__doc__.split("\n")[0], argv)
    for name in NAMES:
        import_module(f"experiments.questions.{name}").main(argv)
        end_loky_workers()  # what they compiled would count as the memory of the next question's trainings


if __name__ == "__main__":
    run_script(main)
