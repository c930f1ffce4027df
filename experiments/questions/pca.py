"""Principal components instead of all bins of the DFT (§5.3).

They are fitted to the training frames alone, whitened or not, of linear or of log magnitudes; the first RBM's visible
units are then Gaussian. So are those of a row of standardised bins, which the others should be read beside.
"""
from experiments.questions import answer
from experiments.steps.options import run_script
from experiments.steps.question import Variant

QUESTION = "Would it do to compress the DFTs with principal component analysis? (§5.3)"

VARIANTS = [Variant("all bins, standardised", {"scaling": "standardize"}, {"visible": "gaussian"})] + [
    Variant(f"{n} components{', whitened' if whitened else ''}{', log' if log else ''}",
            {"scaling": f"{log}{whitened}pca-{n}"}, {"visible": "gaussian"})
    for log in ("", "log-") for whitened in ("", "whitened-") for n in (25, 50, 100, 200)]


def main(argv=None):
    """Train and test all systems, write and print the table."""
    answer(__doc__, argv, "pca", QUESTION, VARIANTS)


if __name__ == "__main__":
    run_script(main)
