"""What came after the paper, one change at a time, then together; beside MFCCs of as many settings.

Each idea's source stands beside its setting in :class:`dbn.training.settings.TrainingSettings`.
"""
from experiments.profiles import MFCC_SEARCH
from experiments.questions import answer
from experiments.steps.options import run_script
from experiments.steps.question import Variant

QUESTION = "What would later ideas have brought?"

RELU = {"activation": "relu", "pretrain_epochs": 0}
BEST = {**RELU, "hidden_layers_sizes": (500, 500), "dropout": 0.5, "finetune_lr": 0.05}

CHANGES = [
    Variant("log inputs", {"scaling": "log"}),
    Variant("no pre-training", {}, {"pretrain_epochs": 0}),
    Variant("rectified units, rate 0.05", {}, {**RELU, "finetune_lr": 0.05}),
    Variant("dropout 0.25", {}, {"dropout": 0.25}),
    Variant("momentum 0.5", {}, {"momentum": 0.5}),
    Variant("momentum 0.9, rates / 10", {}, {"momentum": 0.9, "pretrain_lr": 0.0001, "finetune_lr": 0.01}),
    Variant("weight decay 0.0001", {}, {"weight_decay": 0.0001}),
    Variant("sparsity target 0.05", {}, {"sparsity_cost": 1.0, "sparsity_target": 0.05}),
    Variant("PCD", {}, {"persistent": True}),
    Variant("two layers of 500", {}, {"hidden_layers_sizes": (500, 500)}),
    Variant("two layers of 500, log inputs", {"scaling": "log"}, {"hidden_layers_sizes": (500, 500)}),
    Variant("two layers of 500, rectified, dropout 0.5, log inputs", {"scaling": "log"}, BEST),
]

OWN_OPTIONS = {"--most-units": {"type": int, "default": 500, "metavar": "N",
                                "help": "leave out networks with more units in a layer; 500 of them take minutes to an "
                                        "hour a network. Default: 500"}}


def VARIANTS(options):
    """The changes, the one of them that each seed's validation songs choose, and MFCCs that they choose as well."""
    changes = [variant for variant in CHANGES
               if max(variant.training.get("hidden_layers_sizes", [0])) <= options.most_units]
    return [*changes,
            Variant(f"the best of these {len(changes)} on the validation songs", among=[each.name for each in changes]),
            Variant(f"MFCCs, the best of {len(MFCC_SEARCH)} settings on the validation songs", has_mfccs=True)]


def main(argv=None):
    """Train and test all systems, write and print the table."""
    answer(__doc__, argv, "later", QUESTION, VARIANTS, OWN_OPTIONS)


if __name__ == "__main__":
    run_script(main)
