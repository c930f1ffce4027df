"""More than one frame at a time (§5.3, §6): convolutional networks over time beside the paper's, which sees a frame.

All have as many features as the paper's, 150. Those over time get other inputs as well; one of them, whose bases are of
one frame, tells what of a difference is the inputs'. Epochs are the profile's, and what they take stands beside.
"""
from experiments.questions import answer
from experiments.steps.options import run_script
from experiments.steps.question import Variant

QUESTION = "Would the network do better if it saw more than one frame? (§5.3, §6)"


def _over_time(name, widths, pools, **training):
    """A row for a convolutional network whose layers have 150 bases together."""
    sizes = (150 // len(widths),) * len(widths)
    return Variant(name, {}, {"hidden_layers_sizes": sizes, "widths": widths, "pools": pools, **training},
                   network="convolutional")


VARIANTS = [
    _over_time("bases of one frame, on the inputs of the next rows", (1,), (1,)),
    _over_time("bases of 6 frames, no pooling", (6,), (1,)),
    _over_time("bases of 6 frames, blocks of 3", (6,), (3,)),
    _over_time("the same, pre-trained and no more", (6,), (3,), finetune_epochs=0),
    _over_time("the same, no pre-training", (6,), (3,), pretrain_epochs=0),
    _over_time("bases of 12 frames, blocks of 6", (12,), (6,)),
    _over_time("two layers of bases of 6 frames, blocks of 3", (6, 6), (3, 3)),
]


def main(argv=None):
    """Train and test all systems, write and print the table."""
    answer(__doc__, argv, "context", QUESTION, VARIANTS)


if __name__ == "__main__":
    run_script(main)
