"""A random subset of the training frames (§5.3).

Each share is taken in two ways: over all training songs, and from as large a share of the songs. The SVM of Table 3
learns from the songs that the network learnt from.
"""
from experiments.questions import answer
from experiments.steps.options import run_script
from experiments.steps.question import Variant

QUESTION = "Would it do to choose a random subset of the frames? (§5.3)"

VARIANTS = [Variant(f"1/{n} of the frames{' from 1/%d of the songs' % n if fewer else ''}",
                    {"train_share": 1 / n} | ({"train_songs": 1 / n} if fewer else {}))
            for fewer in (False, True) for n in (2, 4, 8, 16, 32, 64)]


def main(argv=None):
    """Train and test all systems, write and print the table."""
    answer(__doc__, argv, "subsets", QUESTION, VARIANTS)


if __name__ == "__main__":
    run_script(main)
