"""Recipes for one's own music: the paper's inputs and units beside those that :mod:`dbn.training.recipes` has."""
from dbn.errors import DBNError
from dbn.training.recipes import RECIPES
from experiments.profiles import MFCC_SEARCH
from experiments.questions import answer
from experiments.steps.options import run_script
from experiments.steps.question import Variant

QUESTION = "Which recipe should a folder of one's own music get?"


def VARIANTS(options):
    """Every recipe but the paper's, which is the profile's own, and MFCCs that the validation songs choose.

    Raises
    ------
    DBNError
        Options that make another network of the first row.
    """
    if options.winner or options.recipe != "profile":
        raise DBNError("--from-sweep and --recipe: this question compares the recipes with the paper's; leave them out")
    others = [Variant(f"recipe {name}: {recipe.about}", {"scaling": recipe.scaling}, recipe.changes)
              for name, recipe in RECIPES.items() if name != "paper"]
    return [*others, Variant(f"MFCCs, the best of {len(MFCC_SEARCH)} settings on the validation songs", has_mfccs=True)]


def main(argv=None):
    """Train and test all systems, write and print the table."""
    answer(__doc__, argv, "recipes", QUESTION, VARIANTS)


if __name__ == "__main__":
    run_script(main)
