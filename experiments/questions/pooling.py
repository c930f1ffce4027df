"""Frames put together over small windows before they reach the network (§5.3)."""
from experiments.questions import answer
from experiments.steps.options import run_script
from experiments.steps.question import Variant

QUESTION = "Would it do to aggregate the DFTs over small windows before sending them to the network? (§5.3)"

WORDS = {"mean": "means", "max": "maxima", "meanvar": "means and variances"}

VARIANTS = [Variant(f"{words} of {n} frames", {"pooling": f"{kind}-{n}"})
            for kind, words in WORDS.items() for n in (2, 4, 8, 16, 32)]


def main(argv=None):
    """Train and test all systems, write and print the table."""
    answer(__doc__, argv, "pooling", QUESTION, VARIANTS)


if __name__ == "__main__":
    run_script(main)
