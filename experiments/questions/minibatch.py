"""Larger minibatches, at the same learning rates and at rates in proportion (§5.3)."""
from experiments.questions import answer
from experiments.steps.options import run_script
from experiments.steps.question import Variant

QUESTION = "Would larger minibatches shorten the training? (§5.3)"

SIZES = (10, 50, 100, 200, 500, 1000, 2000)


def VARIANTS(options):
    """The sizes; with a rate in proportion an epoch moves the weights as far, where the gradient stays the same."""
    training = options.profile.training
    rows = []
    for size in SIZES:
        factor = size / training.batch_size
        rates = {"pretrain_lr": factor * training.pretrain_lr, "finetune_lr": factor * training.finetune_lr}
        rows += [Variant(f"minibatches of {size}", {}, {"batch_size": size}),
                 Variant(f"minibatches of {size}, rates × {factor:g}", {}, {"batch_size": size, **rates})]
    return rows


def main(argv=None):
    """Train and test all systems, write and print the table."""
    answer(__doc__, argv, "minibatch", QUESTION, VARIANTS)


if __name__ == "__main__":
    run_script(main)
