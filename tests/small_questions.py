"""What the tests of the questions share: options on the smoke profile, a run of them."""
from experiments.steps.options import parse
from experiments.steps.pipeline import Corpora, Run


def arguments(out, *more):
    return ["--profile", "smoke", "--jobs", "1", "--out", str(out), *more]


def run_of(out, *more):
    return Run(Corpora(parse("", arguments(out, *more))), 0)
